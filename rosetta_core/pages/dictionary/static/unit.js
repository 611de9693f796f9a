// @ts-check
// Page of a unit of any model: its examples, its nearest neighbours, and its place in the dictionary.
"use strict";

rosetta.pages.unit = (() => {
  const { h, fixed, plural } = rosetta;
  const { head, imageLink, unitLink } = parts;
  const BARS = 64; // of a histogram

  /**
   * @typedef {{
   *   alive: 0 | 1,
   *   concepts: number[],
   *   neighbours: NeighbourRow[],
   *   images: number[],
   *   peaks: number[],
   *   size: Size,
   *   statistics: Record<string, Value>,
   *   bars: Uint8Array,
   *   maps: Uint8Array,
   * }} UnitData
   */

  /**
   * Data of one unit out of the file that contains it.
   * @param {number} model
   * @param {number} number
   * @returns {Promise<UnitData>}
   */
  async function read(model, number) {
    const perFile = rosetta.index.unitsPerFile;
    const place = number % perFile;
    /** @type {UnitsRecord} */
    const data = await rosetta.load(`units/${model}/${Math.floor(number / perFile)}`);
    const bytes = await rosetta.unpack(data.packed);
    let start = 0;
    for (let other = 0; other < place; other += 1) {
      const [height, width] = data.sizes[other];
      start += BARS + data.images[other].length * height * width;
    }
    const statistics = rosetta.index.columns.units.map(({ key }) => [
      key,
      /** @type {Columns} */ (/** @type {unknown} */ (data))[key][place],
    ]);
    return {
      alive: data.alive[place],
      concepts: data.concepts[place],
      neighbours: data.neighbours[place],
      images: data.images[place],
      peaks: data.peaks[place],
      size: data.sizes[place],
      statistics: Object.fromEntries(statistics),
      bars: bytes.subarray(start, start + BARS),
      maps: bytes.subarray(start + BARS),
    };
  }

  /** @param {number} number */
  const conceptLink = (number) =>
    h("a", { href: route.link(["concept", number]) }, `concept ${number}`);

  /**
   * Items with commas and a last "and" between them.
   * @param {Child[]} items
   * @returns {Child[]}
   */
  const listed = (items) =>
    items.flatMap((item, place) =>
      place ? [place === items.length - 1 ? " and " : ", ", item] : [item],
    );

  /**
   * Why a unit has no best buddy in a model: its nearest neighbour there, and what that requires.
   * @param {NeighbourRow[]} neighbours
   * @param {string} name
   * @returns {Child[]}
   */
  function obstacle(neighbours, name) {
    if (!neighbours.length) return [`No neighbour in ${name}.`];
    const [[model, unit, corr, , bound]] = neighbours;
    return [
      `No best buddy in ${name}: the nearest neighbour is `,
      unitLink(rosetta.unit(model, unit)),
      ` (${fixed(corr)}), whose own ${rosetta.index.k} nearest neighbours have correlations of ` +
        `at least ${fixed(bound)}.`,
    ];
  }

  /**
   * Headline and explanation: whether the unit is in the dictionary, and why not.
   * @param {Unit} unit
   * @param {UnitData} data
   * @param {Map<number, UnitData>} pivotUnits data of the pivot units among its neighbours
   * @returns {{headline: Child, why: Child}}
   */
  function verdict(unit, data, pivotUnits) {
    const { models, k } = rosetta.index;
    const encoders = models.slice(1);
    const not = "Not in the dictionary.";
    if (!data.alive) {
      const why = "The unit is dead: it hardly varies over the images, and is excluded.";
      return { headline: not, why: h("p", {}, why) };
    }
    if (data.concepts.length) {
      const why =
        unit.model === 0
          ? "It has a best buddy in every encoder, so it is a Rosetta neuron."
          : "It is a best buddy of a Rosetta neuron.";
      const headline = ["In the dictionary: ", listed(data.concepts.map(conceptLink)), "."];
      return { headline, why: h("p", {}, why) };
    }
    if (unit.model === 0) {
      const missing = encoders
        .map(({ name }, place) => ({
          name,
          neighbours: data.neighbours.filter(([model]) => model === place + 1),
        }))
        .filter(({ neighbours }) => !neighbours.some(([, , , mutual]) => mutual));
      const why = [
        h(
          "p",
          {},
          "A Rosetta neuron has a best buddy in every encoder. This unit has none in " +
            `${missing.length} of ${encoders.length}:`,
        ),
        h(
          "ul",
          {},
          missing.map(({ neighbours, name }) => h("li", {}, obstacle(neighbours, name))),
        ),
      ];
      return { headline: not, why };
    }
    const buddies = data.neighbours.filter(([, , , mutual]) => mutual);
    if (!buddies.length) {
      const why = h("ul", {}, h("li", {}, obstacle(data.neighbours, models[0].name)));
      return { headline: not, why };
    }
    /** @param {number} pivotUnit */
    const missingFor = (pivotUnit) =>
      encoders.filter(
        (_, place) =>
          !pivotUnits
            .get(pivotUnit)
            ?.neighbours.some(([model, , , mutual]) => model === place + 1 && mutual),
      );
    const why = [
      h(
        "p",
        {},
        `It has ${plural(buddies.length, "best buddy", "best buddies")} in ${models[0].name}, ` +
          `${buddies.length === 1 ? "which is not a Rosetta neuron" : "none of which is a Rosetta neuron"}:`,
      ),
      h(
        "ul",
        {},
        buddies.map(([, pivotUnit]) =>
          h(
            "li",
            {},
            unitLink(rosetta.unit(0, pivotUnit)),
            ` has no best buddy in ${missingFor(pivotUnit)
              .map(({ name }) => name)
              .join(", ")}`,
          ),
        ),
      ),
      h("p", { class: "quiet" }, `Best buddies are among each other's ${k} nearest neighbours.`),
    ];
    return { headline: not, why };
  }

  /**
   * Nearest neighbours; for a unit of an encoder also units of other encoders, via pivot units.
   * @param {Unit} unit
   * @param {UnitData} data
   * @param {Map<number, UnitData>} pivotUnits
   */
  function neighbourTable(unit, data, pivotUnits) {
    const { models } = rosetta.index;
    /** @typedef {Unit & {corr: number, mutual: 0 | 1, bound: Value, via: Unit | null, rank: Value}} Row */
    /** @type {Row[]} */
    const rows = data.neighbours.map(([model, number, corr, mutual, bound], place, all) => ({
      ...rosetta.unit(model, number),
      corr,
      mutual,
      bound,
      via: null,
      rank: all.slice(0, place).filter(([other]) => other === model).length + 1,
    }));
    for (const [pivotUnit, { neighbours }] of pivotUnits) {
      for (const [model, number, corr, mutual, bound] of neighbours) {
        if (model === 0 || model === unit.model || !mutual) continue;
        const via = rosetta.unit(0, pivotUnit);
        rows.push({ ...rosetta.unit(model, number), corr, mutual, bound, via, rank: null });
      }
    }
    /** @type {TableColumn<Row>[]} */
    const via = [
      {
        head: "via",
        value: (row) => row.via?.id ?? "",
        show: (row) => (row.via ? unitLink(row.via) : ""),
      },
    ];
    return [
      tables.table({
        name: `neighbours-${unit.id}`.replaceAll(/[^\w.-]+/g, "_"),
        caption: `Nearest neighbours of ${unit.id}`,
        rows,
        limit: 60,
        empty: "Dead units have no neighbours.",
        columns: [
          { head: "model", value: (row) => models[row.model].name },
          {
            head: "unit",
            value: (row) => row.id,
            show: (row) => unitLink(row, row.name),
            rowHead: true,
          },
          {
            head: "rank",
            value: (row) => row.rank,
            show: (row) => (row.rank === null ? "–" : row.rank),
            number: true,
          },
          {
            head: "correlation",
            value: (row) => row.corr,
            show: (row) => h("span", {}, fixed(row.corr, 3), " ", charts.meter(row.corr)),
            number: true,
          },
          {
            head: "best buddies",
            value: (row) => (row.mutual ? "yes" : "no"),
            show: (row) => (row.mutual ? "yes" : `no: at least ${fixed(row.bound, 3)} needed`),
          },
          ...(unit.model ? via : []),
        ],
      }),
      unit.model
        ? h(
            "p",
            { class: "quiet" },
            `Correlations are between ${models[0].name} and the encoders. Units of other encoders ` +
              `are listed via a unit of ${models[0].name} that is a neighbour of this unit; their ` +
              "correlation is with that unit.",
          )
        : null,
    ];
  }

  /**
   * @param {Unit} unit
   * @param {UnitData} data
   * @param {InstanceType<typeof maps.Viewer>} viewer
   */
  function examples(unit, data, viewer) {
    if (!data.images.length) return h("p", { class: "quiet" }, "No examples: the unit is dead.");
    const traits = { column: 0, label: unit.id };
    const cut = maps.cut(data.maps, 0, data.size, data.images.length, traits);
    return h(
      "ul",
      { class: "tiles" },
      data.images.map((image, place) =>
        h(
          "li",
          {},
          maps.picture(image),
          viewer.tile(cut[place], image),
          h(
            "span",
            { class: "small" },
            imageLink(image),
            `, peak ${fixed(data.peaks[place], 1)} std`,
          ),
        ),
      ),
    );
  }

  /** @param {Address} address */
  return async function unitPage({ names, settings }) {
    const [modelName, layer, channel] = names;
    const unit = rosetta.find(modelName, layer, Number(channel ?? -1));
    if (!unit) return rosetta.notFound(`There is no unit ${names.join("/")} in this run.`);
    const model = rosetta.index.models[unit.model];
    const data = await read(unit.model, unit.number);
    const near = unit.model === 0 ? [] : data.neighbours.map(([, number]) => number);
    const pivotUnits = new Map(
      await Promise.all(
        near.map(
          async (number) => /** @type {[number, UnitData]} */ ([number, await read(0, number)]),
        ),
      ),
    );
    const viewer = new maps.Viewer(settings);
    const { headline, why } = verdict(unit, data, pivotUnits);
    /** @type {Step} */
    const step = (by) => {
      const to = unit.number + by;
      return to >= 0 && to < rosetta.units(unit.model) ? rosetta.unit(unit.model, to).href : null;
    };
    return {
      title: unit.id,
      move: step,
      after: () => viewer.draw(),
      content: [
        head(unit.id, "Units", step),
        h(
          "p",
          {},
          `Channel ${unit.channel} of layer `,
          h(
            "a",
            { href: route.link(["concepts"], { q: `${model.name} ${unit.layer}` }) },
            unit.layer,
          ),
          ` of ${model.name} (${model.network}); map size ${unit.height}×${unit.width}.`,
          parts.randomMark(unit.model),
        ),
        h(
          "section",
          { class: data.concepts.length ? "verdict strong" : "verdict" },
          h("h2", {}, headline),
          why,
        ),
        h("h2", {}, "Top-activating images"),
        h("div", { class: "bar" }, viewer.controls()),
        examples(unit, data, viewer),
        h("h2", {}, "Activations"),
        columns.list("units", data.statistics),
        charts.histogram(data.bars),
        h("h2", {}, "Nearest neighbours"),
        neighbourTable(unit, data, pivotUnits),
      ],
    };
  };
})();
