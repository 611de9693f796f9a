// @ts-check
// Guide: how to read the dictionary, its terms, verdicts and keys.
"use strict";

rosetta.pages.guide = (() => {
  const { h, count, plural } = rosetta;

  /**
   * Terms and definitions.
   * @param {[string, Child][]} entries
   */
  const list = (entries) =>
    h(
      "dl",
      { class: "terms" },
      entries.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]),
    );

  function steps() {
    const { nullModels } = rosetta.index;
    const conditions = nullModels.map(({ name, description }) => `${name}: ${description}`);
    const nulls = conditions.length
      ? `Null models of this run: ${conditions.join("; ")}.`
      : "This run has no null model.";
    return h(
      "ol",
      {},
      [
        "Look at the random images first, then at the best examples. A name that fits only the " +
          "best examples is a guess.",
        "Read the heat maps: warm colours are above the unit's mean, in standard deviations " +
          "(std); grey is at or below it.",
        "Read the verdict. Excess correlation is what remains after subtracting the correlation " +
          `under a null model. ${nulls} High correlation with low excess means a fixed position, ` +
          "not content.",
        "Check the recovery rate: the share of the concept's neurons recovered when half of the " +
          "images are mined alone.",
        "Open “Disagreement”: images on which the pivot is active and the encoders are not, or " +
          "the reverse.",
      ].map((text) => h("li", {}, text)),
    );
  }

  function verdicts() {
    const { maxPValue, minExcessShare, minRecoveryRate } = rosetta.index.thresholds;
    const recovery = columns.write(minRecoveryRate, "percent");
    const excess = columns.write(minExcessShare, "percent");
    return list([
      [
        "Strong",
        `p ≤ ${maxPValue}, recovery rate of at least ${recovery} (if computed), and excess ` +
          `correlation of at least ${excess} of the mean correlation`,
      ],
      [
        "Small effect",
        `p ≤ ${maxPValue}, but excess correlation below ${excess} of the mean correlation`,
      ],
      ["Unstable", `p ≤ ${maxPValue}, but recovery rate below ${recovery}`],
      ["Weak", `p > ${maxPValue}`],
      ["Not tested", "the run has no null model"],
    ]);
  }

  function terms() {
    const { models, k } = rosetta.index;
    const pivot = models[0].name;
    return list([
      ["unit", "one channel of one layer, written model/layer/channel"],
      ["activation map", "a unit's output on one image, a value per position"],
      ["correlation", "Pearson's r of two units' maps over all images and positions"],
      ["nearest neighbours", `the ${k} units of another model with the highest correlation`],
      ["best buddies", `two units, each among the other's ${k} nearest neighbours`],
      ["Rosetta neuron", `a unit of ${pivot} with a best buddy in every encoder`],
      [
        "concept",
        "a connected component of Rosetta neurons under best buddies within the pivot; concepts " +
          "are numbered by descending mean correlation",
      ],
      [
        "representative unit",
        "the Rosetta neuron with the highest mean correlation, or one of its best buddies; shown " +
          "in pictures",
      ],
      [
        "concept score",
        "strength of a concept in an image: mean product of standardised maps over its best-buddy " +
          "pairs; its mean over images is about the mean correlation",
      ],
      [
        "score quartiles",
        "example images evenly spaced in each quarter of the ranking by concept score",
      ],
      [
        "disagreement",
        "difference between the pivot rank and the mean encoder rank of an image, by the peak of " +
          "the map",
      ],
      [
        "p",
        "share of null matches with at least this excess; at least 1 / (1 + number of null matches)",
      ],
      [
        "FDR",
        "estimated share of false discoveries among the observed matches; see the models page",
      ],
      [
        "95% CI",
        "range of r for other samples of images; slightly optimistic, since pairs were selected",
      ],
      [
        "peak overlap",
        "share of images on which two maps peak within 1/8 of the image side; high is strong, low " +
          "is not weak",
      ],
      [
        "selectivity, sparsity",
        "0: responds equally to all images (positions); 1: to a single one",
      ],
    ]);
  }

  /** @type {(name: string, text: string) => HTMLElement} */
  const key = (name, text) =>
    h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, name)), h("td", {}, text));

  return function guidePage() {
    const { models, images, folder } = rosetta.index;
    const encoders = plural(models.length - 1, "encoder");
    const processed = folder
      ? `${models[0].name} and ${encoders} processed ${count(images)} images from ${folder}.`
      : `${models[0].name} generated ${count(images)} images; ${encoders} processed them.`;
    return {
      title: "How to read this dictionary",
      content: [
        h("h1", { tabindex: -1 }, "How to read this dictionary"),
        h(
          "p",
          {},
          `${processed} A concept is a group of units, at least one in every model, that are ` +
            "active at the same places of the same images.",
        ),
        steps(),
        h("h2", {}, "Verdicts"),
        verdicts(),
        h("h2", {}, "Terms"),
        terms(),
        h("h2", {}, "Keys"),
        h(
          "table",
          { class: "keys" },
          h(
            "tbody",
            {},
            key("←", "previous concept, unit, image or page"),
            key("→", "next concept, unit, image or page"),
            key("/", "search"),
            key("Esc", "leave the search"),
          ),
        ),
        h("h2", {}, "Addresses and files"),
        h(
          "p",
          {},
          "The address stores all settings; every table can be saved as CSV. ",
          h("code", {}, "rosetta figure"),
          " draws figures for papers. The tables of the run are in ",
          h("code", {}, "../tables"),
          "; ",
          h("code", {}, "rosetta export"),
          " writes them as CSV, JSON or Parquet.",
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
