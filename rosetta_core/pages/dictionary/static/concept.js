// A concept: its examples, image beside map beside map, what makes it strongest, and its units.
"use strict";

rosetta.pages.concept = (() => {
  const { h, fixed, plural } = rosetta;
  const { breakable, head, imageName, unitLink } = rosetta.parts;
  const GROUPS = {
    top: "Best examples",
    random: "Random images",
    quarters: "From every quarter",
    apart: "Where they disagree",
  };
  const QUARTERS = ["strongest quarter", "second quarter", "third quarter", "weakest quarter"];

  const percent = (thousandths) => `${Math.round(thousandths / 10)} %`;

  // By model the maps of its representative unit, in the order of the images.
  async function readMaps(data, representative) {
    const bytes = await rosetta.unpack(data.maps);
    let start = 0;
    return representative.map((unit, column) => {
      const [height, width] = data.grids[column];
      return data.images.map(() => {
        const map = {
          bytes: bytes.subarray(start, start + height * width),
          height,
          width,
          column,
          label: unit.id,
        };
        start += height * width;
        return map;
      });
    });
  }

  function examples(group, data, maps, representative, viewer) {
    viewer.clear();
    const row = (image) => {
      const place = data.images.indexOf(image);
      const score = `score ${fixed(data.scores[place] / 1000)}`;
      return h(
        "tr",
        {},
        h(
          "th",
          { scope: "row" },
          rosetta.maps.picture(image),
          h("span", { class: "small" }, imageName(image), h("br"), score),
        ),
        maps.map((its) => h("td", {}, viewer.tile(its[place], image))),
      );
    };
    const heads = representative.map((unit, model) =>
      h(
        "th",
        { scope: "col" },
        breakable(rosetta.index.models[model].name),
        rosetta.parts.random(model),
        h("br"),
        h("span", { class: "small" }, unitLink(unit, breakable(unit.name))),
      ),
    );
    const parts =
      group === "quarters"
        ? data.quarters.map((images, quarter) => [
            h(
              "tr",
              {},
              h(
                "th",
                { scope: "rowgroup", colspan: representative.length + 1, class: "group" },
                QUARTERS[quarter],
              ),
            ),
            images.map(row),
          ])
        : data[group].map(row);
    return h(
      "div",
      {
        class: "scroll",
        tabindex: 0,
        role: "region",
        "aria-label": `${GROUPS[group]}: the image and the map of each network`,
      },
      h(
        "table",
        { class: "examples" },
        h("caption", { class: "hidden" }, GROUPS[group]),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "image"), heads)),
        h("tbody", {}, parts),
      ),
    );
  }

  // Random images and what they became, by the jobs that showed this concept or a unit of it.
  function strongest(shows) {
    if (!shows.length) return null;
    const pair = (number, [before, after], place) => {
      const half = (side, alt) =>
        h("img", {
          src: `pictures/shows/${number}/${place}.webp`,
          class: side,
          width: 116,
          height: 116,
          loading: "lazy",
          decoding: "async",
          alt,
        });
      return h(
        "li",
        {},
        half("before", "a random image"),
        half("after", "what it became"),
        h("span", { class: "small" }, `${fixed(before / 1000)} → ${fixed(after / 1000)}`),
      );
    };
    return [
      h("h2", {}, "What makes it strongest"),
      h(
        "p",
        { class: "quiet" },
        "Random images, and what they became when their latents were moved to where it is more " +
          "active. Below them: how active it was and is, in standard deviations of random images.",
      ),
      shows.map(({ number, about, values }) => [
        h("p", { class: "small about" }, about),
        h(
          "ul",
          { class: "pairs", "aria-label": `Before and after: ${about}` },
          values.map((its, place) => pair(number, its, place)),
        ),
      ]),
    ];
  }

  return async function concept({ names: [text], set }) {
    const { concepts, models } = rosetta.index,
      number = Number(text);
    if (!(number in concepts.size)) {
      return rosetta.nothing(
        `There is no concept ${text}; they are 0 to ${concepts.size.length - 1}.`,
      );
    }
    const data = await rosetta.load(`concepts/${number}`);
    const representative = models.map((_, model) => rosetta.unit(model, concepts.representative[model][number]));
    const maps = await readMaps(data, representative);
    const bars = await rosetta.unpack(data.histograms);
    const viewer = new rosetta.maps.Viewer(set);
    let group = set.group in GROUPS ? set.group : "top";
    const holder = h("div", {});
    const show = () => {
      holder.replaceChildren(examples(group, data, maps, representative, viewer));
      buttons.forEach((button) => button.setAttribute("aria-pressed", button.name === group));
    };
    const buttons = Object.entries(GROUPS).map(([name, label]) =>
      h(
        "button",
        {
          type: "button",
          name,
          onclick: () => {
            group = name;
            rosetta.route.keep({ group: name === "top" ? undefined : name });
            show();
            viewer.draw();
          },
        },
        label,
      ),
    );
    show();
    // another concept, seen in the same way; orders of tables are this one's own
    const at = (by) => {
      const other = number + by;
      const { group: which, mode, opacity, threshold, colours, scale } = rosetta.route.read().set;
      return other in concepts.size
        ? rosetta.route.link(["concept", other], {
            group: which,
            mode,
            opacity,
            threshold,
            colours,
            scale,
          })
        : null;
    };
    const total = data.units.reduce((sum, units) => sum + units.length, 0);
    return {
      title: `Concept ${number}`,
      move: at,
      after: () => viewer.draw(),
      content: [
        head(`Concept ${number}`, "Concepts", at),
        h(
          "p",
          {},
          `${plural(concepts.size[number], "Rosetta neuron")} of ${models[0].name} with ` +
            `${plural(total - concepts.size[number], "unit")} of ${plural(models.length - 1, "encoder")}. ` +
            `Correlations ${fixed(concepts.mean[number] / 1000)} on average, ` +
            `${fixed(concepts.min[number] / 1000)} at least. `,
          concepts.excess && [
            h(
              "a",
              { href: "#/models", class: "chance" },
              `${fixed(concepts.excess[number] / 1000)} beyond chance, p = ${fixed(concepts.p[number] / 1000)}`,
            ),
            ". ",
          ],
          concepts.replication &&
            `In a half of the images ${percent(concepts.replication[number])} of its neurons ` +
              "are found again. ",
          concepts.colocation &&
            `Its units peak at one place on ${percent(concepts.colocation[number])} of the images. `,
          h("span", { class: "quiet" }, "What do the warm places have in common?"),
        ),
        h(
          "div",
          { class: "bar" },
          h("div", { class: "choice", role: "group", "aria-label": "Which images" }, buttons),
          viewer.controls(),
        ),
        holder,
        h(
          "p",
          { class: "small" },
          "For a paper: ",
          h("code", {}, `rosetta figure --concepts ${number}`),
        ),
        strongest(data.shows),
        h("h2", {}, `Its ${plural(total, "unit")}`),
        rosetta.conceptTables.unitTable(number, data, bars),
        rosetta.conceptTables.pairTable(number, data),
        h("h2", {}, "Neighbouring concepts"),
        h(
          "p",
          { class: "quiet" },
          `Those with a unit among the ${rosetta.index.k} nearest of one of its ` +
            "Rosetta neurons, without being its best buddy; with that correlation.",
        ),
        rosetta.conceptTables.neighbours(data),
        h("h2", {}, "Synonyms"),
        h(
          "p",
          { class: "quiet" },
          `Best buddies inside ${models[0].name}: they bind a concept together.`,
        ),
        rosetta.conceptTables.synonyms(number, data),
      ],
    };
  };
})();
