// What stands below a concept's examples.
//
// conceptTables.unitTable, pairTable, synonyms    tables
// conceptTables.neighbours                        concepts that are near
"use strict";

rosetta.conceptTables = (() => {
  const { h, fixed, plural } = rosetta;
  const { unitLink } = rosetta.parts;

  function unitTable(number, data, bars) {
    const best = new Map();
    for (const [own, model, unit, corr] of data.pairs) {
      for (const [key, partner] of [
        [`0/${own}`, { model, unit }],
        [`${model}/${unit}`, { model: 0, unit: own }],
      ]) {
        const entry = best.get(key) ?? { corr: -1, buddies: 0 };
        entry.buddies += 1;
        if (corr > entry.corr) Object.assign(entry, { corr, partner });
        best.set(key, entry);
      }
    }
    let place = 0;
    const rows = data.units.flatMap((units, model) =>
      units.map(([unit, mean, std]) => {
        const named = rosetta.unit(model, unit),
          found = best.get(`${model}/${unit}`);
        const histogram = bars.subarray(64 * place, 64 * (place + 1));
        place += 1;
        return {
          ...named,
          mean,
          std,
          histogram,
          corr: found.corr / 1e4,
          buddies: found.buddies,
          partner: rosetta.unit(found.partner.model, found.partner.unit),
          model: rosetta.index.models[model].name,
        };
      }),
    );
    return rosetta.tables.table({
      name: `concept-${number}-units`,
      caption: `The units of concept ${number}`,
      rows,
      most: 60,
      columns: [
        {
          head: "unit",
          value: (row) => row.id,
          show: (row) => unitLink(row),
          head_of_row: true,
        },
        { head: "map", value: (row) => `${row.height}×${row.width}` },
        {
          head: "best correlation",
          value: (row) => row.corr,
          show: (row) => fixed(row.corr),
          number: true,
        },
        {
          head: "with",
          value: (row) => row.partner.id,
          show: (row) => unitLink(row.partner),
        },
        { head: "best buddies here", value: (row) => row.buddies, number: true },
        { head: "mean", value: (row) => row.mean, number: true },
        { head: "std", value: (row) => row.std, number: true },
        {
          head: "activations",
          plain: true,
          show: (row) => rosetta.charts.spark(row.histogram),
          value: (row) => [...row.histogram].join(" "),
        },
      ],
    });
  }

  function pairTable(number, data) {
    const { told } = data;
    const rows = data.pairs.map(([own, model, unit, corr], place) => ({
      own: rosetta.unit(0, own),
      other: rosetta.unit(model, unit),
      corr: corr / 1e4,
      ...Object.fromEntries(
        Object.entries(told).map(([column, values]) => [column, values[place] / 1e4]),
      ),
    }));
    const column = (head, key, show) =>
      told[key] ? [{ head, value: (row) => row[key], show, number: true }] : [];
    const share = (key) => (row) => `${Math.round(100 * row[key])} %`;
    return h(
      "details",
      {
        open: Boolean(rosetta.route.read().set.pairs),
        ontoggle: (event) => rosetta.route.keep({ pairs: event.target.open ? 1 : undefined }),
      },
      h("summary", {}, `All ${plural(rows.length, "pair")}`),
      rosetta.tables.table({
        name: `concept-${number}-pairs`,
        caption: `The pairs of concept ${number}`,
        rows,
        most: 100,
        columns: [
          {
            head: "Rosetta neuron",
            value: (row) => row.own.id,
            show: (row) => unitLink(row.own),
            head_of_row: true,
          },
          {
            head: "best buddy",
            value: (row) => row.other.id,
            show: (row) => unitLink(row.other),
          },
          {
            head: "correlation",
            value: (row) => row.corr,
            show: (row) => fixed(row.corr, 3),
            number: true,
          },
          ...(told.corr_low
            ? [
                {
                  head: "95 % interval",
                  value: (row) => `${row.corr_low} ${row.corr_high}`,
                  show: (row) => rosetta.charts.interval(row.corr_low, row.corr, row.corr_high),
                },
              ]
            : []),
          ...column("excess", "excess", (row) => fixed(row.excess, 3)),
          ...column("p", "p_value", (row) => fixed(row.p_value, 3)),
          ...column("found again", "replication", share("replication")),
          ...column("at one place", "colocation", share("colocation")),
        ],
      }),
    );
  }

  function synonyms(number, data) {
    const rows = data.synonyms.map(([own, other, corr, concept]) => ({
      own: rosetta.unit(0, own),
      other: rosetta.unit(0, other),
      corr: corr / 1e4,
      concept,
    }));
    return rosetta.tables.table({
      name: `concept-${number}-synonyms`,
      caption: `Synonyms in concept ${number}`,
      rows,
      most: 20,
      empty: "None of its Rosetta neurons has a best buddy in the pivot.",
      columns: [
        {
          head: "Rosetta neuron",
          value: (row) => row.own.id,
          show: (row) => unitLink(row.own, row.own.name),
          head_of_row: true,
        },
        {
          head: "its best buddy in the pivot",
          value: (row) => row.other.id,
          show: (row) => unitLink(row.other, row.other.name),
        },
        {
          head: "correlation",
          value: (row) => row.corr,
          show: (row) => fixed(row.corr, 3),
          number: true,
        },
        {
          head: "which is",
          value: (row) =>
            row.concept < 0
              ? "no Rosetta neuron"
              : row.concept === number
                ? "in this concept"
                : `in concept ${row.concept}`,
        },
      ],
    });
  }

  function neighbours(data) {
    if (!data.neighbours.length) {
      return h(
        "p",
        { class: "quiet" },
        "No unit of another concept is among the " +
          `${rosetta.index.k} nearest of its Rosetta neurons.`,
      );
    }
    return h(
      "ol",
      { class: "cards" },
      data.neighbours.map(([concept, corr, own, other]) =>
        rosetta.parts.card(concept, {
          value: corr / 1e4,
          lines: [`${rosetta.unit(0, own).name} – ${rosetta.unit(0, other).name}`],
        }),
      ),
    );
  }

  return { unitTable, pairTable, synonyms, neighbours };
})();
