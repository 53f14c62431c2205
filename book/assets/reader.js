// What helps a reader beside the text: a figure opens large, and a reference to a theorem, a definition
// or a term of the glossary shows it in place. Without JavaScript, links lead there as ever.
(() => {
  function large(image) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "companion-enlarge";
    button.title = "Open the figure large";
    image.replaceWith(button);
    button.append(image);
    button.addEventListener("click", () => {
      const dialog = document.createElement("dialog"), close = document.createElement("button");
      const shown = image.cloneNode();
      shown.removeAttribute("loading");
      dialog.className = "companion-large";
      dialog.setAttribute("aria-label", "The figure, large");
      close.type = "button";
      close.textContent = "Close";
      const place = document.createElement("div");
      place.tabIndex = 0;  // it scrolls, also by keys
      place.append(shown);
      dialog.append(close, place);
      dialog.addEventListener("click", () => dialog.close());
      dialog.addEventListener("close", () => { dialog.remove(); button.focus(); });
      document.body.append(dialog);
      dialog.showModal();
    });
  }

  const pages = {};
  const box = document.createElement("div");
  box.id = "companion-preview";
  box.setAttribute("role", "tooltip");
  box.hidden = true;
  let link = null, waiting = 0;

  async function wanted(address) {
    const url = new URL(address);
    if (!url.hash || url.origin !== location.origin) return null;
    if (url.pathname !== location.pathname) {
      pages[url.pathname] ??= fetch(url.pathname).then(answer => answer.text())
        .then(text => new DOMParser().parseFromString(text, "text/html"));
    }
    const page = url.pathname === location.pathname ? document : await pages[url.pathname];
    const target = page.getElementById(decodeURIComponent(url.hash.slice(1)));
    if (target?.matches("dl.glossary dt")) return target.nextElementSibling;
    return target?.closest(".proof") ?? (target?.matches("span") && !target.textContent
      && target.nextElementSibling?.matches(".proof") ? target.nextElementSibling : null);
  }

  async function show(over) {
    const found = await wanted(over.href).catch(() => null);
    if (!found || link !== over) return;
    const copy = document.importNode(found, true);
    copy.querySelectorAll("[id], .headerlink").forEach(e => e.matches(".headerlink") ? e.remove() : e.removeAttribute("id"));
    copy.removeAttribute("id");
    box.replaceChildren(...(copy.matches("dd") ? copy.childNodes : [copy]));
    box.hidden = false;
    const raw = found.ownerDocument !== document;
    if (raw && window.MathJax?.typesetPromise) await MathJax.typesetPromise([box]);
    const place = over.getBoundingClientRect(), width = document.documentElement.clientWidth;
    box.style.left = `${Math.max(8, Math.min(place.left, width - box.offsetWidth - 8)) + scrollX}px`;
    const below = place.bottom + box.offsetHeight + 12 < innerHeight || place.top < box.offsetHeight + 12;
    box.style.top = `${(below ? place.bottom + 2 : place.top - box.offsetHeight - 2) + scrollY}px`;
    over.setAttribute("aria-describedby", box.id);
  }
  function hide() {
    clearTimeout(waiting);
    link?.removeAttribute("aria-describedby");
    link = null;
    box.hidden = true;
  }
  function over(event) {
    const now = event.target.closest?.("article a[href*='#']");
    if (box.contains(event.target)) return clearTimeout(waiting);  // the pointer may rest on it
    if (now === link) return now ? clearTimeout(waiting) : undefined;
    clearTimeout(waiting);
    if (!now) { waiting = setTimeout(hide, 200); return; }
    hide();
    link = now;
    waiting = setTimeout(show, 250, now);
  }

  addEventListener("load", () => {
    for (const image of document.querySelectorAll("article figure > img, article .cell_output > img"))
      if (!image.closest(".companion-animation")) large(image);
    if (!matchMedia("(hover: hover)").matches) return;
    document.body.append(box);
    document.addEventListener("mouseover", over);
    document.addEventListener("focusin", over);
    document.addEventListener("keydown", event => { if (event.key === "Escape") hide(); });
  });
})();
