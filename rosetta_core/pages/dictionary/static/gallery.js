// All concepts as cards: sorted, filtered, found by their units.
"use strict";

rosetta.pages.concepts = (() => {
  const { h, count, plural, fixed } = rosetta;
  const A_PAGE = 48;
  const SORTS = {
    mean: "highest mean correlation",
    min: "highest weakest correlation",
    size: "most neurons",
    excess: "farthest beyond chance",
    replication: "most often found again",
    depth: "depth in the pivot",
    number: "number",
  };

  // By concept the correlation to go by: the mean over its pairs, with one encoder if one is chosen.
  const strength = (model) => {
    const { corr, mean } = rosetta.index.concepts;
    return model > 0 ? corr[model - 1] : mean;
  };

  // By layer of a network whether the filters let its units through; null if no filter asks for it.
  function layersLet(set, place) {
    if (!set.layer && !set.grid) return null;
    return rosetta.index.models[place].layers.map(
      ([layer, , height, width]) =>
        (!set.layer || layer === set.layer) && (!set.grid || `${height}×${width}` === set.grid),
    );
  }

  // The numbers of the concepts that the filters let through. It looks at every concept, so it
  // makes no unit's name.
  function chosenBy(set, model, found) {
    const { size, representative, excess, replication } = rosetta.index.concepts;
    const place = Math.max(model, 0),
      units = representative[place],
      value = strength(model);
    const layers = layersLet(set, place);
    const least = {
      corr: 1000 * Number(set.corr || 0),
      size: Number(set.size || 1),
      excess: 1000 * Number(set.excess || -1),
      again: 10 * Number(set.again || 0),
    };
    const chosen = [];
    for (let number = 0; number < size.length; number += 1) {
      if (
        value[number] >= least.corr &&
        size[number] >= least.size &&
        (!excess || excess[number] >= least.excess) &&
        (!replication || replication[number] >= least.again) &&
        (!layers || layers[rosetta.layerOf(place, units[number])]) &&
        (!found || found.has(number))
      )
        chosen.push(number);
    }
    return chosen;
  }

  function sorted(chosen, sort, model) {
    const { size, min, representative, excess, replication } = rosetta.index.concepts;
    const value = strength(model);
    const by =
      {
        mean: (a, b) => value[b] - value[a],
        min: (a, b) => min[b] - min[a],
        size: (a, b) => size[b] - size[a],
        excess: (a, b) => (excess ? excess[b] - excess[a] : 0),
        replication: (a, b) => (replication ? replication[b] - replication[a] : 0),
        depth: (a, b) => representative[0][a] - representative[0][b],
        number: () => 0,
      }[sort] ?? (() => 0);
    return chosen.sort((a, b) => by(a, b) || a - b);
  }

  function card(number, model) {
    const { size, min, representative } = rosetta.index.concepts;
    const unit = rosetta.unit(0, representative[0][number]);
    return rosetta.parts.card(number, {
      value: strength(model)[number] / 1000,
      alt: `its best example, and the map of ${unit.id} over it`,
      lines: [`${plural(size[number], "neuron")}, least ${fixed(min[number] / 1000)}`, unit.name],
    });
  }

  function lead() {
    const { models, images, neurons, run, folder } = rosetta.index;
    const total = rosetta.index.concepts.size.length;
    const facts = [
      [total, "concepts"],
      [neurons, "Rosetta neurons"],
      [models.length, "networks"],
      [images, "images"],
    ];
    return h(
      "div",
      { class: "lead" },
      h("h1", { tabindex: -1 }, `${plural(total, "concept")} that ${models.length} networks share`),
      h(
        "p",
        {},
        folder
          ? `Run ${run}: ${plural(images, "image")} of the folder ${folder}; `
          : `Run ${run}: ${models[0].name} drew ${plural(images, "image")}; `,
        models
          .slice(folder ? 0 : 1)
          .map((model) => model.name)
          .join(", "),
        " looked at them. ",
        h("a", { href: "#/guide" }, "How to read these pages"),
      ),
      h(
        "dl",
        { class: "facts" },
        facts.map(([value, name]) => h("div", {}, h("dd", {}, count(value)), h("dt", {}, name))),
      ),
    );
  }

  // The layers of a network that units are in, in its order.
  function layersOf(place, units) {
    const present = new Set();
    for (const unit of units) present.add(rosetta.layerOf(place, unit));
    return rosetta.index.models[place].layers.filter((_, layer) => present.has(layer));
  }

  function filters(set, model, change) {
    const { models, concepts } = rosetta.index;
    const place = Math.max(model, 0);
    const present = layersOf(place, concepts.representative[place]);
    const layers = present.map(([layer]) => layer);
    const grids = [...new Set(present.map(([, , height, width]) => `${height}×${width}`))].sort(
      (a, b) => parseInt(a, 10) - parseInt(b, 10),
    );
    const select = (name, label, options, value, also = {}) =>
      h(
        "label",
        {},
        label,
        h(
          "select",
          {
            name,
            onchange: (event) => change({ [name]: event.target.value, ...also }),
          },
          options.map(([key, text]) =>
            h("option", { value: key, selected: key === (value ?? "") }, text),
          ),
        ),
      );
    const number = (name, label, value, traits) =>
      h(
        "label",
        {},
        label,
        h("input", {
          type: "number",
          name,
          value: value ?? "",
          ...traits,
          onchange: (event) => change({ [name]: event.target.value }),
        }),
      );
    return h(
      "form",
      {
        class: "filters",
        role: "group",
        "aria-label": "Filters",
        onsubmit: (event) => event.preventDefault(),
      },
      select(
        "sort",
        "Order",
        Object.entries(SORTS)
          .filter(([key]) => !["excess", "replication"].includes(key) || concepts[key])
          .map(([key, text]) => [key === "mean" ? "" : key, text]),
        set.sort,
      ),
      select(
        "model",
        "Network",
        [
          ["", "all"],
          ...models.map(({ name }, number) => [name, number ? name : `${name} (pivot)`]),
        ],
        set.model,
        { layer: "", grid: "" },
      ),
      select("layer", "Layer", [["", "any"], ...layers.map((layer) => [layer, layer])], set.layer),
      select("grid", "Map size", [["", "any"], ...grids.map((grid) => [grid, grid])], set.grid),
      number("corr", "Correlation at least", set.corr, {
        min: 0,
        max: 1,
        step: 0.05,
        placeholder: "0",
      }),
      concepts.excess &&
        number("excess", "Beyond chance at least", set.excess, {
          min: -1,
          max: 1,
          step: 0.05,
          placeholder: "−1",
        }),
      concepts.replication &&
        number("again", "Found again in % at least", set.again, {
          min: 0,
          max: 100,
          step: 10,
          placeholder: "0",
        }),
      number("size", "Neurons at least", set.size, { min: 1, step: 1, placeholder: "1" }),
      h("a", { class: "small", href: "#/concepts" }, "Clear"),
    );
  }

  function saver(chosen) {
    const { size, mean, min, corr, representative, ...told } = rosetta.index.concepts,
      { models } = rosetta.index;
    return rosetta.tables.saver(
      "concepts",
      [
        { head: "concept", value: (number) => number },
        { head: "size", value: (number) => size[number] },
        { head: "mean_corr", value: (number) => mean[number] / 1000 },
        { head: "min_corr", value: (number) => min[number] / 1000 },
        ...Object.entries(told).map(([head, values]) => ({
          head: head === "p" ? "p_value" : head,
          value: (number) => values[number] / 1000,
        })),
        ...models.slice(1).map(({ name }, place) => ({
          head: `mean_corr ${name}`,
          value: (number) => corr[place][number] / 1000,
        })),
        ...models.map(({ name }, model) => ({
          head: `representative unit of ${name}`,
          value: (number) => rosetta.unit(model, representative[model][number]).id,
        })),
      ],
      chosen,
    );
  }

  function unitsFound(units) {
    if (!units.length) return null;
    return h(
      "section",
      { class: "found" },
      h("h2", {}, plural(units.length, "unit")),
      h(
        "ul",
        { class: "chips" },
        units.slice(0, 60).map((unit) => h("li", {}, rosetta.parts.unitLink(unit))),
      ),
    );
  }

  return async function concepts({ set }) {
    const model = rosetta.index.models.findIndex((one) => one.name === set.model);
    const found = set.q ? await rosetta.search(set.q) : null;
    const total = rosetta.index.concepts.size.length;
    const chosen = sorted(chosenBy(set, model, found?.concepts), set.sort || "mean", model);
    const pages = Math.max(1, Math.ceil(chosen.length / A_PAGE));
    const page = Math.min(Math.max(Number(set.page) || 0, 0), pages - 1);
    const change = (changes) => {
      location.hash = rosetta.route.link(["concepts"], { ...set, page: undefined, ...changes });
    };
    const at = (by) =>
      page + by < 0 || page + by >= pages
        ? null
        : rosetta.route.link(["concepts"], { ...set, page: page + by || undefined });
    const shown = chosen.slice(page * A_PAGE, (page + 1) * A_PAGE);
    rosetta.say(`${plural(chosen.length, "concept")} found`);
    const none = total
      ? "No concept is like this. "
      : `No unit of ${rosetta.index.models[0].name} has a best buddy in every encoder. More images ` +
        "(sampling.images), a larger neighbours.k or fewer encoders give more. ";
    return {
      title: "Concepts",
      move: at,
      content: [
        set.q ? h("h1", { tabindex: -1 }, `Found for “${set.q}”`) : lead(),
        filters(set, model, change),
        found && unitsFound(found.units),
        h(
          "p",
          { class: "quiet", id: "count" },
          chosen.length === total
            ? `All ${plural(chosen.length, "concept")}`
            : `${plural(chosen.length, "concept")} of ${count(total)}`,
          " ",
          saver(chosen),
        ),
        chosen.length
          ? h(
              "ol",
              { class: "cards" },
              shown.map((number) => card(number, model)),
            )
          : h("p", {}, none, h("a", { href: "#/concepts" }, "Show all concepts")),
        rosetta.parts.pager(page, pages, "concepts", at),
      ],
    };
  };
})();
