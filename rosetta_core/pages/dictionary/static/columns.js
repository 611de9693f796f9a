// @ts-check
// Columns of the registry (dictionary/columns.py): how values are written, and table columns.
"use strict";

const columns = (() => {
  const { h, count, fixed } = rosetta;

  /**
   * A value as text; "–" if it is missing.
   * @param {Value | undefined} value
   * @param {Format} format
   * @returns {string}
   */
  function write(value, format) {
    if (value === null || value === undefined) return "–";
    switch (format) {
      case "integer":
        return count(value);
      case "decimal2":
        return fixed(value, 2);
      case "decimal3":
      case "interval":
        return fixed(value, 3);
      case "percent":
        return `${Math.round(100 * value)}%`;
      case "p":
        return value < 0.001 ? "< 0.001" : String(Number(value.toPrecision(2)));
      case "significant":
        return String(value).replace("-", "−");
      default:
        return unknown(format);
    }
  }

  /**
   * @param {never} format
   * @returns {never}
   */
  function unknown(format) {
    throw new Error(`unknown format ${format}`);
  }

  /**
   * Rows of a table's columns, as objects by key.
   * @param {Record<string, (string | Value)[]>} values
   * @returns {Record<string, any>[]}
   */
  function rows(values) {
    const [first] = Object.values(values);
    return first.map((_, place) =>
      Object.fromEntries(Object.entries(values).map(([key, column]) => [key, column[place]])),
    );
  }

  /**
   * Table columns of all statistics of a table.
   * @param {TableName} name
   * @param {Record<string, (row: any) => Child>} show how to show single columns, by key
   * @returns {TableColumn<any>[]}
   */
  function of(name, show = {}) {
    return rosetta.index.columns[name].map(({ key, label, tooltip, format, parts }) => ({
      head: label,
      tooltip,
      number: format !== "interval",
      value: parts.length
        ? (row) => parts.map((part) => row[part] ?? "").join(" ")
        : (row) => row[key],
      show:
        show[key] ??
        (format === "interval"
          ? (row) => charts.interval(row[parts[0]], row.corr, row[parts[1]])
          : (row) => write(row[key], format)),
    }));
  }

  /**
   * Statistics of one row as a list of terms with tooltips.
   * @param {TableName} name
   * @param {Record<string, Value>} row
   */
  function list(name, row) {
    return h(
      "dl",
      { class: "facts small-facts" },
      rosetta.index.columns[name].map(({ key, label, tooltip, format }) =>
        h("div", { title: tooltip }, h("dd", {}, write(row[key], format)), h("dt", {}, label)),
      ),
    );
  }

  return { write, rows, of, list };
})();
