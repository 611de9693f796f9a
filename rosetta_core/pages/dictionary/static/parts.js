// @ts-check
// Parts that several pages share.
"use strict";

const parts = (() => {
  const { h, count } = rosetta;

  /**
   * @param {string | null} to
   * @param {string} label
   * @param {number} by
   */
  const stepLink = (to, label, by) =>
    to
      ? h("a", { href: to, rel: by < 0 ? "prev" : "next" }, label)
      : h("span", { class: "off" }, label);

  /**
   * Title with links to the previous and the next page of its kind.
   * @param {string} title
   * @param {string} kind
   * @param {Step} step
   */
  function head(title, kind, step) {
    return h(
      "div",
      { class: "head" },
      h("h1", { tabindex: -1 }, breakable(title)),
      h(
        "nav",
        { "aria-label": kind },
        stepLink(step(-1), "← previous", -1),
        stepLink(step(1), "next →", 1),
      ),
    );
  }

  /**
   * Links through the pages of a long list; null if it is on one page.
   * @param {number} page
   * @param {number} pages
   * @param {string} kind
   * @param {Step} step
   */
  function pager(page, pages, kind, step) {
    if (pages < 2) return null;
    return h(
      "nav",
      { class: "pager", "aria-label": `Pages of ${kind}` },
      stepLink(step(-1), "← previous", -1),
      h("span", {}, `page ${page + 1} of ${count(pages)}`),
      stepLink(step(1), "next →", 1),
    );
  }

  /**
   * A concept as a small picture with text.
   * @param {number} concept
   * @param {{value: Value, alt?: string, lines: string[]}} texts
   */
  function card(concept, { value, alt = "", lines }) {
    return h(
      "li",
      {},
      h(
        "a",
        { class: "card", href: route.link(["concept", concept]) },
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
        charts.meter(value),
        lines.map((line) => h("span", { class: "small ellipsis" }, line)),
      ),
    );
  }

  /**
   * Link to the file that an image was read from, where it lies beside the pages.
   * @param {number} image
   * @param {Child} text
   */
  function originalLink(image, text) {
    const href = rosetta.originalOf(image);
    const label = `original file of ${rosetta.imageName(image)}`;
    return href && h("a", { href, title: "original file", "aria-label": label }, text);
  }

  /**
   * Link to the page of an image, and to its original file.
   * @param {number} image
   */
  const imageLink = (image) => [
    h("a", { href: route.link(["image", image]) }, breakable(rosetta.imageName(image))),
    " ",
    originalLink(image, "↗"),
  ];

  /**
   * A long name that may break after a dot, a slash or an underscore.
   * @param {string} name
   */
  const breakable = (name) =>
    name.split(/(?<=[._/])/).flatMap((part, place) => (place ? [h("wbr"), part] : [part]));

  /**
   * @param {Unit} unit
   * @param {Child} text
   */
  const unitLink = (unit, text = unit.id) => h("a", { href: unit.href }, text);

  /**
   * Mark beside the name of a model with random weights.
   * @param {number} model
   */
  const randomMark = (model) =>
    rosetta.index.models[model].random && [" ", h("span", { class: "random" }, "random weights")];

  return { head, pager, card, imageLink, originalLink, breakable, unitLink, randomMark };
})();
