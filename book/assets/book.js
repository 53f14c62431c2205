// A formula that is a little too wide for its place is drawn a little smaller; one that is much too
// wide (on a phone) keeps its size and scrolls, within a sentence on a line of its own. What scrolls
// fades at its edge where more is to come. A link to a row in a folded table opens the table.
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
  // Formulas within sentences, with their punctuation, that are wider than the line.
  const set = () => {
    const formulas = [...document.querySelectorAll('article mjx-container:not([display="true"])')]
      .map(formula => formula.closest(".companion-whole") ?? formula);
    formulas.forEach(formula => formula.classList.remove("companion-wide"));
    const wide = formulas.filter(formula => {
      let box = formula.parentElement;
      while (getComputedStyle(box).display.startsWith("inline")) box = box.parentElement;
      const { paddingLeft, paddingRight } = getComputedStyle(box);
      const drawn = formula.getBoundingClientRect().width;
      return drawn > box.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight) + 1;
    });
    wide.forEach(formula => formula.classList.add("companion-wide"));
  };
  const SCROLLS = [".output", "div.math", 'mjx-container[display="true"]', "div:has(> table)",
    ".companion-claims", ".companion-wide"].map(name => `article ${name}`).join();
  const mark = () => {
    const boxes = [...document.querySelectorAll(SCROLLS)];
    const more = boxes.map(box => box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
    boxes.forEach((box, i) => box.classList.toggle("companion-more", more[i]));
  };
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let box = target; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
    if (target?.closest("details")) target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  addEventListener("load", async () => {
    open();
    if (window.MathJax?.startup) await MathJax.startup.promise;
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
    const arrange = () => { set(); mark(); };
    arrange();
    const article = document.querySelector("article");
    if (article) new ResizeObserver(() => requestAnimationFrame(arrange)).observe(article);
    document.addEventListener("scroll", () => requestAnimationFrame(mark), { capture: true, passive: true });
  });
})();
