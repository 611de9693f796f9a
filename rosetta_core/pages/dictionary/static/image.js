// An image with all the concepts on it (the paper's figures 2 and 13 to 17), and the images there are.
"use strict";

rosetta.pages.image = (() => {
  const { h, fixed, plural } = rosetta;

  function grid(order, data, bytes, image, viewer) {
    const { concepts, models } = rosetta.index;
    viewer.clear();
    let start = 0;
    const maps = data.concepts.map((concept, place) => {
      const [height, width] = data.grids[place];
      const unit = rosetta.unit(0, concepts.representative[0][concept]);
      const map = {
        bytes: bytes.subarray(start, start + height * width),
        height,
        width,
        column: place,
        label: unit.id,
      };
      start += height * width;
      return { concept, map, score: data.scores[place] / 1000 };
    });
    if (order === "number") maps.sort((a, b) => a.concept - b.concept);
    return h(
      "ol",
      { class: "tiles", "aria-label": `Maps of ${models[0].name}'s representative units` },
      maps.map(({ concept, map, score }) =>
        h(
          "li",
          {},
          h(
            "a",
            { href: rosetta.route.link(["concept", concept]) },
            viewer.tile(map, image),
            h("span", { class: "small" }, h("b", {}, concept), ` · ${fixed(score)}`),
          ),
        ),
      ),
    );
  }

  return async function imagePage({ names: [text], set }) {
    const { pages, models, images, seed, folder } = rosetta.index,
      image = Number(text);
    const place = pages.indexOf(image);
    if (place < 0) {
      return rosetta.nothing(
        image < images
          ? `Image ${text} has no page of its own; dictionary.image_pages says how many do.`
          : `There is no image ${text}.`,
      );
    }
    const data = await rosetta.load(`images/${image}`),
      bytes = await rosetta.unpack(data.maps);
    const viewer = new rosetta.maps.Viewer(set);
    let order = set.order === "number" ? "number" : "score";
    const holder = h("div", {}, grid(order, data, bytes, image, viewer));
    const at = (by) =>
      pages[place + by] === undefined
        ? null
        : rosetta.route.link(["image", pages[place + by]], rosetta.route.read().set);
    return {
      title: `Image ${image}`,
      move: at,
      after: () => viewer.draw(),
      content: [
        rosetta.parts.head(`Image ${image}`, "Images", at),
        h(
          "div",
          { class: "portrait" },
          rosetta.maps.picture(image, { width: 192, height: 192, loading: "eager" }),
          h(
            "p",
            {},
            (folder
              ? `From ${data.origin || `the folder ${folder}`}`
              : `Drawn by ${models[0].name} (run seed ${seed}${data.origin && `, ${data.origin}`})`) +
              `. Below, ${plural(data.concepts.length, "concept")} on it: ` +
              `the map of ${models[0].name}'s representative unit, with the concept's number and its score here, which is about 0 on an image that doesn't show it.`,
          ),
        ),
        h(
          "div",
          { class: "bar" },
          h(
            "label",
            {},
            "Order ",
            h(
              "select",
              {
                name: "order",
                onchange: (event) => {
                  order = event.target.value;
                  rosetta.route.keep({ order: order === "score" ? undefined : order });
                  holder.replaceChildren(grid(order, data, bytes, image, viewer));
                  viewer.draw();
                },
              },
              [
                ["score", "strongest first"],
                ["number", "by number"],
              ].map(([value, label]) => h("option", { value, selected: value === order }, label)),
            ),
          ),
          viewer.controls(),
        ),
        holder,
      ],
    };
  };
})();

rosetta.pages.images = (() => {
  const { h, plural, count } = rosetta;
  const A_PAGE = 120;

  return async function images({ set }) {
    const { pages, images: total } = rosetta.index,
      all = Math.max(1, Math.ceil(pages.length / A_PAGE));
    const page = Math.min(Math.max(Number(set.page) || 0, 0), all - 1);
    const at = (by) =>
      page + by < 0 || page + by >= all
        ? null
        : rosetta.route.link(["images"], { page: page + by || undefined });
    return {
      title: "Images",
      move: at,
      content: [
        h("h1", { tabindex: -1 }, "Images"),
        h(
          "p",
          {},
          `${plural(pages.length, "image")} of ${count(total)} with a page of their own: the best examples of the concepts first.`,
        ),
        h(
          "ul",
          { class: "tiles" },
          pages
            .slice(page * A_PAGE, (page + 1) * A_PAGE)
            .map((image) =>
              h(
                "li",
                {},
                h(
                  "a",
                  { href: rosetta.route.link(["image", image]) },
                  rosetta.maps.picture(image, { alt: "" }),
                  h("span", { class: "small" }, `image ${image}`),
                ),
              ),
            ),
        ),
        rosetta.parts.pager(page, all, "images", at),
      ],
    };
  };
})();
