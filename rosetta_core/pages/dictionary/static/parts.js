// Parts that several pages are made of.
//
// parts.head(title, kind, at)    a title between the way back and the way on
// parts.pager(page, pages, …)    the way through a long list
// parts.card(concept, …)         a concept as a small picture with words
// parts.imageName(image)         an image's number, and the way to its page if it has one
// parts.breakable(name)          a long name that breaks where it may
// parts.unitLink(unit)           a unit's id, and the way to its page
// parts.random(model)            what is said beside the name of a model that learned nothing
"use strict";

rosetta.parts = (() => {
  const { h, count } = rosetta;

  const way = (to, label, by) =>
    to
      ? h("a", { href: to, rel: by < 0 ? "prev" : "next" }, label)
      : h("span", { class: "off" }, label);

  // at(by): the address that many steps further, null if there is none
  function head(title, kind, at) {
    return h(
      "div",
      { class: "head" },
      h("h1", { tabindex: -1 }, title),
      h("nav", { "aria-label": kind }, way(at(-1), "← previous", -1), way(at(1), "next →", 1)),
    );
  }

  function pager(page, pages, kind, at) {
    if (pages < 2) return null;
    return h(
      "nav",
      { class: "pager", "aria-label": `Pages of ${kind}` },
      way(at(-1), "← previous", -1),
      h("span", {}, `page ${page + 1} of ${count(pages)}`),
      way(at(1), "next →", 1),
    );
  }

  function card(concept, { value, alt = "", lines }) {
    return h(
      "li",
      {},
      h(
        "a",
        { class: "card", href: rosetta.route.link(["concept", concept]) },
        h("img", {
          src: `pictures/concepts/${concept}.webp`,
          width: 192,
          height: 96,
          loading: "lazy",
          decoding: "async",
          alt,
        }),
        h(
          "span",
          { class: "title" },
          h("b", {}, `Concept ${concept}`),
          h("span", {}, rosetta.fixed(value)),
        ),
        rosetta.charts.meter(value),
        lines.map((line) => h("span", { class: "small ellipsis" }, line)),
      ),
    );
  }

  const imageName = (image) =>
    rosetta.paged.has(image)
      ? h("a", { href: rosetta.route.link(["image", image]) }, `image ${image}`)
      : `image ${image}`;

  // A name that may go on in the next line after a dot, a slash or an underscore.
  const breakable = (name) =>
    name.split(/(?<=[._/])/).flatMap((part, place) => (place ? [h("wbr"), part] : [part]));

  const unitLink = (unit, text = unit.id) => h("a", { href: unit.href }, text);

  const random = (model) =>
    rosetta.index.models[model].random && [" ", h("span", { class: "random" }, "random weights")];

  return { head, pager, card, imageName, breakable, unitLink, random };
})();
