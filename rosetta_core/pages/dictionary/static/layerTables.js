// @ts-check
// Layers of a model: share and selectivity of its Rosetta units, as charts and tables.
"use strict";

const layerTables = (() => {
  const { h } = rosetta;

  /**
   * Rows of a model's layers with their names and map sizes.
   * @param {number} model
   * @param {Columns} data
   */
  function rowsOf(model, data) {
    const { layers } = rosetta.index.models[model];
    return columns.rows(data).map((row, place) => {
      const [layer, , height, width] = layers[place];
      return { ...row, layer, size: `${height}×${width}` };
    });
  }

  /**
   * @param {number} model
   * @param {Columns} data
   */
  function curves(model, data) {
    const { name, layers } = rosetta.index.models[model];
    const names = layers.map(([layer]) => layer);
    const rosettaUnits = model ? "Rosetta units" : "Rosetta neurons";
    /** @type {(caption: string, sets: {name: string, place: number, values: Value[]}[], fromZero?: boolean) => HTMLElement} */
    const chart = (caption, sets, fromZero) =>
      h(
        "div",
        {},
        h("p", { class: "caption" }, caption),
        charts.curves(sets, {
          names,
          label: `${caption}, by layer of ${name}; the values are in the table of its layers`,
          fromZero,
        }),
      );
    /** @param {string} measure */
    const both = (measure) => [
      { name: "other units (dashed)", place: 0, values: data[`${measure}_other`] },
      { name: rosettaUnits, place: 1, values: data[measure] },
    ];
    return h(
      "div",
      { class: "columns" },
      chart("Share of the alive units", [
        { name: rosettaUnits, place: 1, values: data.rosetta_share },
      ]),
      chart("Median selectivity", both("selectivity"), false),
      chart("Median sparsity", both("sparsity"), false),
    );
  }

  /**
   * @param {number} model
   * @param {Columns} data
   */
  function table(model, data) {
    const { name } = rosetta.index.models[model];
    /** @param {{rosetta_share: Value}} row */
    const share = ({ rosetta_share: value }) =>
      value === null
        ? "–"
        : h("span", { class: "share" }, charts.meter(value), ` ${columns.write(value, "percent")}`);
    return tables.table({
      name: `layers-${model}`,
      caption: `Layers of ${name}`,
      rows: rowsOf(model, data),
      columns: [
        {
          head: "layer",
          value: (row) => row.layer,
          rowHead: true,
          show: (row) =>
            h("a", { href: route.link(["concepts"], { q: `${name} ${row.layer}` }) }, row.layer),
        },
        { head: "map size", value: (row) => row.size },
        ...columns.of("layers", { rosetta_share: share }),
      ],
    });
  }

  /**
   * In how many models Rosetta units are more selective, as a sentence.
   * @param {Record<string, any>[]} rows
   */
  function reading(rows) {
    const { maxPValue } = rosetta.index.thresholds;
    const known = rows.filter(
      (row) => row.measure === "selectivity" && row.vargha_delaney_a !== null,
    );
    if (!known.length) return "No layer has both Rosetta units and other units to compare.";
    const significant = known.filter((row) => row.p_value !== null && row.p_value <= maxPValue);
    const more = significant.filter((row) => row.vargha_delaney_a > 0.5).length;
    return (
      `Rosetta units are more selective than the other units of their layer in ${more} of ` +
      `${known.length} models, less selective in ${significant.length - more}, and not ` +
      `significantly different (p > ${maxPValue}) in ${known.length - significant.length}.`
    );
  }

  /** @param {ModelsRecord["varghaDelaney"]} data */
  function comparison(data) {
    const rows = columns.rows(data);
    return [
      h("h2", { id: "selective" }, "Selectivity of Rosetta units"),
      h("p", {}, reading(rows)),
      h(
        "p",
        { class: "quiet" },
        "Rosetta units are the Rosetta neurons and their best buddies. A unit responds where it " +
          "is above its mean. Vargha–Delaney A compares units of the same layer. The p-value " +
          "assumes independent units; units of one concept are not.",
      ),
      tables.table({
        name: "selectivity",
        caption: "Comparison of Rosetta units with other units of their layer",
        rows,
        columns: [
          { head: "model", value: (row) => row.model, rowHead: true },
          { head: "measure", value: (row) => row.measure },
          ...columns.of("varghaDelaney"),
        ],
      }),
    ];
  }

  return { curves, table, comparison };
})();
