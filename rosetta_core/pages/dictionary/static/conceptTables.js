// @ts-check
// Tables of the page of a concept: units, pairs, best buddies within the pivot; related concepts.
"use strict";

const conceptTables = (() => {
  const { h, fixed } = rosetta;
  const { unitLink } = parts;
  const BARS = 64; // of a histogram

  /**
   * By "model/unit" the number of best buddies in the concept, and the one with the highest
   * correlation.
   * @param {ConceptRecord} data
   */
  function bestBuddies(data) {
    /** @type {Map<string, {corr: number, buddies: number, partner: Unit}>} */
    const best = new Map();
    data.pairs.forEach(([neuron, model, unit], place) => {
      const corr = data.pairColumns.corr[place] ?? Number.NaN;
      /** @type {[string, Unit][]} */
      const ends = [
        [`0/${neuron}`, rosetta.unit(model, unit)],
        [`${model}/${unit}`, rosetta.unit(0, neuron)],
      ];
      for (const [key, partner] of ends) {
        const entry = best.get(key) ?? { corr: Number.NEGATIVE_INFINITY, buddies: 0, partner };
        entry.buddies += 1;
        if (corr > entry.corr) Object.assign(entry, { corr, partner });
        best.set(key, entry);
      }
    });
    return best;
  }

  /**
   * @param {number} number
   * @param {ConceptRecord} data
   * @param {Uint8Array} bars
   */
  function units(number, data, bars) {
    const best = bestBuddies(data);
    const rows = data.units
      .flatMap((group, model) =>
        group.map(([unit, mean, std]) => {
          const buddy = best.get(`${model}/${unit}`);
          if (!buddy) throw new Error(`unit ${model}/${unit} has no pair in concept ${number}`);
          return { ...rosetta.unit(model, unit), mean, std, ...buddy };
        }),
      )
      .map((row, place) => ({
        ...row,
        histogram: bars.subarray(BARS * place, BARS * (place + 1)),
      }));
    return tables.table({
      name: `concept-${number}-units`,
      caption: `Units of concept ${number}`,
      rows,
      limit: 60,
      columns: [
        { head: "unit", value: (row) => row.id, show: (row) => unitLink(row), rowHead: true },
        { head: "map size", value: (row) => `${row.height}×${row.width}` },
        {
          head: "highest correlation",
          value: (row) => row.corr,
          show: (row) => fixed(row.corr),
          number: true,
        },
        { head: "with", value: (row) => row.partner.id, show: (row) => unitLink(row.partner) },
        { head: "best buddies", value: (row) => row.buddies, number: true },
        { head: "mean", value: (row) => row.mean, number: true },
        { head: "std", value: (row) => row.std, number: true },
        {
          head: "activations",
          fixed: true,
          show: (row) => charts.spark(row.histogram),
          value: (row) => [...row.histogram].join(" "),
        },
      ],
    });
  }

  /**
   * @param {number} number
   * @param {ConceptRecord} data
   */
  function pairs(number, data) {
    const statistics = columns.rows(data.pairColumns);
    const rows = data.pairs.map(([neuron, model, unit], place) => ({
      neuron: rosetta.unit(0, neuron),
      buddy: rosetta.unit(model, unit),
      ...statistics[place],
    }));
    return h(
      "details",
      {
        open: Boolean(route.read().settings.pairs),
        ontoggle: (/** @type {Event} */ event) => {
          const { open } = /** @type {HTMLDetailsElement} */ (event.target);
          route.keep({ pairs: open ? 1 : undefined });
        },
      },
      h("summary", {}, `Best-buddy pairs (${rows.length})`),
      tables.table({
        name: `concept-${number}-pairs`,
        caption: `Best-buddy pairs of concept ${number}`,
        rows,
        limit: 100,
        columns: [
          {
            head: "Rosetta neuron",
            value: (row) => row.neuron.id,
            show: (row) => unitLink(row.neuron),
            rowHead: true,
          },
          {
            head: "best buddy",
            value: (row) => row.buddy.id,
            show: (row) => unitLink(row.buddy),
          },
          ...columns.of("pairs"),
        ],
      }),
    );
  }

  /**
   * @param {number} number
   * @param {ConceptRecord} data
   */
  function pivotBuddies(number, data) {
    const rows = data.pivotBuddies.map(([neuron, buddy, corr, concept]) => ({
      neuron: rosetta.unit(0, neuron),
      buddy: rosetta.unit(0, buddy),
      corr,
      concept,
    }));
    /** @param {number} concept */
    const place = (concept) => {
      if (concept < 0) return "not a Rosetta neuron";
      return concept === number ? "this concept" : `concept ${concept}`;
    };
    return tables.table({
      name: `concept-${number}-pivot-buddies`,
      caption: `Best buddies within the pivot, of concept ${number}`,
      rows,
      limit: 20,
      empty: "No Rosetta neuron of this concept has a best buddy within the pivot.",
      columns: [
        {
          head: "Rosetta neuron",
          value: (row) => row.neuron.id,
          show: (row) => unitLink(row.neuron, row.neuron.name),
          rowHead: true,
        },
        {
          head: "best buddy",
          value: (row) => row.buddy.id,
          show: (row) => unitLink(row.buddy, row.buddy.name),
        },
        {
          head: "correlation",
          value: (row) => row.corr,
          show: (row) => fixed(row.corr, 3),
          number: true,
        },
        { head: "concept of the best buddy", value: (row) => place(row.concept) },
      ],
    });
  }

  /** @param {ConceptRecord} data */
  function related(data) {
    if (!data.related.length) return h("p", { class: "quiet" }, "No related concepts.");
    return h(
      "ol",
      { class: "cards" },
      data.related.map(([concept, corr, neuron, neighbour]) =>
        parts.card(concept, {
          value: corr,
          lines: [`${rosetta.unit(0, neuron).name} – ${rosetta.unit(0, neighbour).name}`],
        }),
      ),
    );
  }

  return { units, pairs, pivotBuddies, related };
})();
