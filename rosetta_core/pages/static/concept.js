// A concept: its examples, image beside map beside map, and its units.
"use strict";

rosetta.pages.concept = (() => {
  const { h, fixed, plural, count } = rosetta;
  const GROUPS = { top: "Best examples", random: "Random images", quarters: "From every quarter" };
  const QUARTERS = ["strongest quarter", "second quarter", "third quarter", "weakest quarter"];

  // By model the maps of its leading unit, in the order of the images.
  async function readMaps(data, leading) {
    const bytes = await rosetta.unpack(data.maps);
    let start = 0;
    return leading.map((unit, column) => {
      const [height, width] = data.grids[column];
      return data.images.map(() => {
        const map = { bytes: bytes.subarray(start, start + height * width), height, width, column,
          label: unit.id };
        start += height * width;
        return map;
      });
    });
  }

  function examples(group, data, maps, leading, viewer) {
    viewer.clear();
    const row = (image) => {
      const place = data.images.indexOf(image);
      const evidence = `evidence ${fixed(data.evidence[place] / 1000)}`;
      return h("tr", {}, h("th", { scope: "row" }, rosetta.maps.picture(image),
        h("span", { class: "small" }, rosetta.paged.has(image)
          ? h("a", { href: rosetta.route.link(["image", image]) }, `image ${image}`)
          : `image ${image}`, h("br"), evidence)),
      maps.map((its) => h("td", {}, viewer.tile(its[place], image))));
    };
    const heads = leading.map((unit, model) => h("th", { scope: "col" },
      rosetta.index.models[model].name, h("br"),
      h("a", { class: "small", href: unit.href }, unit.name)));
    const parts = group === "quarters" ? data.quarters.map((images, quarter) => [
      h("tr", {}, h("th", { scope: "rowgroup", colspan: leading.length + 1, class: "group" },
        QUARTERS[quarter])), images.map(row)]) : data[group].map(row);
    return h("div", { class: "scroll", tabindex: 0, role: "region",
      "aria-label": `${GROUPS[group]}: the image and the map of each network` },
    h("table", { class: "examples" }, h("caption", { class: "hidden" }, GROUPS[group]),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "image"), heads)),
      h("tbody", {}, parts)));
  }

  function unitTable(number, data, bars) {
    const best = new Map();
    for (const [own, model, unit, corr] of data.pairs) {
      for (const [key, partner] of [[`0/${own}`, { model, unit }], [`${model}/${unit}`, { model: 0, unit: own }]]) {
        const entry = best.get(key) ?? { corr: -1, buddies: 0 };
        entry.buddies += 1;
        if (corr > entry.corr) Object.assign(entry, { corr, partner });
        best.set(key, entry);
      }
    }
    let place = 0;
    const rows = data.units.flatMap((units, model) => units.map(([unit, mean, std]) => {
      const named = rosetta.unit(model, unit), found = best.get(`${model}/${unit}`);
      const histogram = bars.subarray(64 * place, 64 * (place + 1));
      place += 1;
      return { ...named, mean, std, histogram, corr: found.corr / 1e4, buddies: found.buddies,
        partner: rosetta.unit(found.partner.model, found.partner.unit), model: rosetta.index.models[model].name };
    }));
    return rosetta.tables.table({
      name: `concept-${number}-units`, caption: `The units of concept ${number}`, rows, most: 60,
      columns: [
        { head: "unit", value: (row) => row.id, show: (row) => h("a", { href: row.href }, row.id), head_of_row: true },
        { head: "map", value: (row) => `${row.height}×${row.width}` },
        { head: "best correlation", value: (row) => row.corr, show: (row) => fixed(row.corr), number: true },
        { head: "with", value: (row) => row.partner.id,
          show: (row) => h("a", { href: row.partner.href }, row.partner.id) },
        { head: "best buddies here", value: (row) => row.buddies, number: true },
        { head: "mean", value: (row) => row.mean, number: true },
        { head: "std", value: (row) => row.std, number: true },
        { head: "activations", plain: true, show: (row) => rosetta.charts.spark(row.histogram),
          value: (row) => [...row.histogram].join(" ") },
      ],
    });
  }

  function pairTable(number, data) {
    const rows = data.pairs.map(([own, model, unit, corr]) => ({
      own: rosetta.unit(0, own), other: rosetta.unit(model, unit), corr: corr / 1e4 }));
    return h("details", { open: Boolean(rosetta.route.read().set.pairs),
      ontoggle: (event) => rosetta.route.keep({ pairs: event.target.open ? 1 : undefined }),
    }, h("summary", {}, `All ${plural(rows.length, "pair")}`), rosetta.tables.table({
      name: `concept-${number}-pairs`, caption: `The pairs of concept ${number}`, rows, most: 100,
      columns: [
        { head: "Rosetta neuron", value: (row) => row.own.id, show: (row) => h("a", { href: row.own.href }, row.own.id), head_of_row: true },
        { head: "best buddy", value: (row) => row.other.id, show: (row) => h("a", { href: row.other.href }, row.other.id) },
        { head: "correlation", value: (row) => row.corr, show: (row) => fixed(row.corr, 3), number: true },
      ],
    }));
  }

  function synonyms(number, data) {
    const rows = data.synonyms.map(([own, other, corr, concept]) => ({
      own: rosetta.unit(0, own), other: rosetta.unit(0, other), corr: corr / 1e4, concept }));
    return rosetta.tables.table({
      name: `concept-${number}-synonyms`, caption: `Synonyms in concept ${number}`, rows, most: 20,
      empty: "None of its Rosetta neurons has a best buddy in the pivot.",
      columns: [
        { head: "Rosetta neuron", value: (row) => row.own.id, show: (row) => h("a", { href: row.own.href }, row.own.name), head_of_row: true },
        { head: "its best buddy in the pivot", value: (row) => row.other.id, show: (row) => h("a", { href: row.other.href }, row.other.name) },
        { head: "correlation", value: (row) => row.corr, show: (row) => fixed(row.corr, 3), number: true },
        { head: "which is", value: (row) => (row.concept < 0 ? "no Rosetta neuron" : row.concept === number ? "in this concept" : `in concept ${row.concept}`) },
      ],
    });
  }

  function neighbours(data) {
    if (!data.neighbours.length) {
      return h("p", { class: "quiet" }, "No unit of another concept is among the "
        + `${rosetta.index.k} nearest of its Rosetta neurons.`);
    }
    return h("ol", { class: "cards" }, data.neighbours.map(([concept, corr, own, other]) => h("li", {},
      h("a", { class: "card", href: rosetta.route.link(["concept", concept]) },
        h("img", { src: `pictures/concepts/${concept}.webp`, width: 192, height: 96, loading: "lazy", alt: "" }),
        h("span", { class: "title" }, h("b", {}, `Concept ${concept}`), h("span", {}, fixed(corr / 1e4))),
        h("span", { class: "small ellipsis" }, `${rosetta.unit(0, own).name} – ${rosetta.unit(0, other).name}`)))));
  }

  return async function concept({ names: [text], set }) {
    const { concepts, models } = rosetta.index, number = Number(text);
    if (!(number in concepts.size)) {
      return rosetta.nothing(`There is no concept ${text}; they are 0 to ${concepts.size.length - 1}.`);
    }
    const data = await rosetta.load(`concepts/${number}`);
    const leading = models.map((_, model) => rosetta.unit(model, concepts.leading[model][number]));
    const maps = await readMaps(data, leading);
    const bars = await rosetta.unpack(data.histograms);
    const viewer = new rosetta.maps.Viewer(set);
    let group = set.group in GROUPS ? set.group : "top";
    const holder = h("div", {});
    const show = () => {
      holder.replaceChildren(examples(group, data, maps, leading, viewer));
      buttons.forEach((button) => button.setAttribute("aria-pressed", button.name === group));
    };
    const buttons = Object.entries(GROUPS).map(([name, label]) => h("button", {
      type: "button", name, onclick: () => {
        group = name;
        rosetta.route.keep({ group: name === "top" ? undefined : name });
        show();
        viewer.draw();
      },
    }, label));
    show();
    // another concept, seen in the same way; orders of tables are this one's own
    const at = (other) => {
      const { group: which, mode, opacity, threshold, colours, scale } = rosetta.route.read().set;
      return other in concepts.size ? rosetta.route.link(["concept", other],
        { group: which, mode, opacity, threshold, colours, scale }) : null;
    };
    const step = (by, label) => h(at(number + by) ? "a" : "span", { href: at(number + by),
      class: at(number + by) ? "step" : "step off", rel: by < 0 ? "prev" : "next",
      onclick: (event) => {
        event.preventDefault();
        location.hash = at(number + by);
      } }, label);
    const total = data.units.reduce((sum, units) => sum + units.length, 0);
    return {
      title: `Concept ${number}`,
      move: (by) => at(number + by),
      after: () => viewer.draw(),
      content: [
        h("div", { class: "head" }, h("h1", { tabindex: -1 }, `Concept ${number}`),
          h("nav", { "aria-label": "Concepts" }, step(-1, "← previous"), step(1, "next →"))),
        h("p", {}, `${plural(concepts.size[number], "Rosetta neuron")} of ${models[0].name} with `
          + `${plural(total - concepts.size[number], "unit")} of ${plural(models.length - 1, "encoder")}. `
          + `Correlations ${fixed(concepts.mean[number] / 1000)} on average, `
          + `${fixed(concepts.min[number] / 1000)} at least. `,
        h("span", { class: "quiet" }, "What do the warm places have in common?")),
        h("div", { class: "bar" }, h("div", { class: "choice", role: "group", "aria-label": "Which images" }, buttons),
          viewer.controls()),
        holder,
        h("p", { class: "small" }, "For a paper: ", h("code", {}, `rosetta figure --concepts ${number}`)),
        h("h2", {}, `Its ${plural(total, "unit")}`), unitTable(number, data, bars), pairTable(number, data),
        h("h2", {}, "Neighbouring concepts"),
        h("p", { class: "quiet" }, `Those with a unit among the ${rosetta.index.k} nearest of one of its `
          + "Rosetta neurons, without being its best buddy; with that correlation."), neighbours(data),
        h("h2", {}, "Synonyms"),
        h("p", { class: "quiet" }, `Best buddies inside ${models[0].name}: they bind a concept together.`),
        synonyms(number, data),
      ],
    };
  };
})();
