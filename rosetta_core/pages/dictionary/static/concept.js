// @ts-check
// Page of a concept: verdict, examples, activation maximisation, and its units.
"use strict";

rosetta.pages.concept = (() => {
  const { h, fixed, plural } = rosetta;
  const { breakable, head, imageLink, unitLink } = parts;
  /** @type {Record<Group, string>} */
  const GROUPS = {
    top: "Best examples",
    random: "Random images",
    quartiles: "Score quartiles",
    disagreement: "Disagreement",
  };
  const QUARTILES = ["highest quartile", "second quartile", "third quartile", "lowest quartile"];

  /**
   * By model the maps of its representative unit, in the order of the images.
   * @param {ConceptRecord} data
   * @param {Unit[]} representatives
   */
  async function readMaps(data, representatives) {
    const bytes = await rosetta.unpack(data.maps);
    let start = 0;
    return representatives.map((unit, column) => {
      const size = data.sizes[column];
      const traits = { column, label: unit.id };
      const group = maps.cut(bytes, start, size, data.images.length, traits);
      start += data.images.length * size[0] * size[1];
      return group;
    });
  }

  /**
   * Table of example images with the map of each model.
   * @param {Group} group
   * @param {ConceptRecord} data
   * @param {ActivationMap[][]} columnsOfMaps
   * @param {Unit[]} representatives
   * @param {InstanceType<typeof maps.Viewer>} viewer
   */
  function examples(group, data, columnsOfMaps, representatives, viewer) {
    viewer.clear();
    /** @param {number} image */
    const row = (image) => {
      const place = data.images.indexOf(image);
      return h(
        "tr",
        {},
        h(
          "th",
          { scope: "row" },
          maps.picture(image),
          h(
            "span",
            { class: "small" },
            imageLink(image),
            h("br"),
            `score ${fixed(data.scores[place])}`,
          ),
        ),
        columnsOfMaps.map((column) => h("td", {}, viewer.tile(column[place], image))),
      );
    };
    const heads = representatives.map((unit, model) =>
      h(
        "th",
        { scope: "col" },
        breakable(rosetta.index.models[model].name),
        parts.randomMark(model),
        h("br"),
        h("span", { class: "small" }, unitLink(unit, breakable(unit.name))),
      ),
    );
    const body =
      group === "quartiles"
        ? data.quartiles.map((images, quartile) => [
            h(
              "tr",
              {},
              h(
                "th",
                { scope: "rowgroup", colspan: representatives.length + 1, class: "group" },
                QUARTILES[quartile],
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
        "aria-label": `${GROUPS[group]}: images, and the map of each model`,
      },
      h(
        "table",
        { class: "examples" },
        h("caption", { class: "hidden" }, GROUPS[group]),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "image"), heads)),
        h("tbody", {}, body),
      ),
    );
  }

  /**
   * Random images before and after their latents were optimised.
   * @param {MaximisationRecord[]} maximisations
   */
  function maximisation(maximisations) {
    if (!maximisations.length) return null;
    /** @type {(number: number, values: [Value, Value], place: number) => HTMLElement} */
    const pair = (number, [before, after], place) => {
      /** @type {(side: string, alt: string) => HTMLElement} */
      const half = (side, alt) =>
        h("img", {
          src: `pictures/maximisations/${number}/${place}.webp`,
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
        half("after", "the image after optimisation"),
        h("span", { class: "small" }, `${fixed(before)} → ${fixed(after)}`),
      );
    };
    return [
      h("h2", {}, "Activation maximisation"),
      h(
        "p",
        { class: "quiet" },
        "Random images before and after their latents were optimised to increase the activation. " +
          "Below each pair: mean activation before → after, in standard deviations over random images.",
      ),
      maximisations.map(({ number, about, values }) => [
        h("p", { class: "small about" }, about),
        h(
          "ul",
          { class: "pairs", "aria-label": `Before and after: ${about}` },
          values.map((one, place) => pair(number, one, place)),
        ),
      ]),
    ];
  }

  /**
   * First line, statistics and verdict.
   * @param {number} number
   * @param {ConceptRecord} data
   */
  function summary(number, data) {
    const { concepts, models } = rosetta.index;
    const neurons = data.units[0].length;
    const others = data.units.slice(1).reduce((sum, units) => sum + units.length, 0);
    const row = Object.fromEntries(
      Object.entries(concepts).map(([key, values]) => [key, values[number]]),
    );
    const { kind, title, text } = data.verdict;
    return [
      h(
        "p",
        {},
        `${plural(neurons, "Rosetta neuron")} of ${models[0].name} ` +
          `${neurons === 1 ? "matches" : "match"} ${plural(others, "unit")} in ` +
          `${plural(models.length - 1, "encoder")}. Mean correlation ${fixed(row.mean_corr)}, ` +
          `lowest ${fixed(row.min_corr)}.`,
      ),
      columns.list("concepts", row),
      h(
        "section",
        { class: `verdict ${kind}` },
        h("h2", {}, title),
        h("p", {}, text, " ", h("a", { href: "#/guide" }, "How to read a verdict")),
      ),
    ];
  }

  /**
   * Stable id of a concept: layer and channel of its representative unit in the pivot.
   * @param {number} number
   */
  function conceptId(number) {
    const { models, representatives } = rosetta.index;
    return rosetta.unit(0, representatives[0][number]).id.slice(models[0].name.length + 1);
  }

  /**
   * Number of a concept, by its number or its id; NaN if there is none.
   * @param {string} text
   */
  function conceptNumber(text) {
    if (/^[0-9]+$/.test(text)) return Number(text);
    const number = rosetta.index.concepts.size.findIndex((_, i) => conceptId(i) === text);
    return number < 0 ? NaN : number;
  }

  /** @param {Address} address */
  return async function conceptPage({ names, settings }) {
    const { concepts, models, k, representatives } = rosetta.index;
    const text = names.join("/");
    const number = conceptNumber(text);
    const total = concepts.size.length;
    if (!(number in concepts.size)) {
      return rosetta.notFound(
        total
          ? `There is no concept ${text}. Concepts have the numbers 0 to ${total - 1}.`
          : `There is no concept ${text}. This run has no concepts.`,
      );
    }
    /** @type {ConceptRecord} */
    const data = await rosetta.load(`concepts/${number}`);
    const units = models.map((_, model) => rosetta.unit(model, representatives[model][number]));
    const columnsOfMaps = await readMaps(data, units);
    const bars = await rosetta.unpack(data.histograms);
    const viewer = new maps.Viewer(settings);
    let group = settings.group in GROUPS ? /** @type {Group} */ (settings.group) : "top";
    const holder = h("div", {});
    const groups = /** @type {[Group, string][]} */ (Object.entries(GROUPS));
    const buttons = groups.map(([name, label]) =>
      h(
        "button",
        {
          type: "button",
          name,
          onclick: () => {
            group = name;
            route.keep({ group: name === "top" ? undefined : name });
            show();
            viewer.draw();
          },
        },
        label,
      ),
    );
    const show = () => {
      holder.replaceChildren(examples(group, data, columnsOfMaps, units, viewer));
      for (const button of buttons) {
        button.setAttribute("aria-pressed", String(button.name === group));
      }
    };
    show();
    // Another concept keeps the appearance of the maps, but not the order of tables.
    /** @type {Step} */
    const step = (by) => {
      if (!(number + by in concepts.size)) return null;
      const { group: shown, mode, opacity, threshold, colours, scale } = route.read().settings;
      const kept = { group: shown, mode, opacity, threshold, colours, scale };
      return route.link(["concept", number + by], kept);
    };
    const members = data.units.reduce((sum, one) => sum + one.length, 0);
    return {
      title: `Concept ${number}`,
      move: step,
      after: () => viewer.draw(),
      content: [
        head(`Concept ${number}`, "Concepts", step),
        h(
          "p",
          { class: "small stable" },
          "Stable id: ",
          h(
            "a",
            {
              href: route.link(["concept", conceptId(number)]),
              title: "layer/channel of the representative unit; a link to this concept by its id",
            },
            conceptId(number),
          ),
        ),
        summary(number, data),
        h(
          "div",
          { class: "bar" },
          h("div", { class: "choice", role: "group", "aria-label": "Example images" }, buttons),
          viewer.controls(),
        ),
        holder,
        h(
          "p",
          { class: "small" },
          "As a figure (PDF and PNG): ",
          h("code", {}, `rosetta figure --concepts ${number}`),
        ),
        maximisation(data.maximisations),
        h("h2", {}, `Units (${members})`),
        conceptTables.units(number, data, bars),
        conceptTables.pairs(number, data),
        h("h2", {}, "Related concepts"),
        h(
          "p",
          { class: "quiet" },
          `Concepts with a unit among the ${k} nearest neighbours of a Rosetta neuron of this ` +
            "concept that is not its best buddy; the number is their correlation.",
        ),
        conceptTables.related(data),
        h("h2", {}, "Best buddies within the pivot"),
        h("p", { class: "quiet" }, `Links between units of ${models[0].name} that join neurons.`),
        conceptTables.pivotBuddies(number, data),
      ],
    };
  };
})();
