// The networks: where in them the matches are, how good they are, and which encoders share them.
"use strict";

rosetta.pages.models = (() => {
  const { h, count } = rosetta;

  function overview() {
    const { models } = rosetta.index;
    const rows = models.map((one, model) => ({
      ...one,
      role: model ? "encoder" : "pivot",
      units: rosetta.units(model),
      deep: one.layers.length,
    }));
    const number = (head, key) => ({
      head,
      value: (row) => row[key],
      show: (row) => count(row[key]),
      number: true,
    });
    return rosetta.tables.table({
      name: "models",
      caption: "The networks",
      rows,
      columns: [
        { head: "model", value: (row) => row.name, head_of_row: true },
        { head: "role", value: (row) => row.role },
        { head: "network", value: (row) => row.network },
        number("layers", "deep"),
        number("units", "units"),
        number("dead", "dead"),
        number("best-buddy pairs", "pairs"),
        number("pivot units matched", "matched"),
        {
          head: "weights",
          value: (row) => row.source,
          show: (row) => (row.random ? h("span", { class: "random" }, row.source) : row.source),
        },
        { head: "licence", value: (row) => row.licence },
      ],
    });
  }

  function overlap(rows) {
    const { models } = rosetta.index,
      encoders = models.slice(1).map((one) => one.name);
    const named = rows.map(([bits, units]) => ({
      bits,
      units,
      names: encoders.filter((_, place) => bits & (1 << place)),
    }));
    const most = Math.max(1, ...rows.map(([, units]) => units));
    return rosetta.tables.table({
      name: "overlap",
      caption: "Which encoders share the pivot's units",
      rows: named,
      most: 40,
      columns: [
        ...encoders.map((name, place) => ({
          head: name,
          value: (row) => (row.bits & (1 << place) ? "yes" : ""),
          show: (row) =>
            row.bits & (1 << place)
              ? h(
                  "span",
                  {},
                  h("span", { "aria-hidden": "true" }, "●"),
                  h("span", { class: "hidden" }, "yes"),
                )
              : h("span", { class: "hidden" }, "no"),
        })),
        {
          head: `units of ${models[0].name}`,
          value: (row) => row.units,
          number: true,
          show: (row) =>
            h(
              "span",
              { class: "share" },
              rosetta.charts.meter(row.units / most),
              ` ${count(row.units)}`,
            ),
        },
      ],
    });
  }

  const NULLS = {
    images: "the encoder sees other images",
    positions: "maps are moved round",
    untrained: "the encoder is untrained",
  };

  function chance(rows) {
    if (!rows.length) return null;
    return [
      h("h2", { id: "chance" }, "What chance gives"),
      h(
        "p",
        { class: "quiet" },
        "The same networks mined where they share nothing but what a null leaves them. False is " +
          "the share of what was found that is estimated to be chance's.",
      ),
      rosetta.tables.table({
        name: "chance",
        caption: "What chance gives",
        rows: rows.map(([cause, what, model, found, given, wrong]) => ({
          cause: NULLS[cause],
          what: model ? `${what} in ${model}` : what,
          found,
          given,
          wrong: wrong / 1e4,
        })),
        columns: [
          { head: "what", value: (row) => row.what, head_of_row: true },
          { head: "if", value: (row) => row.cause },
          { head: "found", value: (row) => row.found, number: true, show: (row) => count(row.found) },
          {
            head: "by chance",
            value: (row) => row.given,
            number: true,
            show: (row) => count(row.given),
          },
          {
            head: "false",
            value: (row) => row.wrong,
            number: true,
            show: (row) => `${Math.round(100 * row.wrong)} %`,
          },
        ],
      }),
    ];
  }

  function replication(rows) {
    if (!rows.length) return null;
    const share = (key) => (row) => `${Math.round(100 * row[key])} %`;
    return [
      h("h2", { id: "replication" }, "What halves of the images give"),
      h(
        "p",
        { class: "quiet" },
        "Half the images by themselves. Found again is the share of what all images give; two " +
          "halves agree as far as they have the same, and on concepts as far as they join neurons " +
          "alike (adjusted Rand index).",
      ),
      rosetta.tables.table({
        name: "replication",
        caption: "What halves of the images give",
        rows: rows.map(([what, model, found, half, again, agreement]) => ({
          what: model ? `${what} in ${model}` : what,
          found,
          half,
          again: again / 1e4,
          agreement: agreement / 1e4,
        })),
        columns: [
          { head: "what", value: (row) => row.what, head_of_row: true },
          { head: "found", value: (row) => row.found, number: true, show: (row) => count(row.found) },
          {
            head: "in a half",
            value: (row) => row.half,
            number: true,
            show: (row) => count(Math.round(row.half)),
          },
          { head: "found again", value: (row) => row.again, number: true, show: share("again") },
          {
            head: "halves agree",
            value: (row) => row.agreement,
            number: true,
            show: share("agreement"),
          },
        ],
      }),
    ];
  }

  return async function modelsPage() {
    const { models } = rosetta.index,
      data = await rosetta.load("models");
    const short = (model) => models[model].layers.map(([layer]) => layer);
    const encoder = (place) => {
      const { name } = models[place + 1],
        depth = data.depth[place],
        scores = data.scores[place];
      return h(
        "section",
        {},
        h("h2", { id: `model-${place + 1}` }, name, rosetta.parts.random(place + 1)),
        h(
          "div",
          { class: "columns" },
          h(
            "figure",
            {},
            h(
              "figcaption",
              {},
              `Best buddies by depth: ${models[0].name}'s layers down, ${name}'s across`,
            ),
            rosetta.charts.depth(depth.buddies, {
              rows: short(0),
              columns: short(place + 1),
              row: models[0].name,
              column: name,
            }),
          ),
          h(
            "figure",
            {},
            h("figcaption", {}, "The same, of those in the dictionary"),
            rosetta.charts.depth(depth.inside, {
              rows: short(0),
              columns: short(place + 1),
              row: models[0].name,
              column: name,
            }),
          ),
          h(
            "div",
            {},
            h("p", { class: "caption" }, "Their correlations"),
            rosetta.charts.spread(
              [
                { name: "all best buddies", counts: scores.buddies },
                { name: "in the dictionary", counts: scores.inside },
              ],
              `How the correlations of ${models[0].name} and ${name} are spread`,
            ),
          ),
        ),
        rosetta.layers.curves(place + 1, data.layers[place + 1]),
        rosetta.layers.table(place + 1, data.layers[place + 1]),
      );
    };
    return {
      title: "Networks",
      content: [
        h("h1", { tabindex: -1 }, "The networks"),
        overview(),
        h(
          "p",
          { class: "quiet" },
          `Dead units hardly vary over the images and take part in nothing. For ${models[0].name} the pairs are those of its units among themselves, each counted once.`,
        ),
        h("h2", {}, models[0].name, rosetta.parts.random(0)),
        rosetta.layers.curves(0, data.layers[0]),
        rosetta.layers.table(0, data.layers[0]),
        rosetta.layers.superiority(data.superiority),
        h("h2", {}, "What the encoders share"),
        h(
          "p",
          { class: "quiet" },
          `Units of ${models[0].name} that have a best buddy in just these encoders. Those with one in every encoder are the Rosetta neurons.`,
        ),
        overlap(data.overlap),
        chance(data.chance),
        replication(data.replication),
        models.slice(1).map((_, place) => encoder(place)),
      ],
    };
  };
})();
