// The heart of the pages: data that comes when it is asked for, and elements out of names.
//
// rosetta.receive(key, content)   what every file under data/ calls
// rosetta.load(key)               a promise of that content
// rosetta.h(tag, traits, …)       an element; text is always text, never markup
// rosetta.unpack(text)            bytes that were packed in Python (pages/packed.py)
// rosetta.unit(model, number)     a unit's layer, channel, name and address
"use strict";

const rosetta = (() => {
  const contents = new Map();
  const awaited = new Map();

  function receive(key, content) {
    contents.set(key, content);
  }

  // Scripts, since a page opened from disk may not fetch.
  function load(key) {
    if (contents.has(key)) return Promise.resolve(contents.get(key));
    if (!awaited.has(key)) {
      awaited.set(
        key,
        new Promise((resolve, reject) => {
          const script = document.createElement("script");
          script.src = `data/${key}.js`;
          script.onload = () => resolve(contents.get(key));
          script.onerror = () => {
            awaited.delete(key);
            reject(
              new Error(`data/${key}.js can't be loaded; was the dictionary copied as a whole?`),
            );
          };
          script.addEventListener("load", () => script.remove());
          document.head.append(script);
        }),
      );
    }
    return awaited.get(key);
  }

  const SVG = "http://www.w3.org/2000/svg";
  const SHAPES = new Set(["svg", "g", "rect", "line", "path", "text", "title", "circle"]);

  // traits: on… listen, class, dataset and style as objects, true and false as attributes
  function h(tag, traits = {}, ...children) {
    const element = SHAPES.has(tag)
      ? document.createElementNS(SVG, tag)
      : document.createElement(tag);
    for (const [name, value] of Object.entries(traits)) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "style") {
        for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
      } else if (name === "value") element.value = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(
      ...children
        .flat(Infinity)
        .filter((child) => child !== null && child !== false && child !== undefined),
    );
    return element;
  }

  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // By model the number of the first unit of every layer, and of the last one the end.
  const starts = new Map();

  function startsOf(model) {
    if (!starts.has(model)) {
      const found = [0];
      for (const layer of rosetta.index.models[model].layers) found.push(found.at(-1) + layer[1]);
      starts.set(model, found);
    }
    return starts.get(model);
  }

  function layerOf(model, number) {
    const from = startsOf(model);
    let low = 0,
      high = from.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (from[middle] <= number) low = middle;
      else high = middle;
    }
    return low;
  }

  function unit(model, number) {
    const { name, layers } = rosetta.index.models[model];
    const place = layerOf(model, number);
    const [layer, , height, width] = layers[place];
    const channel = number - startsOf(model)[place];
    return {
      model,
      number,
      place,
      layer,
      channel,
      height,
      width,
      name: `${layer}/${channel}`,
      id: `${name}/${layer}/${channel}`,
      href: `#/unit/${[name, layer, channel].map(encodeURIComponent).join("/")}`,
    };
  }

  // The number of a unit by its names; -1 if there is none.
  function find(model, layer, channel) {
    const found = rosetta.index.models.findIndex((one) => one.name === model);
    if (found < 0) return { model: -1, number: -1 };
    const place = rosetta.index.models[found].layers.findIndex((one) => one[0] === layer);
    const inside =
      place >= 0 && channel >= 0 && channel < rosetta.index.models[found].layers[place][1];
    return { model: found, number: inside ? startsOf(found)[place] + channel : -1 };
  }

  const units = (model) => startsOf(model).at(-1);
  // A whole number with commas. toLocaleString would do, but its first call loads the browser's
  // tables of languages, which takes longer than drawing a page.
  const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");
  const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
  const fixed = (number, digits = 2) => number.toFixed(digits).replace("-", "−");

  return {
    receive,
    load,
    h,
    unpack,
    unit,
    units,
    find,
    layerOf,
    startsOf,
    count,
    plural,
    fixed,
    get index() {
      return contents.get("index");
    },
    pages: {},
  };
})();
