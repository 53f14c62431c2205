// A formula that is a little too wide for its place is drawn a little smaller; one that is much too
// wide (on a phone) keeps its size and scrolls. A link to a row in a folded table opens the table.
(() => {
  const SMALLEST = 0.78;
  const fit = () => {
    const smallest = document.querySelector(".companion-start") ? 0.6 : SMALLEST;  // the first page
    const formulas = [...document.querySelectorAll('mjx-container[display="true"]')];
    formulas.forEach(formula => {  // MathJax has matched the size to the text around
      formula.style.fontSize = formula.dataset.size ??= formula.style.fontSize;
    });
    const shares = formulas.map(formula => {
      const drawn = formula.querySelector("mjx-math");
      return drawn ? formula.clientWidth / (drawn.getBoundingClientRect().width + 1) : 1;
    });
    formulas.forEach((formula, i) => {
      if (shares[i] < 1 && shares[i] >= smallest) {
        const size = parseFloat(getComputedStyle(formula).fontSize);
        formula.style.fontSize = `${Math.floor(size * shares[i] * 9.9) / 10}px`;
      }
    });
  };
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let box = target; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
    if (target?.closest("details")) target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  addEventListener("load", async () => {
    open();
    if (!window.MathJax?.startup) return;
    await MathJax.startup.promise;
    fit();
    const widths = new Map();  // of their places: they change with the window, and as folds open
    const watch = new ResizeObserver(entries => {
      const changed = entries.filter(({ target }) => widths.get(target) !== target.clientWidth);
      changed.forEach(({ target }) => widths.set(target, target.clientWidth));
      if (changed.length) requestAnimationFrame(fit);
    });
    document.querySelectorAll('mjx-container[display="true"]').forEach(place => {
      widths.set(place, place.clientWidth);
      watch.observe(place);
    });
  });
})();
