// @ts-check
// Core of the pages: data files, elements, units, numbers and addresses.
"use strict";

const rosetta = (() => {
  /** @type {Map<string, any>} */
  const contents = new Map();
  /** @type {Map<string, Promise<any>>} */
  const pending = new Map();

  /**
   * Receive the content of a data file; every file under data/ calls this.
   * @param {string} key
   * @param {any} content
   */
  function receive(key, content) {
    contents.set(key, content);
  }

  /**
   * Load a data file. It is a script, because a page opened from disk cannot fetch files.
   * @param {string} key
   * @returns {Promise<any>}
   */
  function load(key) {
    if (contents.has(key)) return Promise.resolve(contents.get(key));
    let promise = pending.get(key);
    if (!promise) {
      promise = new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `data/${key}.js`;
        script.onload = () => {
          script.remove();
          resolve(contents.get(key));
        };
        script.onerror = () => {
          pending.delete(key);
          reject(
            new Error(`data/${key}.js: cannot be loaded; copy the whole folder of the dictionary`),
          );
        };
        document.head.append(script);
      });
      pending.set(key, promise);
    }
    return promise;
  }

  const SVG = "http://www.w3.org/2000/svg";
  const SHAPES = new Set(["svg", "g", "rect", "line", "path", "text", "title", "circle"]);

  /**
   * Make an element. Text is always text, never markup.
   * @template {string} T
   * @param {T} tag
   * @param {Record<string, any>} traits attributes; on… adds a listener, style is an object
   * @param {...Child} children
   * @returns {T extends keyof HTMLElementTagNameMap ? HTMLElementTagNameMap[T] : SVGElement}
   */
  function h(tag, traits = {}, ...children) {
    const element = SHAPES.has(tag)
      ? document.createElementNS(SVG, tag)
      : document.createElement(tag);
    for (const [name, value] of Object.entries(traits)) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "style") {
        const { style } = /** @type {HTMLElement} */ (element);
        for (const [key, one] of Object.entries(value)) style.setProperty(key, one);
      } else if (name === "value") /** @type {HTMLInputElement} */ (element).value = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...flat(children));
    return /** @type {any} */ (element);
  }

  /**
   * The nodes among children, in one list.
   * @param {Child[]} children
   * @returns {(string | Node)[]}
   */
  function flat(children) {
    return /** @type {any[]} */ (children)
      .flat(Number.POSITIVE_INFINITY)
      .filter((child) => child !== null && child !== undefined && typeof child !== "boolean")
      .map((child) => (typeof child === "number" ? String(child) : child));
  }

  /**
   * Value of the form control that an event is about.
   * @param {Event} event
   */
  const inputValue = (event) => /** @type {HTMLInputElement} */ (event.target).value;

  /**
   * An element of the page that is always there.
   * @param {string} id
   */
  function byId(id) {
    const element = document.getElementById(id);
    if (!element) throw new Error(`index.html has no element #${id}`);
    return element;
  }

  /**
   * Bytes that `pack` (pages/data_files.py) wrote as text.
   * @param {string} text
   * @returns {Promise<Uint8Array>}
   */
  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  const index = () => /** @type {IndexRecord} */ (contents.get("index"));

  const files = () => /** @type {FilesRecord | undefined} */ (contents.get("files"));

  /**
   * Name of an image: its file in the folder of images, or its number.
   * @param {number} image
   */
  const imageName = (image) => files()?.names[image] ?? `image ${image}`;

  /**
   * Address of the file that an image was read from; null if there is none.
   * @param {number} image
   */
  function originalOf(image) {
    const { names = [], address = null } = files() ?? {};
    if (address === null) return null;
    return `${address}/${names[image].split("/").map(encodeURIComponent).join("/")}`;
  }

  /**
   * By model the number of the first unit of every layer, and the number of units.
   * @type {Map<number, number[]>}
   */
  const starts = new Map();

  /**
   * @param {number} model
   * @returns {number[]}
   */
  function startsOf(model) {
    let found = starts.get(model);
    if (!found) {
      found = [0];
      for (const [, channels] of index().models[model].layers) {
        found.push(found[found.length - 1] + channels);
      }
      starts.set(model, found);
    }
    return found;
  }

  /**
   * Position of a unit's layer among the layers of its model.
   * @param {number} model
   * @param {number} number
   */
  function layerOf(model, number) {
    const from = startsOf(model);
    let low = 0;
    let high = from.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (from[middle] <= number) low = middle;
      else high = middle;
    }
    return low;
  }

  /**
   * @param {number} model
   * @param {number} number
   * @returns {Unit}
   */
  function unit(model, number) {
    const { name, layers } = index().models[model];
    const place = layerOf(model, number);
    const [layer, , height, width] = layers[place];
    const channel = number - startsOf(model)[place];
    return {
      model,
      number,
      layer,
      channel,
      height,
      width,
      name: `${layer}/${channel}`,
      id: `${name}/${layer}/${channel}`,
      href: `#/unit/${[name, layer, channel].map(encodeURIComponent).join("/")}`,
    };
  }

  /**
   * The unit of these names; null if there is none.
   * @param {string | undefined} model
   * @param {string | undefined} layer
   * @param {number} channel
   * @returns {Unit | null}
   */
  function find(model, layer, channel) {
    const number = index().models.findIndex((one) => one.name === model);
    if (number < 0) return null;
    const { layers } = index().models[number];
    const place = layers.findIndex(([name]) => name === layer);
    const known = place >= 0 && channel >= 0 && channel < layers[place][1];
    return known ? unit(number, startsOf(number)[place] + channel) : null;
  }

  /**
   * Number of units of a model.
   * @param {number} model
   */
  function units(model) {
    const from = startsOf(model);
    return from[from.length - 1];
  }

  /**
   * A whole number with commas. `toLocaleString` is slow on its first call, since the browser
   * then loads its tables of languages.
   * @param {number} number
   */
  const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");

  /**
   * @param {number} number
   * @param {string} one
   * @param {string} many
   */
  const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

  /**
   * A number with a fixed number of digits; "–" if it is missing.
   * @param {Value | undefined} number
   */
  const fixed = (number, digits = 2) =>
    number === null || number === undefined ? "–" : number.toFixed(digits).replace("-", "−");

  /** @type {Record<string, PageFunction>} */
  const pages = {};

  /**
   * Content of a page that does not exist.
   * @param {string} text
   * @returns {PageContent}
   */
  const notFound = (text) => ({
    title: "Not found",
    content: [
      h("h1", { tabindex: -1 }, "Not found"),
      h("p", {}, text),
      h("p", {}, h("a", { href: "#/concepts" }, "All concepts")),
    ],
  });

  /**
   * Announce a change to screen readers.
   * @param {string} text
   */
  function announce(text) {
    byId("announcement").textContent = text;
  }

  return {
    receive,
    load,
    h,
    flat,
    inputValue,
    byId,
    unpack,
    imageName,
    originalOf,
    unit,
    units,
    find,
    layerOf,
    startsOf,
    count,
    plural,
    fixed,
    notFound,
    announce,
    get index() {
      return index();
    },
    pages,
  };
})();
