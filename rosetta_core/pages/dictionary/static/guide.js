// How to read the pages.
"use strict";

rosetta.pages.guide = (() => {
  const { h } = rosetta;

  return async function guide() {
    const { models, k, folder } = rosetta.index,
      pivot = models[0].name;
    const term = (name, ...text) => [h("dt", {}, name), h("dd", {}, text)];
    const key = (name, text) =>
      h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, name)), h("td", {}, text));
    return {
      title: "How to read these pages",
      content: [
        h("h1", { tabindex: -1 }, "How to read these pages"),
        h(
          "p",
          {},
          `${folder ? `${pivot} and other networks looked at the images of the folder ${folder}` : `A generator, ${pivot}, drew images. Other networks looked at them`}. Some of their units turned out to fire at the same places of the same images, though the networks were trained for different ends. These pages show what they fire at.`,
        ),
        h(
          "dl",
          { class: "terms" },
          term("unit", "A channel of a layer. Its name is model/layer/channel."),
          term(
            "activation map",
            "What a unit makes of an image: a value for every position. It is shown in standard deviations (std) from the unit's mean over all images and positions. Warm colours are far above the mean; where the unit is at or below it, the image shows in grey.",
          ),
          term(
            "correlation",
            "Of two units' maps over all images and positions, enlarged to the same size.",
          ),
          term(
            "best buddies",
            `Two units that are each among the ${k} that correlate best with the other.`,
          ),
          term("Rosetta neuron", `A unit of ${pivot} that has a best buddy in every encoder.`),
          term(
            "concept",
            `Rosetta neurons that are best buddies among themselves, with all their buddies. Concepts are numbered from the highest mean correlation down.`,
          ),
          term(
            "beyond chance",
            "What a correlation loses where the networks share nothing: as a rule, where the encoder sees another image than the pivot, so that only what lies at the same place of all images is left. p tells how often chance gives as much. See ",
            h("a", { href: "#/models" }, "the networks"),
            ".",
          ),
          term(
            "found again",
            "In halves of the images that were mined by themselves: a pair that is best buddies there too, or a Rosetta neuron of a concept.",
          ),
          term(
            "interval",
            "Between which values a correlation would lie, in 95 of 100 cases, had other images been drawn.",
          ),
          term(
            "at one place",
            "On which share of the images the highest positions of two maps are no more than an eighth of its sides apart.",
          ),
          term(
            "where they disagree",
            "The images at which the pivot's representative unit fires and the encoders' don't, or the other way round, compared with all other images.",
          ),
          term(
            "sparsity, selectivity",
            "How few activations, and how few images, a unit responds to: from 0, all alike, to 1, a single one. A unit responds where it is above its mean. See ",
            h("a", { href: "#/models" }, "the networks"),
            ".",
          ),
          term(
            "representative units",
            "The Rosetta neuron whose buddies correlate best with it, and those buddies: they stand for the concept in pictures.",
          ),
          term(
            "score",
            "How strongly a concept shows on an image: the product of the standardised maps of a Rosetta neuron and its buddy, averaged over the positions, over the concept's pairs with an encoder, and over the encoders. Over all images its mean is about the mean correlation.",
          ),
          term(
            "examples",
            "The best are the images with the highest score, one of each near-duplicates; random ones are any; the quarters are those of the ranking by score. A unit's own examples are the images on which its map has the highest peaks. Trust a concept that you can name from its random images.",
          ),
        ),
        h("h2", {}, "Keys"),
        h(
          "table",
          { class: "keys" },
          h(
            "tbody",
            {},
            key("←", "the previous concept, unit, image or page"),
            key("→", "the next"),
            key("/", "search"),
            key("Esc", "leave the search"),
          ),
        ),
        h("h2", {}, "Addresses"),
        h(
          "p",
          {},
          "The address of what you see holds all settings; it survives a reload and can be sent with the folder. Every table has a button that saves it as CSV. Figures for papers are made by ",
          h("code", {}, "rosetta figure"),
          "; the tables of the run lie in ",
          h("code", {}, "../tables"),
          ", and ",
          h("code", {}, "rosetta export"),
          " writes them as CSV or JSON.",
        ),
        h(
          "p",
          {},
          "Method: Dravid, Gandelsman, Efros and Shocher, ",
          h("i", {}, "Rosetta Neurons: Mining the Common Units in a Model Zoo"),
          ", ICCV 2023.",
        ),
      ],
    };
  };
})();
