// @ts-check
// Page of the models: layers, matches, and counts under null models.
"use strict";

rosetta.pages.models = (() => {
  const { h, count } = rosetta;

  function overview() {
    const rows = rosetta.index.models.map((one, model) => ({
      ...one,
      role: model ? "encoder" : "pivot",
      units: rosetta.units(model),
      layers: one.layers.length,
    }));
    return tables.table({
      name: "models",
      caption: "Models",
      rows,
      columns: [
        { head: "model", value: (row) => row.name, rowHead: true },
        { head: "role", value: (row) => row.role },
        { head: "network", value: (row) => row.network },
        ...columns.of("models"),
        {
          head: "weights",
          value: (row) => row.source,
          show: (row) => (row.random ? h("span", { class: "random" }, row.source) : row.source),
        },
        { head: "licence", value: (row) => row.licence },
      ],
    });
  }

  /** @param {ModelsRecord["overlap"]} data */
  function overlap(data) {
    const { models } = rosetta.index;
    const encoders = models.slice(1).map((one) => one.name);
    const rows = data.map(([bits, units]) => ({ bits, units }));
    const largest = Math.max(1, ...rows.map(({ units }) => units));
    /** @typedef {{bits: number, units: number}} Row */
    /** @type {TableColumn<Row>[]} */
    const matched = encoders.map((name, place) => ({
      head: name,
      value: ({ bits }) => (bits & (1 << place) ? "yes" : ""),
      show: ({ bits }) =>
        bits & (1 << place)
          ? h(
              "span",
              {},
              h("span", { "aria-hidden": "true" }, "●"),
              h("span", { class: "hidden" }, "yes"),
            )
          : h("span", { class: "hidden" }, "no"),
    }));
    return tables.table({
      name: "overlap",
      caption: "Pivot units by the encoders that match them",
      rows,
      limit: 40,
      columns: [
        ...matched,
        {
          head: `units of ${models[0].name}`,
          value: ({ units }) => units,
          number: true,
          show: ({ units }) =>
            h("span", { class: "share" }, charts.meter(units / largest), ` ${count(units)}`),
        },
      ],
    });
  }

  /** @param {Record<string, any>} row */
  const levelOf = (row) => (row.model ? `${row.level} in ${row.model}` : row.level);

  /** @param {ModelsRecord["nullCounts"]} data */
  function nullCounts(data) {
    if (!data) return null;
    const described = new Map(
      rosetta.index.nullModels.map(({ name, description }) => [name, description]),
    );
    return [
      h("h2", { id: "null-models" }, "Null models"),
      h(
        "p",
        { class: "quiet" },
        "The same models mined under each null model, which destroys what pivot and encoder " +
          "share. The FDR of concepts is counted from their neurons, not from concept p-values.",
      ),
      tables.table({
        name: "null-counts",
        caption: "Observed and null counts",
        rows: columns.rows(data),
        columns: [
          { head: "level", value: levelOf, rowHead: true },
          { head: "null model", value: (row) => row.null },
          { head: "description", value: (row) => described.get(row.null) },
          ...columns.of("nullCounts"),
        ],
      }),
    ];
  }

  /** @param {ModelsRecord["splitHalf"]} data */
  function splitHalf(data) {
    if (!data) return null;
    return [
      h("h2", { id: "split-half" }, "Split-half agreement"),
      h(
        "p",
        { class: "quiet" },
        "Each half of the images is mined separately. Agreement is the Dice coefficient " +
          "2|A∩B|/(|A|+|B|) of the two halves; for concepts it is the adjusted Rand index.",
      ),
      tables.table({
        name: "split-half",
        caption: "Counts and agreement of split halves",
        rows: columns.rows(data),
        columns: [{ head: "level", value: levelOf, rowHead: true }, ...columns.of("splitHalf")],
      }),
    ];
  }

  /**
   * Section of an encoder.
   * @param {number} place
   * @param {ModelsRecord} data
   */
  function encoder(place, data) {
    const { models } = rosetta.index;
    const [pivot] = models;
    const { name, layers } = models[place + 1];
    const names = {
      rows: pivot.layers.map(([layer]) => layer),
      columns: layers.map(([layer]) => layer),
      row: pivot.name,
      column: name,
    };
    const { depth, corr } = { depth: data.depth[place], corr: data.corr[place] };
    return h(
      "section",
      {},
      h("h2", { id: `model-${place + 1}` }, name, parts.randomMark(place + 1)),
      h(
        "div",
        { class: "columns" },
        h(
          "figure",
          {},
          h(
            "figcaption",
            {},
            `Best-buddy pairs by layer: ${pivot.name} (rows) and ${name} (columns)`,
          ),
          charts.depth(depth.all, names),
        ),
        h(
          "figure",
          {},
          h("figcaption", {}, "Best-buddy pairs in the dictionary by layer"),
          charts.depth(depth.dictionary, names),
        ),
        h(
          "div",
          {},
          h("p", { class: "caption" }, "Correlations of best-buddy pairs"),
          charts.correlations(
            [
              { name: "all pairs", counts: corr.all },
              { name: "pairs in the dictionary", counts: corr.dictionary },
            ],
            `Histogram of the correlations between ${pivot.name} and ${name}`,
          ),
        ),
      ),
      layerTables.curves(place + 1, data.layers[place + 1]),
      layerTables.table(place + 1, data.layers[place + 1]),
    );
  }

  return async function modelsPage() {
    const { models } = rosetta.index;
    /** @type {ModelsRecord} */
    const data = await rosetta.load("models");
    return {
      title: "Models",
      content: [
        h("h1", { tabindex: -1 }, "Models"),
        overview(),
        h(
          "p",
          { class: "quiet" },
          "Dead units hardly vary over the images and are excluded. Pairs of " +
            `${models[0].name} are between its own units, each counted once.`,
        ),
        h("h2", {}, models[0].name, parts.randomMark(0)),
        layerTables.curves(0, data.layers[0]),
        layerTables.table(0, data.layers[0]),
        layerTables.comparison(data.varghaDelaney),
        h("h2", {}, "Overlap of the encoders"),
        h(
          "p",
          { class: "quiet" },
          `Units of ${models[0].name} with a best buddy in exactly these encoders. Units with one ` +
            "in every encoder are the Rosetta neurons.",
        ),
        overlap(data.overlap),
        nullCounts(data.nullCounts),
        splitHalf(data.splitHalf),
        models.slice(1).map((_, place) => encoder(place, data)),
      ],
    };
  };
})();
