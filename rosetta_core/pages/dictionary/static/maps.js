// @ts-check
// Activation maps, drawn in the browser so that their appearance can be changed.
//
// Maps are enlarged bilinearly (align_corners=False), as the correlations do.
"use strict";

const maps = (() => {
  const { h, fixed } = rosetta;
  const LOWEST = -4; // std of byte 0 (mining/examples/quantisation.py)
  const STEP = 1 / 8; // std per level
  const SIDE = 116; // CSS pixels of a tile
  /** @type {ViewSettings} */
  const DEFAULTS = { mode: "overlay", opacity: 72, threshold: 0, colours: "turbo", scale: "unit" };
  /** @type {Map<string, Uint8Array>} */
  const scales = new Map();

  /**
   * A colour scale: 256 × 3 bytes.
   * @param {string} name
   */
  function colours(name) {
    let scale = scales.get(name);
    if (!scale) {
      scale = Uint8Array.from(atob(rosetta.index.scales[name]), (letter) => letter.charCodeAt(0));
      scales.set(name, scale);
    }
    return scale;
  }

  /**
   * Bilinear resizing of one axis: left neighbour, and weight of the right one.
   * @param {number} source
   * @param {number} target
   */
  function axis(source, target) {
    const left = new Int32Array(target);
    const share = new Float32Array(target);
    for (let i = 0; i < target; i += 1) {
      const place = Math.min(Math.max(((i + 0.5) * source) / target - 0.5, 0), source - 1);
      left[i] = Math.min(Math.floor(place), Math.max(source - 2, 0));
      share[i] = source > 1 ? place - left[i] : 0;
    }
    return { left, share, step: source > 1 ? 1 : 0 };
  }

  /**
   * A map in standard deviations, enlarged to a square.
   * @param {ActivationMap} map
   * @param {number} side
   */
  function enlarge({ bytes, height, width }, side) {
    const rows = axis(height, side);
    const across = axis(width, side);
    const result = new Float32Array(side * side);
    for (let y = 0; y < side; y += 1) {
      const top = rows.left[y] * width;
      const below = top + rows.step * width;
      const v = rows.share[y];
      for (let x = 0; x < side; x += 1) {
        const a = across.left[x];
        const b = a + across.step;
        const u = across.share[x];
        const upper = bytes[top + a] * (1 - u) + bytes[top + b] * u;
        const lower = bytes[below + a] * (1 - u) + bytes[below + b] * u;
        result[y * side + x] = LOWEST + STEP * (upper * (1 - v) + lower * v);
      }
    }
    return result;
  }

  /**
   * Lowest activation, and activation at full strength: the 99.5% quantile, at least one std
   * (drawing/heatmap.py).
   * @param {ActivationMap[]} group
   */
  function contrast(group) {
    const counts = new Uint32Array(256);
    let total = 0;
    for (const map of group) {
      for (const level of map.bytes) counts[level] += 1;
      total += map.bytes.length;
    }
    const lowest = counts.findIndex((count) => count > 0);
    let above = Math.floor(0.005 * total);
    let level = 255;
    while (level > 0 && counts[level] <= above) {
      above -= counts[level];
      level -= 1;
    }
    return { low: LOWEST + STEP * lowest, full: Math.max(1, LOWEST + STEP * level) };
  }

  /** @param {ActivationMap} map */
  const peak = (map) => LOWEST + STEP * map.bytes.reduce((a, b) => Math.max(a, b), 0);

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {ActivationMap} map
   * @param {{low: number, full: number}} range
   * @param {ViewSettings} settings
   */
  function paint(canvas, map, range, { mode, threshold, colours: name }) {
    const side = canvas.width;
    const table = colours(name);
    const values = enlarge(map, side);
    const pixels = new ImageData(side, side);
    const raw = mode === "raw";
    const low = raw ? range.low : threshold;
    const high = Math.max(range.full, low + 0.5);
    for (let i = 0; i < values.length; i += 1) {
      const heat = Math.min(Math.max((values[i] - low) / (high - low), 0), 1);
      const entry = 3 * Math.floor(255 * heat);
      pixels.data[4 * i] = table[entry];
      pixels.data[4 * i + 1] = table[entry + 1];
      pixels.data[4 * i + 2] = table[entry + 2];
      const opaque = raw ? Number(threshold === 0 || values[i] >= threshold) : heat ** 0.7;
      pixels.data[4 * i + 3] = 255 * opaque;
    }
    canvas.getContext("2d")?.putImageData(pixels, 0, 0);
  }

  /**
   * An image of the run.
   * @param {number} image
   * @param {Record<string, any>} traits
   */
  const picture = (image, traits = {}) =>
    h("img", {
      src: `pictures/images/${image}.webp`,
      alt: rosetta.imageName(image),
      title: rosetta.imageName(image),
      width: SIDE,
      height: SIDE,
      loading: "lazy",
      decoding: "async",
      ...traits,
    });

  /**
   * The maps of one list of images, cut from unpacked bytes.
   * @param {Uint8Array} bytes
   * @param {number} start
   * @param {Size} size
   * @param {number} count
   * @param {{column: number, label: string}} traits
   * @returns {ActivationMap[]}
   */
  function cut(bytes, start, [height, width], count, traits) {
    return Array.from({ length: count }, (_, place) => {
      const first = start + place * height * width;
      return { bytes: bytes.subarray(first, first + height * width), height, width, ...traits };
    });
  }

  // The maps of a page, and the controls of their appearance.
  class Viewer {
    /** @param {Settings} settings */
    constructor(settings) {
      /** @type {ViewSettings} */
      this.settings = {
        mode: settings.mode ?? DEFAULTS.mode,
        opacity: Number(settings.opacity ?? DEFAULTS.opacity),
        threshold: Number(settings.threshold ?? DEFAULTS.threshold),
        colours: settings.colours in rosetta.index.scales ? settings.colours : DEFAULTS.colours,
        scale: settings.scale ?? DEFAULTS.scale,
      };
      /** @type {{map: ActivationMap, canvas: HTMLCanvasElement}[]} */
      this.tiles = [];
    }

    /**
     * An image with a map over it; empty until draw() is called.
     * @param {ActivationMap} map
     * @param {number} image
     */
    tile(map, image) {
      const side = Math.round(SIDE * Math.min(window.devicePixelRatio || 1, 2));
      const canvas = h("canvas", {
        width: side,
        height: side,
        role: "img",
        "aria-label": `${map.label}, ${rosetta.imageName(image)}: peak ${fixed(peak(map), 1)} std`,
      });
      const element = h(
        "div",
        {
          class: "tile",
          title: `${rosetta.imageName(image)}\n${map.label}\npeak ${fixed(peak(map), 1)} std`,
        },
        picture(image, { alt: "", title: null, "aria-hidden": "true" }),
        canvas,
      );
      this.tiles.push({ map, canvas });
      return element;
    }

    clear() {
      this.tiles = [];
    }

    draw() {
      /** @type {(tile: {map: ActivationMap}, place: number) => number} */
      const groupOf = ({ map }, place) => {
        if (this.settings.scale === "map") return place;
        return this.settings.scale === "unit" ? map.column : 0;
      };
      /** @type {Map<number, ActivationMap[]>} */
      const groups = new Map();
      this.tiles.forEach((tile, place) => {
        const key = groupOf(tile, place);
        groups.set(key, [...(groups.get(key) ?? []), tile.map]);
      });
      const ranges = new Map([...groups].map(([key, group]) => [key, contrast(group)]));
      this.tiles.forEach((tile, place) => {
        const range = ranges.get(groupOf(tile, place));
        if (range) paint(tile.canvas, tile.map, range, this.settings);
      });
      rosetta.byId("main").classList.toggle("raw", this.settings.mode === "raw");
      const { style } = document.documentElement;
      style.setProperty("--opacity", String(this.settings.opacity / 100));
    }

    /** @param {Partial<ViewSettings>} changes */
    change(changes) {
      Object.assign(this.settings, changes);
      const names = /** @type {(keyof ViewSettings)[]} */ (Object.keys(changes));
      route.keep(
        Object.fromEntries(
          names.map((name) => [
            name,
            this.settings[name] === DEFAULTS[name] ? undefined : this.settings[name],
          ]),
        ),
      );
      this.draw();
    }

    controls() {
      /** @type {(name: "mode" | "scale" | "colours", label: string, options: Record<string, string>) => HTMLElement} */
      const choice = (name, label, options) =>
        h(
          "label",
          {},
          label,
          h(
            "select",
            {
              name,
              onchange: (/** @type {Event} */ event) =>
                this.change({ [name]: rosetta.inputValue(event) }),
            },
            Object.entries(options).map(([value, text]) =>
              h("option", { value, selected: this.settings[name] === value }, text),
            ),
          ),
        );
      /** @type {(name: "opacity" | "threshold", label: string, range: {max: number, step: number, unit: string}) => HTMLElement} */
      const slider = (name, label, { max, step, unit }) => {
        const out = h("output", {}, `${this.settings[name]}${unit}`);
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
            value: this.settings[name],
            oninput: (/** @type {Event} */ event) => {
              this.change({ [name]: Number(rosetta.inputValue(event)) });
              out.textContent = `${this.settings[name]}${unit}`;
            },
          }),
          out,
        );
      };
      const scales = Object.keys(rosetta.index.scales);
      return h(
        "fieldset",
        { class: "controls" },
        h("legend", { class: "hidden" }, "Appearance of the maps"),
        choice("mode", "Show", { overlay: "map over image", raw: "map alone" }),
        slider("opacity", "Opacity", { max: 100, step: 1, unit: "%" }),
        slider("threshold", "Threshold", { max: 8, step: 0.25, unit: " std" }),
        choice("scale", "Colour range", {
          map: "per map",
          unit: "per unit",
          all: "shared",
        }),
        choice("colours", "Colours", Object.fromEntries(scales.map((name) => [name, name]))),
      );
    }
  }

  return { Viewer, picture, cut };
})();
