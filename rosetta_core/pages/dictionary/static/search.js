// Finding units, and the concepts they are in, by words.
//
// search(query)    {units, concepts}: the units that are meant, and a set of concepts
"use strict";

rosetta.search = (() => {
  // All words must be parts of "model/layer"; a last whole number is the channel.
  function findUnits(query) {
    const words = query.toLowerCase().split(/[\s/]+/);
    const channel = /^\d+$/.test(words.at(-1)) ? Number(words.pop()) : null;
    const found = [];
    rosetta.index.models.forEach((one, model) =>
      one.layers.forEach(([layer, channels], place) => {
        const name = `${one.name}/${layer}`.toLowerCase();
        if (!words.every((word) => name.includes(word))) return;
        const first = rosetta.startsOf(model)[place];
        if (channel === null) found.push({ model, first, end: first + channels });
        else if (channel < channels)
          found.push({ model, first: first + channel, end: first + channel + 1 });
      }),
    );
    return { channel, found };
  }

  async function conceptsWith(found) {
    const members = await rosetta.load("search");
    const concepts = new Set();
    for (const { model, first, end } of found) {
      members[model].units.forEach((unit, place) => {
        if (unit >= first && unit < end) concepts.add(members[model].concepts[place]);
      });
    }
    return concepts;
  }

  return async function search(query) {
    const number = query.trim().match(/^(?:concept\s*)?(\d+)$/i);
    if (number) return { units: [], concepts: new Set([Number(number[1])]) };
    const { channel, found } = findUnits(query.trim());
    const units =
      channel === null ? [] : found.map(({ model, first }) => rosetta.unit(model, first));
    return { units, concepts: await conceptsWith(found) };
  };
})();
