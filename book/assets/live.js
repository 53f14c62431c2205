// Live figures. A chapter leaves the data of a figure beside its still picture; this module draws the
// figure in its place. Without JavaScript, and in print, the picture stays. The formulas are those of
// the chapter, and a test compares them with the package.
(() => {
  const formulas = {
    // Chapter "Entropy sums at a glance": p(x) = N(0, w² u uᵀ + σ² I), with λ1 and λ2 the variances of
    // the data along u and across it. `b` is log σ².
    plane({ along, across }, { w, b }) {
      const noise = Math.exp(b), total = w * w + noise;
      const trace = along / total + across / noise;
      const logs = Math.log(total) + b, one = Math.log(2 * Math.PI * Math.E);
      const slopes = [
        (along / total - 1) * w / total,
        0.5 * ((along / total - 1) * noise / total + across / noise - 1),
      ];
      return {
        elbo: -Math.log(2 * Math.PI) - 0.5 * (logs + trace),
        entropySum: -one - 0.5 * logs,
        posterior: 0.5 * (one + b - Math.log(total)),
        prior: 0.5 * one,
        observable: one + b,
        gap: 1 - 0.5 * trace,
        slope: -0.5 * w * slopes[0] - slopes[1],
        gradient: slopes,
        // How far to walk along v, to the top of the ELBO on this line.
        top: -Math.log(trace / 2),
      };
    },
    // Chapter "Probabilistic PCA": a stationary point uses some eigenvectors; the noise is the mean of
    // the other eigenvalues.
    eigen({ eigenvalues, latent }, chosen) {
      const count = eigenvalues.length, others = eigenvalues.filter((_, i) => !chosen.includes(i));
      const noise = others.reduce((a, b) => a + b, 0) / others.length;
      const used = chosen.map(i => eigenvalues[i]);
      const exists = noise > 0 && used.every(value => value > noise);
      const logs = used.reduce((sum, value) => sum + Math.log(value), 0)
        + (count - used.length) * Math.log(noise);
      const best = [...Array(latent).keys()].every(i => chosen.includes(i));
      return {
        noise, exists, best: best && chosen.length === latent,
        elbo: -0.5 * (logs + count * Math.log(2 * Math.PI) + used.length
          + others.reduce((a, b) => a + b, 0) / noise),
        entropySum: -0.5 * (logs + count * Math.log(2 * Math.PI * Math.E)),
      };
    },
    // Chapter "Is my ELBO right?": the KL divergence has the weight β. `elbo` and `kl` are those at
    // weight one, `logTau` is the sum of log τ over the latents, on average over the data.
    weight({ elbo, kl, sum, logTau }, beta) {
      const bound = elbo - (beta - 1) * kl;
      const slope = elbo - sum - (beta - 1) * (kl + logTau);
      return { elbo: bound, entropySum: sum, gap: bound - sum, slope, residual: bound - sum - slope };
    },
    // Chapter "Temperature": a mixture of Gaussians at inverse temperature t, whose q stays. `scale` is
    // the mean of −½ Σ log 2πσ² and `stretch` that of −½ Σ (x − m)²/σ², over q and the data.
    temperature({ posterior, logits, shares, scale, stretch, size }, t) {
      const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
      const weights = logits.map(a => Math.exp(t * a)), all = weights.reduce((a, b) => a + b, 0);
      const prior = weights.map(w => w / all), log = prior.map(Math.log);
      const elbo = posterior + dot(shares, log) + scale + size / 2 * Math.log(t) + t * stretch;
      const entropySum = posterior + dot(prior, log) + scale + size / 2 * (Math.log(t) - 1);
      const slope = t * (dot(shares, logits) - dot(prior, logits) + stretch) + size / 2;
      return { elbo, entropySum, gap: elbo - entropySum, slope };
    },
  };

  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const digits = (value, places = 3) => value.toFixed(places).replace("-", "−");

  function element(name, attributes = {}, ...children) {
    const svg = ["svg", "g", "path", "circle", "line", "rect", "text", "image"].includes(name);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name)
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  const button = (label, act) => element("button", { type: "button", onclick: act }, label);

  function readings(names) {
    const cells = Object.fromEntries(names.map(name => [name, element("td")]));
    const rows = names.map(name => element("tr", {}, element("th", { scope: "row" }, name), cells[name]));
    return [element("table", { class: "companion-readings" }, element("tbody", {}, ...rows)), cells];
  }

  const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  function colour(share) {
    const place = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
    const low = Math.min(Math.floor(place), VIRIDIS.length - 2);
    return VIRIDIS[low].map((c, i) => Math.round(c + (place - low) * (VIRIDIS[low + 1][i] - c)));
  }

  // Heights over the plane as a picture, in bands of a quarter nat.
  function terrain(height, { left, right, bottom, top }, floor, peak) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [200, 160];
    const context = canvas.getContext("2d"), image = context.createImageData(200, 160);
    for (let j = 0; j < 160; j++) for (let i = 0; i < 200; i++) {
      const w = left + (right - left) * (i + 0.5) / 200, b = top - (top - bottom) * (j + 0.5) / 160;
      const banded = Math.floor(height(w, b) * 4) / 4;
      image.data.set([...colour((banded - floor) / (peak - floor)), 255], 4 * (200 * j + i));
    }
    context.putImageData(image, 0, 0);
    return canvas.toDataURL();
  }

  const draw = {
    plane(data) {
      const at = (w, b) => formulas.plane(data, { w, b });
      const view = { left: -2.6, right: 2.6, bottom: -3, top: 1.2 };
      const [W, H, PAD] = [400, 320, 44];
      const px = w => PAD + (W - PAD) * (w - view.left) / (view.right - view.left);
      const py = b => H * (view.top - b) / (view.top - view.bottom);
      const best = { w: Math.sqrt(data.along - data.across), b: Math.log(data.across) };
      const saddle = { w: 0, b: Math.log((data.along + data.across) / 2) };
      const peak = at(best.w, best.b).elbo;
      const point = { w: -1.6, b: -1.6 };
      let trail = [], motion = 0;

      const pictures = {};
      const picture = element("image", { x: PAD, y: 0, width: W - PAD, height: H, preserveAspectRatio: "none" });
      const background = name => {
        pictures[name] ??= terrain((w, b) => at(w, b)[name], view, -6, peak + (name === "elbo" ? 0 : 1.5));
        picture.setAttribute("href", pictures[name]);
      };
      const along = [];
      for (let i = 1; i < 400; i++) {
        const s = data.across / 2 + (data.along / 2) * i / 400;
        along.push([Math.sqrt(s * (data.along + data.across - 2 * s) / (2 * s - data.across)), Math.log(s)]);
      }
      const inside = along.filter(([w]) => w <= view.right);
      const curve = [...inside.map(([w, b]) => [-w, b]), [0, saddle.b], ...inside.reverse()];
      const line = points => "M" + points.map(([w, b]) => `${px(w).toFixed(1)} ${py(b).toFixed(1)}`).join("L");
      const ticks = [0.05, 0.1, 0.2, 0.5, 1, 2].map(value =>
        element("text", { x: PAD - 6, y: py(Math.log(value)) + 4, "text-anchor": "end" }, String(value)));
      const below = [-2, -1, 0, 1, 2].map(value =>
        element("text", { x: px(value), y: H + 16, "text-anchor": "middle" }, String(value).replace("-", "−")));
      const mark = ({ w, b }, white) => element("circle", {
        cx: px(w), cy: py(b), r: 5, fill: white ? "white" : "black", stroke: white ? "black" : "white" });
      const path = element("path", { fill: "none", stroke: "white", "stroke-width": 2, "stroke-dasharray": "3 3" });
      const handle = element("circle", {
        r: 11, class: "companion-handle", tabindex: 0, role: "slider", "aria-label": "Point in the plane of weight and noise variance; arrow keys move it",
        "aria-valuemin": view.left, "aria-valuemax": view.right, onkeydown: key });
      const map = element("svg", { viewBox: `0 0 ${W} ${H + 40}`, class: "companion-map", onpointerdown: drag, onpointermove: drag },
        picture,
        element("path", { d: line(curve), fill: "none", stroke: "white", "stroke-width": 4 }),
        element("path", { d: line(curve), fill: "none", stroke: "black", "stroke-width": 2 }),
        mark(best), mark({ w: -best.w, b: best.b }), mark(saddle, true), path, handle, ...ticks, ...below,
        element("text", { x: (W + PAD) / 2, y: H + 34, "text-anchor": "middle" }, "weight w"),
        element("text", { x: 12, y: H / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${H / 2})` }, "noise variance σ²"));

      const names = ["entropy of q", "− entropy of the prior", "− entropy of the observables", "entropy sum", "ELBO", "gap", "slope along v"];
      const [table, cells] = readings(names);
      const bars = element("svg", { viewBox: "0 0 260 190", class: "companion-bars", "aria-hidden": "true" });
      const said = element("p", { class: "companion-said", "aria-live": "polite" });

      function show(say = true) {
        const now = at(point.w, point.b);
        handle.setAttribute("cx", px(point.w));
        handle.setAttribute("cy", py(point.b));
        const words = `w = ${digits(point.w, 2)}, σ² = ${digits(Math.exp(point.b), 2)}`;
        handle.setAttribute("aria-valuenow", point.w.toFixed(2));
        handle.setAttribute("aria-valuetext", `${words}, gap ${digits(now.gap)}`);
        path.setAttribute("d", trail.length > 1 ? line(trail) : "");
        const values = [now.posterior, -now.prior, -now.observable, now.entropySum, now.elbo, now.gap, now.slope];
        names.forEach((name, i) => { cells[name].textContent = digits(values[i]); });
        waterfall(values);
        const level = Math.hypot(...now.gradient) < 1e-3;
        if (say) said.textContent = `${words}: ` + (level ? "learning is at rest here, and both are equal."
          : Math.abs(now.gap) < 2e-3 ? "equal, but learning is not at rest: it leads on along the curve."
          : now.gap > 0 ? "the ELBO is higher, and rises along v." : "the entropy sum is higher, and the ELBO falls along v.");
      }
      function waterfall([q, prior, observable, sum, elbo]) {
        const ends = [0, q, q + prior, q + prior + observable];
        const [low, high] = [-5, 1.5], y = v => 180 * (high - Math.min(Math.max(v, low), high)) / (high - low) + 5;
        const bar = (i, from, to, fill) => element("rect", {
          x: 8 + 50 * i, width: 40, y: y(Math.max(from, to)), height: Math.max(1, y(Math.min(from, to)) - y(Math.max(from, to))), fill });
        const label = (i, text) => element("text", { x: 28 + 50 * i, y: 188, "text-anchor": "middle" }, text);
        bars.replaceChildren(
          element("line", { x1: 0, x2: 260, y1: y(0), y2: y(0), stroke: "currentColor" }),
          bar(0, ends[0], ends[1], "#0072b2"), bar(1, ends[1], ends[2], "#009e73"), bar(2, ends[2], ends[3], "#cc79a7"),
          bar(3, 0, sum, "#e69f00"), bar(4, 0, elbo, "#56b4e9"),
          element("line", { x1: 158, x2: 248, y1: y(sum), y2: y(sum), stroke: "currentColor", "stroke-dasharray": "2 2" }),
          label(0, "q"), label(1, "prior"), label(2, "x | z"), label(3, "sum"), label(4, "ELBO"));
      }
      function put(w, b, say) {
        point.w = Math.min(Math.max(w, view.left), view.right);
        point.b = Math.min(Math.max(b, view.bottom), view.top);
        show(say);
      }
      function drag(event) {
        if (event.type === "pointermove" && !event.buttons) return;
        motion++;
        trail = [];
        const corner = map.getScreenCTM().inverse();
        const spot = new DOMPoint(event.clientX, event.clientY).matrixTransform(corner);
        put(view.left + (spot.x - PAD) / (W - PAD) * (view.right - view.left), view.top - spot.y / H * (view.top - view.bottom));
        event.preventDefault();
      }
      function key(event) {
        const step = event.shiftKey ? 0.2 : 0.04;
        const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
        if (!move) return;
        motion++;
        trail = [];
        put(point.w + move[0], point.b + move[1]);
        event.preventDefault();
      }
      function go(places) {
        const own = ++motion;
        trail = [];
        if (still()) {
          trail = places;
          return put(...places.at(-1));
        }
        let i = 0;
        (function frame() {
          if (own !== motion) return;
          trail.push(places[i]);
          put(...places[i], i === places.length - 1);
          if (++i < places.length) requestAnimationFrame(frame);
        })();
      }
      const walk = () => {
        const { w, b } = point, { top } = at(w, b);
        go([...Array(61).keys()].map(i => [w * Math.exp(-top * i / 120), b - top * i / 60]));
      };
      const learn = () => {
        let { w, b } = point;
        const places = [[w, b]];
        for (let i = 0; i < 2000; i++) {
          const [byWeight, byNoise] = at(w, b).gradient;
          [w, b] = [w + 0.1 * byWeight, b + 0.1 * byNoise];
          if (i % 3 === 0) places.push([w, b]);
          if (Math.hypot(byWeight, byNoise) < 1e-4) break;
        }
        go(places);
      };
      const toSaddle = () => {
        const { w, b } = point;
        go([...Array(41).keys()].map(i => [w * (1 - i / 40), b + (saddle.b - b) * i / 40]));
      };
      const which = element("select", { onchange: event => background(event.target.value) },
        element("option", { value: "elbo" }, "ELBO"), element("option", { value: "entropySum" }, "entropy sum"));
      background("elbo");
      show();
      return element("div", {},
        element("div", { class: "companion-controls" }, button("walk along v", walk), button("learn", learn),
          button("go to the saddle", toSaddle), element("label", {}, "height: ", which)),
        element("div", { class: "companion-columns" }, map, element("div", {}, bars, table)), said);
    },

    eigen(data) {
      const shown = Math.min(data.eigenvalues.length, data.latent + 4), chosen = new Set();
      for (let i = 0; i < data.latent; i++) chosen.add(i);
      const names = ["noise variance σ²", "ELBO", "entropy sum", "below the maximum"];
      const [table, cells] = readings(names);
      const said = element("p", { class: "companion-said", "aria-live": "polite" });
      const full = formulas.eigen(data, [...chosen]).elbo, tallest = data.eigenvalues[0];
      const boxes = data.eigenvalues.slice(0, shown).map((value, i) => button(String(i + 1), () => {
        if (chosen.has(i)) chosen.delete(i);
        else if (chosen.size < data.latent) chosen.add(i);
        else return void (said.textContent = `All ${data.latent} latents are used: switch one off first.`);
        show();
      }));
      boxes.forEach((box, i) => {
        box.style.setProperty("--height", `${Math.round(100 * data.eigenvalues[i] / tallest)}%`);
        box.title = `variance ${digits(data.eigenvalues[i], 1)}`;
        box.setAttribute("aria-label", `eigenvector ${i + 1}, variance ${digits(data.eigenvalues[i], 1)}`);
      });
      function show() {
        const now = formulas.eigen(data, [...chosen]);
        boxes.forEach((box, i) => box.setAttribute("aria-pressed", String(chosen.has(i))));
        const values = now.exists ? [now.noise, now.elbo, now.entropySum, full - now.elbo] : [now.noise, NaN, NaN, NaN];
        names.forEach((name, i) => { cells[name].textContent = Number.isNaN(values[i]) ? "–" : digits(values[i]); });
        said.textContent = !now.exists ? "No stationary point: an eigenvalue in use is smaller than the noise."
          : now.best ? "The maximum: the eigenvectors of the largest eigenvalues."
          : chosen.size < data.latent ? `A saddle point: ${data.latent - chosen.size} of ${data.latent} latents are not used.`
          : "A saddle point: an eigenvector in use has a smaller eigenvalue than one that is not.";
      }
      show();
      return element("div", {}, element("div", { class: "companion-eigen", role: "group", "aria-label": "Eigenvectors in use" }, ...boxes),
        table, said);
    },

    weight(data) {
      const names = ["ELBO that is reported", "entropy sum", "gap", "slope along v", "gap − slope"];
      const [table, cells] = readings(names);
      const said = element("p", { class: "companion-said", "aria-live": "polite" });
      const slider = element("input", { type: "range", min: 0, max: 2, step: 0.01, value: 0.5,
        "aria-label": "weight β of the KL divergence", oninput: () => show() });
      const [W, H, PAD] = [400, 240, 48], ends = [0, 2].map(beta => formulas.weight(data, beta).residual);
      const reach = Math.max(...ends.map(Math.abs));
      const px = beta => PAD + (W - PAD - 8) * beta / 2, py = value => H / 2 * (1 - 0.9 * value / reach);
      const dot = element("circle", { r: 6, fill: "#d55e00" });
      const stem = element("line", { stroke: "#d55e00", "stroke-width": 3 });
      const ticks = [0, 0.5, 1, 1.5, 2].map(value =>
        element("text", { x: px(value), y: H + 16, "text-anchor": "middle" }, String(value)));
      const heights = [-reach, 0, reach].map(value =>
        element("text", { x: PAD - 6, y: py(value) + 4, "text-anchor": "end" }, digits(value, 2)));
      const picture = element("svg", { viewBox: `0 0 ${W} ${H + 40}`, class: "companion-map", "aria-hidden": "true" },
        element("line", { x1: px(0), x2: px(2), y1: py(0), y2: py(0), stroke: "currentColor", "stroke-dasharray": "2 3" }),
        element("path", { d: `M${px(0)} ${py(ends[0])}L${px(2)} ${py(ends[1])}`, stroke: "currentColor", "stroke-width": 2, opacity: 0.5 }),
        stem, dot, ...ticks, ...heights,
        element("text", { x: PAD + 6, y: 12 }, "gap − slope (nats)"),
        element("text", { x: (W + PAD) / 2, y: H + 34, "text-anchor": "middle" }, "weight β of the KL divergence"));
      function show() {
        const beta = Number(slider.value), now = formulas.weight(data, beta);
        const places = { cx: px(beta), cy: py(now.residual), x1: px(beta), x2: px(beta), y1: py(0), y2: py(now.residual) };
        for (const [name, value] of Object.entries(places)) (name[0] === "c" ? dot : stem).setAttribute(name, value);
        const values = [now.elbo, now.entropySum, now.gap, now.slope, now.residual];
        names.forEach((name, i) => { cells[name].textContent = digits(values[i]); });
        slider.setAttribute("aria-valuetext", `β = ${digits(beta, 2)}, gap minus slope ${digits(now.residual)}`);
        said.textContent = `β = ${digits(beta, 2)}: ` + (beta === 1 ? "gap and slope are the same. This is the ELBO."
          : `${digits(now.residual)} nats are left, so the weight is 1 + (${digits(now.residual)}) / (${digits(data.logTau)}) = ${digits(1 + now.residual / data.logTau, 2)}.`);
      }
      show();
      return element("div", {},
        element("div", { class: "companion-controls" }, element("label", {}, "weight β: ", slider)),
        element("div", { class: "companion-columns" }, picture, table), said);
    },

    temperature(moments) {
      const at = t => formulas.temperature(moments[which.value], t);
      const [table, cells] = readings(["ELBO", "entropy sum", "gap", "slope in temperature"]);
      const said = element("p", { class: "companion-said", "aria-live": "polite" });
      const slider = element("input", { type: "range", min: 0.3, max: 2, step: 0.01, value: 1,
        "aria-label": "inverse temperature t", oninput: () => show() });
      const which = element("select", { "aria-label": "parameters", onchange: () => show() },
        // Names come in any order: the start, where there is something to see, is shown first.
        ...Object.keys(moments).sort().reverse().map(name => element("option", {}, name)));
      const [W, H, PAD] = [400, 240, 48], grid = [...Array(86).keys()].map(i => 0.3 + i / 50);
      const px = t => PAD + (W - PAD - 8) * t / 2;
      const curve = element("path", { fill: "none", stroke: "#56b4e9", "stroke-width": 3 });
      const tangent = element("path", { stroke: "currentColor", opacity: 0.6 });
      const dot = element("circle", { r: 6, fill: "#d55e00" });
      const foot = element("path", { d: "M-7 0L0 -7L7 0L0 7", fill: "#e69f00" });
      const heights = [0, 1, 2, 3].map(() => element("text", { x: PAD - 10, "text-anchor": "end" }));
      const ticks = [0, 0.5, 1, 1.5, 2].map(value =>
        element("text", { x: px(value), y: H + 16, "text-anchor": "middle" }, String(value)));
      const picture = element("svg", { viewBox: `0 0 ${W} ${H + 40}`, class: "companion-map", "aria-hidden": "true" },
        curve, tangent, foot, dot, ...ticks, ...heights, element("text", { x: PAD + 6, y: 12 }, "nats per data point"),
        element("text", { x: (W + PAD) / 2, y: H + 34, "text-anchor": "middle" }, "t (warmer ← 1 → colder)"));
      function show() {
        const t = Number(slider.value), now = at(t), drawn = grid.map(at);
        const seen = drawn.flatMap(({ elbo, entropySum }) => [elbo, entropySum]);
        const [low, high] = [Math.min(...seen), Math.max(...seen) + 0.3];
        const py = value => 20 + (H - 28) * (high - value) / (high - low);
        const line = (points) => "M" + points.map(([x, y]) => `${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("L");
        curve.setAttribute("d", line(drawn.map(({ elbo }, i) => [grid[i], elbo])));
        tangent.setAttribute("d", line([0, 2].map(x => [x, now.entropySum + x * now.slope / t])));
        dot.setAttribute("cx", px(t));
        dot.setAttribute("cy", py(now.elbo));
        foot.setAttribute("transform", `translate(${px(0)} ${py(now.entropySum)})`);
        heights.forEach((text, i) => {
          const value = low + (high - low) * i / 3;
          text.setAttribute("y", py(value) + 4);
          text.textContent = digits(value, 1);
        });
        [now.elbo, now.entropySum, now.gap, now.slope].forEach((value, i) => { Object.values(cells)[i].textContent = digits(value); });
        slider.setAttribute("aria-valuetext", `t = ${digits(t, 2)}, gap ${digits(now.gap)}`);
        said.textContent = `t = ${digits(t, 2)}, ${which.value}: ` + (Math.abs(now.gap) < 0.02
          ? "the tangent is level, the ELBO at its top and equal to the entropy sum (diamond)."
          : now.gap > 0 ? "too warm. The tangent rises, and meets t = 0 at the entropy sum (diamond), below the ELBO."
          : "too cold. The tangent falls, and meets t = 0 at the entropy sum (diamond), above the ELBO.");
      }
      show();
      return element("div", {},
        element("div", { class: "companion-controls" }, element("label", {}, "inverse temperature t: ", slider), which),
        element("div", { class: "companion-columns" }, picture, table), said);
    },
  };

  function start() {
    for (const script of document.querySelectorAll("script.companion-live")) {
      const cell = script.closest(".cell")?.previousElementSibling;
      const figure = cell?.querySelector("figure");
      if (!figure || !draw[script.dataset.figure]) continue;
      const live = draw[script.dataset.figure](JSON.parse(script.textContent));
      live.classList.add("companion-live");
      figure.classList.add("companion-has-live");
      figure.insertBefore(live, figure.querySelector("figcaption"));
    }
  }
  window.companionFormulas = formulas;
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
})();
