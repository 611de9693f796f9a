// All concepts as cards: sorted, filtered, found by their units.
"use strict";

rosetta.pages.concepts = (() => {
  const { h, count, plural, fixed } = rosetta;
  const A_PAGE = 48;
  const SORTS = {
    mean: "highest mean correlation", min: "highest weakest correlation", size: "most neurons",
    depth: "depth in the pivot", number: "number",
  };

  // Units by words: all words must be in "model/layer", a last whole number is the channel.
  function findUnits(query) {
    const words = query.toLowerCase().split(/[\s/]+/).filter(Boolean);
    const last = words.at(-1);
    const channel = /^\d+$/.test(last ?? "") ? Number(words.pop()) : null;
    if (!words.length) return { words, channel, layers: [] };
    const layers = [];
    rosetta.index.models.forEach((one, model) => one.layers.forEach(([layer, channels], place) => {
      const name = `${one.name}/${layer}`.toLowerCase();
      if (words.every((word) => name.includes(word)) && (channel === null || channel < channels)) {
        const first = rosetta.startsOf(model)[place];
        layers.push(channel === null ? { model, first, end: first + channels }
          : { model, first: first + channel, end: first + channel + 1 });
      }
    }));
    return { words, channel, layers };
  }

  // The concepts that have one of the units.
  async function conceptsWith(layers) {
    const search = await rosetta.load("search");
    const found = new Set();
    for (const { model, first, end } of layers) {
      const { units, concepts } = search[model];
      units.forEach((unit, place) => {
        if (unit >= first && unit < end) found.add(concepts[place]);
      });
    }
    return found;
  }

  async function search(query) {
    const number = query.trim().match(/^(?:concept\s*)?(\d+)$/i);
    if (number) return { units: [], concepts: new Set([Number(number[1])]) };
    const { layers, channel } = findUnits(query);
    const units = channel === null ? [] : layers.map(({ model, first }) => rosetta.unit(model, first));
    return { units, concepts: await conceptsWith(layers), layers };
  }

  const numbers = () => rosetta.index.concepts.size.map((_, number) => number);

  function matches(number, set, model, found) {
    const { size, mean, corr, leading } = rosetta.index.concepts;
    const value = model > 0 ? corr[model - 1][number] : mean[number];
    const unit = rosetta.unit(Math.max(model, 0), leading[Math.max(model, 0)][number]);
    return value >= 1000 * Number(set.corr || 0) && size[number] >= Number(set.size || 1)
      && (!set.layer || unit.layer === set.layer)
      && (!set.grid || `${unit.height}×${unit.width}` === set.grid)
      && (!found || found.has(number));
  }

  function sorted(chosen, sort, model) {
    const { size, mean, min, corr, leading } = rosetta.index.concepts;
    const value = model > 0 ? corr[model - 1] : mean;
    const by = {
      mean: (a, b) => value[b] - value[a], min: (a, b) => min[b] - min[a],
      size: (a, b) => size[b] - size[a], depth: (a, b) => leading[0][a] - leading[0][b],
      number: () => 0,
    }[sort] ?? (() => 0);
    return chosen.sort((a, b) => by(a, b) || a - b);
  }

  function card(number) {
    const { size, mean, min, leading } = rosetta.index.concepts;
    const unit = rosetta.unit(0, leading[0][number]);
    return h("li", {}, h("a", { class: "card", href: rosetta.route.link(["concept", number]) },
      h("img", { src: `pictures/concepts/${number}.webp`, width: 192, height: 96, loading: "lazy",
        decoding: "async", alt: `its best example, and the map of ${unit.id} over it` }),
      h("span", { class: "title" }, h("b", {}, `Concept ${number}`),
        h("span", {}, fixed(mean[number] / 1000))),
      rosetta.charts.meter(mean[number] / 1000),
      h("span", { class: "small" }, `${plural(size[number], "neuron")}, least `
        + `${fixed(min[number] / 1000)}`),
      h("span", { class: "small ellipsis" }, unit.name)));
  }

  function lead() {
    const { models, images, neurons, run } = rosetta.index;
    const total = rosetta.index.concepts.size.length;
    const facts = [[total, "concepts"], [neurons, "Rosetta neurons"], [models.length, "networks"],
      [images, "images"]];
    return h("div", { class: "lead" },
      h("h1", { tabindex: -1 }, `${plural(total, "concept")} that ${models.length} networks share`),
      h("p", {}, `Run ${run}: ${models[0].name} drew ${plural(images, "image")}; `,
        models.slice(1).map((model) => model.name).join(", "), " looked at them. ",
        h("a", { href: "#/guide" }, "How to read these pages")),
      h("dl", { class: "facts" }, facts.map(([value, name]) => h("div", {},
        h("dd", {}, count(value)), h("dt", {}, name)))));
  }

  function filters(set, model, change) {
    const { models, concepts } = rosetta.index;
    const place = Math.max(model, 0);
    const units = concepts.leading[place].map((unit) => rosetta.unit(place, unit));
    const present = new Map(units.map((unit) => [unit.layer, unit.place]));
    const layers = [...present].sort((a, b) => a[1] - b[1]).map(([layer]) => layer);
    const grids = [...new Set(units.map((unit) => `${unit.height}×${unit.width}`))]
      .sort((a, b) => parseInt(a, 10) - parseInt(b, 10));
    const select = (name, label, options, value, also = {}) => h("label", {}, label, h("select", {
      name, onchange: (event) => change({ [name]: event.target.value, ...also }),
    }, options.map(([key, text]) => h("option", { value: key, selected: key === (value ?? "") }, text))));
    const number = (name, label, value, traits) => h("label", {}, label, h("input", {
      type: "number", name, value: value ?? "", ...traits,
      onchange: (event) => change({ [name]: event.target.value }),
    }));
    return h("form", { class: "filters", role: "group", "aria-label": "Filters",
      onsubmit: (event) => event.preventDefault() },
    select("sort", "Order", Object.entries(SORTS).map(([key, text]) => [key === "mean" ? "" : key, text]),
      set.sort),
    select("model", "Network", [["", "all"], ...models.map(({ name }, number) => [
      name, number ? name : `${name} (pivot)`])], set.model, { layer: "", grid: "" }),
    select("layer", "Layer", [["", "any"], ...layers.map((layer) => [layer, layer])], set.layer),
    select("grid", "Map size", [["", "any"], ...grids.map((grid) => [grid, grid])], set.grid),
    number("corr", "Correlation at least", set.corr, { min: 0, max: 1, step: 0.05, placeholder: "0" }),
    number("size", "Neurons at least", set.size, { min: 1, step: 1, placeholder: "1" }),
    h("a", { class: "small", href: "#/concepts" }, "Clear"));
  }

  function saver(chosen) {
    const { size, mean, min, corr, leading } = rosetta.index.concepts, { models } = rosetta.index;
    return rosetta.tables.saver("concepts", [
      { head: "concept", value: (number) => number },
      { head: "size", value: (number) => size[number] },
      { head: "mean_corr", value: (number) => mean[number] / 1000 },
      { head: "min_corr", value: (number) => min[number] / 1000 },
      ...models.slice(1).map(({ name }, place) => (
        { head: `mean_corr ${name}`, value: (number) => corr[place][number] / 1000 })),
      ...models.map(({ name }, model) => ({ head: `leading unit of ${name}`,
        value: (number) => rosetta.unit(model, leading[model][number]).id })),
    ], chosen);
  }

  function pager(page, pages, set) {
    if (pages < 2) return null;
    const go = (to, text, rel) => (to < 0 || to >= pages ? h("span", { class: "off" }, text)
      : h("a", { rel, href: rosetta.route.link(["concepts"], { ...set, page: to || undefined }) }, text));
    return h("nav", { class: "pager", "aria-label": "Pages of concepts" },
      go(page - 1, "← previous", "prev"), h("span", {}, `page ${page + 1} of ${count(pages)}`),
      go(page + 1, "next →", "next"));
  }

  function unitsFound(units) {
    if (!units.length) return null;
    return h("section", { class: "found" }, h("h2", {}, plural(units.length, "unit")),
      h("ul", { class: "chips" }, units.slice(0, 60).map((unit) => h("li", {},
        h("a", { href: unit.href }, unit.id)))));
  }

  return async function concepts({ set }) {
    const model = rosetta.index.models.findIndex((one) => one.name === set.model);
    const found = set.q ? await search(set.q) : null;
    const chosen = sorted(numbers().filter(
      (number) => matches(number, set, model, found?.concepts)), set.sort || "mean", model);
    const pages = Math.max(1, Math.ceil(chosen.length / A_PAGE));
    const page = Math.min(Math.max(Number(set.page) || 0, 0), pages - 1);
    const change = (changes) => {
      location.hash = rosetta.route.link(["concepts"], { ...set, page: undefined, ...changes });
    };
    const shown = chosen.slice(page * A_PAGE, (page + 1) * A_PAGE);
    rosetta.say(`${plural(chosen.length, "concept")} found`);
    const none = rosetta.index.concepts.size.length
      ? "No concept is like this. "
      : `No unit of ${rosetta.index.models[0].name} has a best buddy in every encoder. More images `
        + "(sampling.images), a larger neighbours.k or fewer encoders give more. ";
    return {
      title: "Concepts",
      move: (step) => page + step >= 0 && page + step < pages
        && rosetta.route.link(["concepts"], { ...set, page: page + step || undefined }),
      content: [
        set.q ? h("h1", { tabindex: -1 }, `Found for “${set.q}”`) : lead(),
        filters(set, model, change),
        found && unitsFound(found.units),
        h("p", { class: "quiet", id: "count" }, chosen.length === numbers().length
          ? `All ${plural(chosen.length, "concept")}`
          : `${plural(chosen.length, "concept")} of ${count(numbers().length)}`, " ", saver(chosen)),
        chosen.length ? h("ol", { class: "cards" }, shown.map(card))
          : h("p", {}, none, h("a", { href: "#/concepts" }, "Show all concepts")),
        pager(page, pages, set),
      ],
    };
  };
})();
