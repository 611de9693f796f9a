// Activation maps, drawn in the browser, so that what is seen can be changed while it is seen.
//
// maps.tile(map, image)     an image with a map over it, to be drawn by a viewer
// maps.Viewer               the maps of a page, and the controls that change how they are drawn
// maps.picture(image)       an image as it was drawn or taken
//
// A map is {bytes, height, width, column, label}: eighths of a std, from 4 below the mean
// (mining/standardised.py). It is enlarged bilinearly, as the correlations mean it.
"use strict";

rosetta.maps = (() => {
  const { h, fixed } = rosetta;
  const LOWEST = -4,
    STEP = 1 / 8;
  const SIDE = 116; // pixels of a tile before the screen's own density
  const DEFAULTS = { mode: "overlay", opacity: 72, threshold: 0, colours: "turbo", scale: "unit" };
  const scales = new Map();

  function colours(name) {
    if (!scales.has(name)) {
      const bytes = atob(rosetta.index.scales[name]);
      scales.set(
        name,
        Uint8Array.from(bytes, (letter) => letter.charCodeAt(0)),
      );
    }
    return scales.get(name);
  }

  // Bilinear resizing of one axis with align_corners=False: left neighbour and share of the right.
  function axis(source, target) {
    const left = new Int32Array(target),
      share = new Float32Array(target);
    for (let i = 0; i < target; i += 1) {
      const place = Math.min(Math.max(((i + 0.5) * source) / target - 0.5, 0), source - 1);
      left[i] = Math.min(Math.floor(place), Math.max(source - 2, 0));
      share[i] = source > 1 ? place - left[i] : 0;
    }
    return { left, share, step: source > 1 ? 1 : 0 };
  }

  function enlarge({ bytes, height, width }, side) {
    const rows = axis(height, side),
      across = axis(width, side);
    const result = new Float32Array(side * side);
    for (let y = 0; y < side; y += 1) {
      const top = rows.left[y] * width,
        below = top + rows.step * width,
        v = rows.share[y];
      for (let x = 0; x < side; x += 1) {
        const a = across.left[x],
          b = a + across.step,
          u = across.share[x];
        const upper = bytes[top + a] * (1 - u) + bytes[top + b] * u;
        const lower = bytes[below + a] * (1 - u) + bytes[below + b] * u;
        result[y * side + x] = LOWEST + STEP * (upper * (1 - v) + lower * v);
      }
    }
    return result;
  }

  // From the lowest activation to that at full strength: the 99.5 % quantile, at least one std
  // (pages/heatmap.py).
  function contrast(maps) {
    const counts = new Uint32Array(256);
    let total = 0;
    for (const map of maps) {
      for (const level of map.bytes) counts[level] += 1;
      total += map.bytes.length;
    }
    const lowest = counts.findIndex((count) => count > 0);
    let left = Math.floor(0.005 * total),
      level = 255;
    while (level > 0 && counts[level] <= left) {
      left -= counts[level];
      level -= 1;
    }
    return { low: LOWEST + STEP * lowest, full: Math.max(1, LOWEST + STEP * level) };
  }

  const peak = (map) => LOWEST + STEP * map.bytes.reduce((a, b) => Math.max(a, b), 0);

  function paint(canvas, map, range, { mode, threshold, colours: name }) {
    const side = canvas.width,
      table = colours(name);
    const values = enlarge(map, side),
      pixels = new ImageData(side, side);
    const raw = mode === "raw";
    const low = raw ? range.low : threshold,
      high = Math.max(range.full, low + 0.5);
    for (let i = 0; i < values.length; i += 1) {
      const heat = Math.min(Math.max((values[i] - low) / (high - low), 0), 1);
      const entry = 3 * Math.floor(255 * heat);
      pixels.data[4 * i] = table[entry];
      pixels.data[4 * i + 1] = table[entry + 1];
      pixels.data[4 * i + 2] = table[entry + 2];
      const kept = raw ? threshold === 0 || values[i] >= threshold : heat ** 0.7;
      pixels.data[4 * i + 3] = 255 * kept;
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }

  function picture(image, traits = {}) {
    const there = !rosetta.missing.has(image);
    return there
      ? h("img", {
          src: `pictures/images/${image}.webp`,
          alt: `image ${image}`,
          width: SIDE,
          height: SIDE,
          loading: "lazy",
          decoding: "async",
          ...traits,
        })
      : h("span", { class: "absent" }, `image ${image}`);
  }

  class Viewer {
    constructor(set) {
      this.set = { ...DEFAULTS };
      for (const name of Object.keys(DEFAULTS)) {
        if (set[name] === undefined) continue;
        this.set[name] = typeof DEFAULTS[name] === "number" ? Number(set[name]) : set[name];
      }
      if (!(this.set.colours in rosetta.index.scales)) this.set.colours = DEFAULTS.colours;
      this.tiles = [];
    }

    // The element shows nothing until draw() is called.
    tile(map, image) {
      const side = Math.round(SIDE * Math.min(window.devicePixelRatio || 1, 2));
      const canvas = h("canvas", {
        width: side,
        height: side,
        role: "img",
        "aria-label": `${map.label}, image ${image}: peak ${fixed(peak(map), 1)} std`,
      });
      const element = h(
        "div",
        { class: "tile", title: `${map.label}\npeak ${fixed(peak(map), 1)} std` },
        picture(image, { alt: "", "aria-hidden": "true" }),
        canvas,
      );
      this.tiles.push({ map, canvas });
      return element;
    }

    clear() {
      this.tiles = [];
    }

    draw() {
      const groups = new Map();
      const of = ({ map }, place) =>
        ({ map: place, unit: map.column, all: 0 })[this.set.scale] ?? 0;
      this.tiles.forEach((tile, place) => {
        const key = of(tile, place);
        if (!groups.has(key)) groups.set(key, []);
        groups.get(key).push(tile.map);
      });
      const ranges = new Map([...groups].map(([key, maps]) => [key, contrast(maps)]));
      this.tiles.forEach((tile, place) => {
        paint(tile.canvas, tile.map, ranges.get(of(tile, place)), this.set);
      });
      document.getElementById("main").classList.toggle("raw", this.set.mode === "raw");
      document.documentElement.style.setProperty("--opacity", this.set.opacity / 100);
    }

    change(changes) {
      Object.assign(this.set, changes);
      rosetta.route.keep(
        Object.fromEntries(
          Object.keys(changes).map((name) => [
            name,
            this.set[name] === DEFAULTS[name] ? undefined : this.set[name],
          ]),
        ),
      );
      this.draw();
    }

    controls() {
      const choice = (name, label, options) =>
        h(
          "label",
          {},
          label,
          h(
            "select",
            {
              name,
              onchange: (event) => this.change({ [name]: event.target.value }),
            },
            Object.entries(options).map(([value, text]) =>
              h(
                "option",
                {
                  value,
                  selected: this.set[name] === value,
                },
                text,
              ),
            ),
          ),
        );
      const slider = (name, label, { max, step, show }) => {
        const out = h("output", {}, show(this.set[name]));
        return h(
          "label",
          {},
          label,
          h("input", {
            type: "range",
            name,
            min: 0,
            max,
            step,
            value: this.set[name],
            oninput: (event) => {
              this.change({ [name]: Number(event.target.value) });
              out.textContent = show(this.set[name]);
            },
          }),
          out,
        );
      };
      return h(
        "fieldset",
        { class: "controls" },
        h("legend", { class: "hidden" }, "How maps are drawn"),
        choice("mode", "Show", { overlay: "map over image", raw: "map alone" }),
        slider("opacity", "Opacity", { max: 100, step: 1, show: (value) => `${value} %` }),
        slider("threshold", "From", { max: 8, step: 0.25, show: (value) => `${value} std` }),
        choice("scale", "Scale", {
          map: "each map its own",
          unit: "each unit its own",
          all: "shared",
        }),
        choice(
          "colours",
          "Colours",
          Object.fromEntries(Object.keys(rosetta.index.scales).map((n) => [n, n])),
        ),
      );
    }
  }

  return { Viewer, picture };
})();
