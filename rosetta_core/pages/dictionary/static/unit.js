// A unit of any model: its examples, its nearest units, and why it is or isn't in the dictionary.
"use strict";

rosetta.pages.unit = (() => {
  const { h, fixed, plural } = rosetta;
  const { head, imageName, unitLink } = rosetta.parts;
  const BARS = 64;

  async function read(model, number) {
    const size = rosetta.index.unitsPerFile;
    const { packed, ...columns } = await rosetta.load(
      `units/${model}/${Math.floor(number / size)}`,
    );
    const bytes = await rosetta.unpack(packed),
      place = number % size;
    let start = 0;
    for (let other = 0; other < place; other += 1) {
      const [height, width] = columns.grids[other];
      start += BARS + columns.images[other].length * height * width;
    }
    const own = Object.fromEntries(
      Object.entries(columns).map(([name, its]) => [name, its[place]]),
    );
    return {
      ...own,
      bars: bytes.subarray(start, start + BARS),
      maps: bytes.subarray(start + BARS),
    };
  }

  const conceptLink = (number) =>
    h("a", { href: rosetta.route.link(["concept", number]) }, `concept ${number}`);
  const listed = (items) =>
    items.flatMap((item, place) =>
      place ? [place === items.length - 1 ? " and " : ", ", item] : [item],
    );

  // What stands in the way: the nearest unit there, and what it asks for.
  function obstacle(near, name) {
    const nearest = near[0];
    if (!nearest) return [`No neighbour in ${name}.`];
    const [model, unit, corr, , bound] = nearest;
    return [
      `No best buddy in ${name}: its nearest there is `,
      unitLink(rosetta.unit(model, unit)),
      ` (${fixed(corr / 1e4)}), whose own ${rosetta.index.k} nearest begin at ${fixed(bound / 1e4)}`,
    ];
  }

  function verdict(unit, data, others) {
    const { models, k } = rosetta.index;
    if (!data.alive) {
      return [
        "Not in the dictionary.",
        h(
          "p",
          {},
          "The unit hardly varies over the images: it is dead, and takes part in nothing.",
        ),
      ];
    }
    if (data.concepts.length) {
      const what =
        unit.model === 0
          ? `It has a best buddy in every encoder, so it is a Rosetta neuron.`
          : `It is a best buddy of a Rosetta neuron.`;
      return [
        ["In the dictionary: ", listed(data.concepts.map(conceptLink)), "."],
        h("p", {}, what),
      ];
    }
    if (unit.model === 0) {
      const missing = models
        .slice(1)
        .map((one, place) => [one.name, data.near.filter(([model]) => model === place + 1)])
        .filter(([, near]) => !near.some(([, , , mutual]) => mutual));
      return [
        "Not in the dictionary.",
        h(
          "p",
          {},
          `A Rosetta neuron has a best buddy in every encoder. This unit has none in ${missing.length} of ${models.length - 1}:`,
        ),
        h(
          "ul",
          {},
          missing.map(([name, near]) => h("li", {}, obstacle(near, name))),
        ),
      ];
    }
    const buddies = data.near.filter(([, , , mutual]) => mutual);
    if (!buddies.length) {
      return [
        "Not in the dictionary.",
        h("ul", {}, h("li", {}, obstacle(data.near, models[0].name))),
      ];
    }
    return [
      "Not in the dictionary.",
      h(
        "p",
        {},
        `It has ${plural(buddies.length, "best buddy", "best buddies")} in ${models[0].name}, but none of them is a Rosetta neuron:`,
      ),
      h(
        "ul",
        {},
        buddies.map(([, pivot]) => {
          const missing = models
            .slice(1)
            .filter(
              (_, place) =>
                !others
                  .get(pivot)
                  .near.some(([model, , , mutual]) => model === place + 1 && mutual),
            )
            .map((one) => one.name);
          return h(
            "li",
            {},
            unitLink(rosetta.unit(0, pivot)),
            ` has no best buddy in ${missing.join(", ")}`,
          );
        }),
      ),
      h("p", { class: "quiet" }, `Best buddies are among each other's ${k} nearest.`),
    ];
  }

  function nearestTable(unit, data, others) {
    const { models } = rosetta.index;
    const rows = data.near.map(([model, number, corr, mutual, bound], place, all) => ({
      ...rosetta.unit(model, number),
      corr: corr / 1e4,
      mutual,
      bound: bound / 1e4,
      by: null,
      rank: all.slice(0, place).filter(([other]) => other === model).length + 1,
    }));
    for (const [pivot, its] of others) {
      for (const [model, number, corr, mutual, bound] of its.near) {
        if (model !== 0 && model !== unit.model && mutual) {
          rows.push({
            ...rosetta.unit(model, number),
            corr: corr / 1e4,
            mutual,
            bound: bound / 1e4,
            by: rosetta.unit(0, pivot),
            rank: null,
          });
        }
      }
    }
    const pages = rosetta.tables.table({
      name: `nearest-${unit.id}`.replaceAll(/[^\w.-]+/g, "_"),
      caption: `Units nearest to ${unit.id}`,
      rows,
      most: 60,
      empty: "Dead units have no neighbours.",
      columns: [
        { head: "model", value: (row) => models[row.model].name },
        {
          head: "unit",
          value: (row) => row.id,
          show: (row) => unitLink(row, row.name),
          head_of_row: true,
        },
        { head: "rank", value: (row) => row.rank, number: true },
        {
          head: "correlation",
          value: (row) => row.corr,
          show: (row) => h("span", {}, fixed(row.corr, 3), " ", rosetta.charts.meter(row.corr)),
          number: true,
        },
        {
          head: "best buddies",
          value: (row) => (row.mutual ? "yes" : "no"),
          show: (row) => (row.mutual ? "yes" : `no: needs ${fixed(row.bound, 3)}`),
        },
        ...(unit.model
          ? [
              {
                head: "by way of",
                value: (row) => row.by?.id ?? "",
                show: (row) => (row.by ? unitLink(row.by) : ""),
              },
            ]
          : []),
      ],
    });
    return [
      pages,
      unit.model
        ? h(
            "p",
            { class: "quiet" },
            `Correlations are between ${models[0].name} and the others. Units of other encoders stand here by way of a unit of ${models[0].name} that is near to this one; theirs is the correlation with that unit.`,
          )
        : null,
    ];
  }

  function examples(unit, data, viewer) {
    const [height, width] = data.grids;
    if (!data.images.length) return h("p", { class: "quiet" }, "It fires nowhere.");
    return h(
      "ul",
      { class: "tiles" },
      data.images.map((image, place) => {
        const start = place * height * width;
        const map = {
          bytes: data.maps.subarray(start, start + height * width),
          height,
          width,
          column: 0,
          label: unit.id,
        };
        return h(
          "li",
          {},
          rosetta.maps.picture(image),
          viewer.tile(map, image),
          h(
            "span",
            { class: "small" },
            imageName(image),
            `, peak ${fixed(data.peaks[place] / 100, 1)} std`,
          ),
        );
      }),
    );
  }

  return async function unitPage({ names, set }) {
    const [model, layer, channel] = names;
    const found = rosetta.find(model, layer, Number(channel ?? -1));
    if (found.number < 0)
      return rosetta.nothing(`There is no unit ${names.join("/")} in this run.`);
    const unit = rosetta.unit(found.model, found.number),
      { models } = rosetta.index;
    const data = await read(unit.model, unit.number);
    const partners = unit.model === 0 ? [] : data.near.map(([, number]) => number);
    const others = new Map(
      await Promise.all(partners.map(async (number) => [number, await read(0, number)])),
    );
    const viewer = new rosetta.maps.Viewer(set);
    const [headline, ...why] = verdict(unit, data, others);
    const at = (by) => {
      const to = unit.number + by;
      return to >= 0 && to < rosetta.units(unit.model) ? rosetta.unit(unit.model, to).href : null;
    };
    return {
      title: unit.id,
      move: at,
      after: () => viewer.draw(),
      content: [
        head(unit.id, "Units", at),
        h(
          "p",
          {},
          `Channel ${unit.channel} of layer `,
          h(
            "a",
            {
              href: rosetta.route.link(["concepts"], {
                q: `${models[unit.model].name} ${unit.layer}`,
              }),
            },
            unit.layer,
          ),
          ` of ${models[unit.model].name} (${models[unit.model].network}); maps of ${unit.height}×${unit.width}.`,
          rosetta.parts.random(unit.model),
        ),
        h(
          "section",
          { class: data.concepts.length ? "verdict yes" : "verdict" },
          h("h2", {}, headline),
          why,
        ),
        h("h2", {}, "Where it fires most"),
        h("div", { class: "bar" }, viewer.controls()),
        examples(unit, data, viewer),
        h("h2", {}, "Its activations"),
        h(
          "p",
          {},
          `Mean ${data.moments[0]}, standard deviation ${data.moments[1]}, over all images and positions.`,
          data.alive
            ? ` Sparsity ${fixed(data.sparseness[0] / 1000)}, selectivity ${fixed(data.sparseness[1] / 1000)}: from 0, it responds alike everywhere and to all images, to 1, at one place or to one image.`
            : null,
        ),
        rosetta.charts.histogram(data.bars),
        h("h2", {}, "Its nearest units"),
        nearestTable(unit, data, others),
      ],
    };
  };
})();
