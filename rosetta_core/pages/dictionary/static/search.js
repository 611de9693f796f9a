// @ts-check
// Search for units, and the concepts that contain them, by words.
"use strict";

const search = (() => {
  /** @typedef {{model: number, first: number, end: number}} Range units of a model */

  /**
   * Ranges of units. All words must be parts of "model/layer"; a last whole number is the channel.
   * @param {string} query
   */
  function findUnits(query) {
    const words = query.toLowerCase().split(/[\s/]+/);
    const last = words[words.length - 1];
    const channel = /^\d+$/.test(last) ? Number(words.pop()) : null;
    /** @type {Range[]} */
    const ranges = [];
    rosetta.index.models.forEach((one, model) => {
      one.layers.forEach(([layer, channels], place) => {
        const name = `${one.name}/${layer}`.toLowerCase();
        if (!words.every((word) => name.includes(word))) return;
        const first = rosetta.startsOf(model)[place];
        if (channel === null) ranges.push({ model, first, end: first + channels });
        else if (channel < channels) {
          ranges.push({ model, first: first + channel, end: first + channel + 1 });
        }
      });
    });
    return { channel, ranges };
  }

  /** @param {Range[]} ranges */
  async function conceptsWith(ranges) {
    /** @type {SearchRecord[]} */
    const members = await rosetta.load("search");
    /** @type {Set<number>} */
    const concepts = new Set();
    for (const { model, first, end } of ranges) {
      members[model].units.forEach((unit, place) => {
        if (unit >= first && unit < end) concepts.add(members[model].concepts[place]);
      });
    }
    return concepts;
  }

  /**
   * Units and concepts that a query means; a number alone means a concept.
   * @param {string} query
   * @returns {Promise<{units: Unit[], concepts: Set<number>}>}
   */
  return async function search(query) {
    const number = query.trim().match(/^(?:concept\s*)?(\d+)$/i);
    if (number) return { units: [], concepts: new Set([Number(number[1])]) };
    const { channel, ranges } = findUnits(query.trim());
    const units =
      channel === null ? [] : ranges.map(({ model, first }) => rosetta.unit(model, first));
    return { units, concepts: await conceptsWith(ranges) };
  };
})();
