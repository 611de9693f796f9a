// The layers of a network: how many units are Rosetta units, and how selective those are.
//
// layers.curves(model, data)       over depth: the share of Rosetta units, and both groups' medians
// layers.table(model, data)        the same in numbers
// layers.superiority(rows)         whether Rosetta units are more selective than others
// layers.name(model)               what a model's Rosetta units are called
"use strict";

rosetta.layers = (() => {
  const { h, fixed, count } = rosetta;
  const MEASURES = { sparsity: "sparser", selectivity: "more selective" };
  const CLEAR = 0.05;

  const name = (model) => (model ? "in the dictionary" : "Rosetta neurons");
  const percent = (value) => (value === null ? "–" : `${Math.round(100 * value)} %`);
  const chance = (p) => (p === null ? "–" : p < 0.001 ? "< 0.001" : fixed(p, 3));

  // rows of model_data.py as objects; null where there is no unit to take it from
  function read(model, table) {
    const known = rosetta.index.models[model].layers;
    const part = (value) => (value === null ? null : value / 1000);
    return table.map(([units, dead, matched, inside, ...medians], place) => ({
      units,
      dead,
      matched,
      inside,
      layer: known[place][0],
      map: `${known[place][2]}×${known[place][3]}`,
      share: units > dead ? inside / (units - dead) : null,
      sparsity: part(medians[0]),
      sparsity_rest: part(medians[1]),
      selectivity: part(medians[2]),
      selectivity_rest: part(medians[3]),
    }));
  }

  function curves(model, data) {
    const rows = read(model, data),
      own = rosetta.index.models[model].name;
    const values = (key) => rows.map((row) => row[key]);
    const chart = (caption, sets, from_zero) =>
      h(
        "div",
        {},
        h("p", { class: "caption" }, caption),
        rosetta.charts.curves(sets, {
          names: values("layer"),
          label: `${caption}, by layer of ${own}; the table of its layers has the numbers`,
          from_zero,
        }),
      );
    const both = (measure) => [
      { name: "all others (dashed)", place: 0, values: values(`${measure}_rest`) },
      { name: name(model), place: 1, values: values(measure) },
    ];
    return h(
      "div",
      { class: "columns" },
      chart("Share of the living units", [
        { name: name(model), place: 1, values: values("share") },
      ]),
      chart("Selectivity, the median", both("selectivity"), false),
      chart("Sparsity, the median", both("sparsity"), false),
    );
  }

  const share = (value) =>
    value === null
      ? "–"
      : h("span", { class: "share" }, rosetta.charts.meter(value), ` ${percent(value)}`);

  function table(model, data) {
    const own = rosetta.index.models[model].name;
    const number = (head, key, show = (row) => count(row[key])) => ({
      head,
      value: (row) => row[key],
      show,
      number: true,
    });
    const median = (head, key) =>
      number(head, key, (row) => (row[key] === null ? "–" : fixed(row[key])));
    return rosetta.tables.table({
      name: `layers-${model}`,
      caption: `The layers of ${own}`,
      rows: read(model, data),
      columns: [
        {
          head: "layer",
          value: (row) => row.layer,
          head_of_row: true,
          show: (row) =>
            h(
              "a",
              { href: rosetta.route.link(["concepts"], { q: `${own} ${row.layer}` }) },
              row.layer,
            ),
        },
        { head: "map", value: (row) => row.map },
        number("units", "units"),
        number("dead", "dead"),
        number("with a best buddy", "matched"),
        number(name(model), "inside"),
        { head: "of the living", value: (row) => row.share, show: (row) => share(row.share) },
        median("selectivity", "selectivity"),
        median("selectivity of others", "selectivity_rest"),
        median("sparsity", "sparsity"),
        median("sparsity of others", "sparsity_rest"),
      ],
    });
  }

  // How many networks it holds in, in a sentence.
  function reading(rows) {
    const known = rows.filter((row) => row.measure === "selectivity" && row.within !== null);
    if (!known.length) return "No layer has both Rosetta units and others, so nothing is compared.";
    const clear = known.filter((row) => row.p <= CLEAR);
    const more = clear.filter((row) => row.within > 0.5).length;
    return (
      `Rosetta units are more selective than the others of their layer in ${more} of ` +
      `${known.length} networks, less selective in ${clear.length - more}, and in ` +
      `${known.length - clear.length} there is no clear difference (p > ${CLEAR}).`
    );
  }

  function superiority(data) {
    const { models } = rosetta.index;
    const rows = data.map(([model, measure, inside, rest, within, p, across]) => {
      return { model, measure, inside, rest, within, p, across };
    });
    const number = (head, key, show) => ({ head, value: (row) => row[key], show, number: true });
    return [
      h("h2", { id: "selective" }, "Are Rosetta units more selective?"),
      h("p", {}, reading(rows)),
      h(
        "p",
        { class: "quiet" },
        "Rosetta units are the Rosetta neurons and, of an encoder, their best buddies. A unit " +
          "responds where it is above its mean. Its sparsity is 0 if it responds alike at all " +
          "positions of all images, and 1 if at one; its selectivity is the same of its mean " +
          "response to each image. Pairs are of a Rosetta unit and another unit of the same layer; " +
          "50 % is no difference. p takes units as independent; those of one concept aren't.",
      ),
      rosetta.tables.table({
        name: "superiority",
        caption: "How often a Rosetta unit exceeds another unit of its layer",
        rows,
        columns: [
          { head: "network", value: (row) => models[row.model].name, head_of_row: true },
          { head: "is", value: (row) => MEASURES[row.measure] },
          number("in pairs of a layer", "within", (row) => percent(row.within)),
          number("p", "p", (row) => chance(row.p)),
          number("in all pairs", "across", (row) => percent(row.across)),
          number("Rosetta units", "inside", (row) => count(row.inside)),
          number("others", "rest", (row) => count(row.rest)),
        ],
      }),
    ];
  }

  return { curves, table, superiority, name };
})();
