// @ts-check
// Small charts, as SVG.
"use strict";

const charts = (() => {
  const { h, fixed, plural } = rosetta;
  const LOWEST = -4; // std of the first bar (mining/examples)
  const STEP = 0.25; // std per bar

  /**
   * @param {number[]} bars heights from 0 to 255
   * @param {number} width
   * @param {number} height
   */
  function columns(bars, width, height) {
    const step = width / bars.length;
    return bars.map((bar, place) =>
      h("rect", {
        x: place * step,
        width: Math.max(step - 0.6, 0.5),
        y: height - (bar / 255) * height,
        height: (bar / 255) * height,
      }),
    );
  }

  /**
   * Histogram of a unit's activations in a line of a table.
   * @param {Uint8Array} bars
   */
  function spark(bars) {
    return h(
      "svg",
      { class: "spark", viewBox: "0 0 128 24", "aria-hidden": "true" },
      columns([...bars], 128, 24),
    );
  }

  /**
   * Histogram of a unit's activations with an axis.
   * @param {Uint8Array} bars
   */
  function histogram(bars) {
    const width = 384;
    const height = 110;
    const step = width / bars.length;
    /** @param {number} value */
    const at = (value) => ((value - LOWEST) / STEP) * step;
    const ticks = [-4, -2, 0, 2, 4, 6, 8, 10, 12];
    return h(
      "svg",
      {
        class: "chart",
        viewBox: `0 0 ${width} ${height + 30}`,
        role: "img",
        "aria-label":
          "Histogram of activations, in standard deviations from the mean; " +
          "heights are square roots of counts",
      },
      h("g", { class: "bars" }, columns([...bars], width, height)),
      h("line", { class: "zero", x1: at(0), x2: at(0), y1: 0, y2: height }),
      ticks.map((tick) =>
        h(
          "text",
          {
            x: Math.min(Math.max(at(tick), 8), width - 12),
            y: height + 14,
            "text-anchor": "middle",
          },
          tick === 12 ? "12+" : String(tick).replace("-", "−"),
        ),
      ),
      h(
        "text",
        { x: width / 2, y: height + 27, "text-anchor": "middle" },
        "standard deviations from the mean",
      ),
    );
  }

  /**
   * Histograms of correlations from 0 to 1.
   * @param {{name: string, counts: number[]}[]} sets
   * @param {string} label
   */
  function correlations(sets, label) {
    const width = 384;
    const height = 120;
    const largest = Math.max(1, ...sets.flatMap((one) => one.counts));
    return h(
      "figure",
      {},
      h(
        "svg",
        {
          class: "chart",
          viewBox: `0 0 ${width} ${height + 30}`,
          role: "img",
          "aria-label": label,
        },
        sets.map((one, place) =>
          h(
            "g",
            { class: `bars set${place}` },
            one.counts.map((count, bin) => {
              const step = width / one.counts.length;
              const tall = (count / largest) * height;
              return h(
                "rect",
                { x: bin * step, width: step - 1, y: height - tall, height: tall },
                h(
                  "title",
                  {},
                  `${one.name}: ${count} between ${fixed(bin / one.counts.length)} and ` +
                    `${fixed((bin + 1) / one.counts.length)}`,
                ),
              );
            }),
          ),
        ),
        [0, 0.2, 0.4, 0.6, 0.8, 1].map((tick) =>
          h(
            "text",
            {
              x: Math.min(Math.max(tick * width, 8), width - 8),
              y: height + 14,
              "text-anchor": "middle",
            },
            String(tick),
          ),
        ),
        h("text", { x: width / 2, y: height + 27, "text-anchor": "middle" }, "correlation"),
      ),
      h(
        "figcaption",
        {},
        sets.map((one, place) => h("span", { class: `key set${place}` }, one.name)),
      ),
    );
  }

  /**
   * Number of pairs by layer of the pivot (rows) and layer of an encoder (columns).
   * @param {number[][]} matrix
   * @param {{rows: string[], columns: string[], row: string, column: string}} names
   */
  function depth(matrix, { rows, columns: names, row, column }) {
    const largest = Math.max(1, ...matrix.flat());
    const tall = 20;
    const wide = Math.max(8, 320 / names.length);
    const left = 8 + 6.4 * Math.max(...rows.map((name) => name.length));
    const width = left + wide * names.length + 4;
    const height = tall * rows.length + 34;
    return h(
      "svg",
      {
        class: "chart",
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        style: { "max-width": `${Math.round(width * 1.3)}px` },
        "aria-label": `Pairs by layer of ${row} and of ${column}`,
      },
      matrix.map((line, y) => [
        h("text", { x: left - 6, y: y * tall + 14, "text-anchor": "end" }, rows[y]),
        line.map((count, x) =>
          h(
            "rect",
            {
              x: left + x * wide,
              y: y * tall,
              width: wide - 1,
              height: tall - 1,
              class: "cell",
              style: { "--heat": `${Math.round(100 * Math.sqrt(count / largest))}%` },
            },
            h("title", {}, `${rows[y]} × ${names[x]}: ${plural(count, "pair")}`),
          ),
        ),
      ]),
      h("text", { x: left, y: height - 18 }, "first layer"),
      h(
        "text",
        { x: left + wide * names.length, y: height - 18, "text-anchor": "end" },
        "last layer",
      ),
      h(
        "text",
        { x: left + (wide * names.length) / 2, y: height - 3, "text-anchor": "middle" },
        `depth in ${column}`,
      ),
    );
  }

  /**
   * Values from 0 to 1 by layer; a line is broken where a value is missing.
   * @param {{name: string, place: number, values: Value[]}[]} sets
   * @param {{names: string[], label: string, fromZero?: boolean}} options
   */
  function curves(sets, { names, label, fromZero = true }) {
    const width = 384;
    const height = 120;
    const left = 34;
    const right = 8;
    const known = sets.flatMap((one) => one.values).filter((value) => value !== null);
    const highest = Math.max(0, ...known);
    const top = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8].find((some) => some >= highest) ?? 1;
    const lowest = fromZero ? 0 : Math.min(Math.floor(5 * Math.min(1, ...known)) / 5, top - 0.1);
    const bottom = Math.max(0, lowest);
    const step = (width - left - right) / Math.max(1, names.length - 1);
    /** @param {number} place */
    const x = (place) => (names.length > 1 ? left + place * step : (left + width - right) / 2);
    /** @param {number} value */
    const y = (value) => 6 + ((top - value) / (top - bottom)) * (height - 6);
    /** @param {Value[]} values */
    function line(values) {
      let text = "";
      values.forEach((value, place) => {
        if (value === null) return;
        const continues = place > 0 && values[place - 1] !== null;
        text += `${continues ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
      });
      return text;
    }
    return h(
      "figure",
      {},
      h(
        "svg",
        {
          class: "chart",
          viewBox: `0 0 ${width} ${height + 18}`,
          role: "img",
          "aria-label": label,
        },
        [bottom, (bottom + top) / 2, top].map((tick) => [
          h("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
          h(
            "text",
            { x: left - 5, y: y(tick) + 3.5, "text-anchor": "end" },
            String(Number(tick.toFixed(3))),
          ),
        ]),
        sets.map((one) =>
          h(
            "g",
            { class: `line set${one.place}` },
            h("path", { d: line(one.values) }),
            one.values.map(
              (value, place) =>
                value !== null &&
                h(
                  "circle",
                  { cx: x(place), cy: y(value), r: 2.6 },
                  h("title", {}, `${names[place]}: ${one.name} ${fixed(value)}`),
                ),
            ),
          ),
        ),
        h("text", { x: left, y: height + 14 }, "first layer"),
        h("text", { x: width - right, y: height + 14, "text-anchor": "end" }, "last layer"),
      ),
      h(
        "figcaption",
        {},
        sets.map((one) => h("span", { class: `key set${one.place}` }, one.name)),
      ),
    );
  }

  /**
   * A value from 0 to 1 as a bar.
   * @param {Value} value
   */
  const meter = (value) =>
    h(
      "span",
      { class: "meter", "aria-hidden": "true" },
      h("i", { style: { width: `${Math.max(0, Math.min(100, 100 * (value ?? 0))).toFixed(1)}%` } }),
    );

  /**
   * A line from low to high with a dot at the value, on an axis from 0, which is marked, to 1.
   * @param {Value} low
   * @param {number} value
   * @param {Value} high
   * @returns {Child}
   */
  function interval(low, value, high) {
    if (low === null || high === null) return "–";
    /** @param {number} corr */
    const at = (corr) => 14 + 110 * Math.max(corr, -0.1);
    return h(
      "span",
      { class: "share" },
      h(
        "svg",
        { class: "spark interval", viewBox: "0 0 128 24", "aria-hidden": "true" },
        h("line", { class: "zero", x1: at(0), x2: at(0), y1: 4, y2: 20 }),
        h("line", { x1: at(low), x2: at(high), y1: 12, y2: 12 }),
        h("circle", { cx: at(value), cy: 12, r: 3 }),
      ),
      ` ${fixed(low)} to ${fixed(high)}`,
    );
  }

  return { spark, histogram, correlations, depth, curves, meter, interval };
})();
