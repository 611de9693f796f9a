// @ts-check
// Tables that are sorted by their heads and saved as CSV; the address keeps their order.
"use strict";

const tables = (() => {
  const { h } = rosetta;

  /**
   * A value as a field of CSV. A leading sign of a formula is made text for spreadsheets.
   * @param {string | Value | undefined} value
   */
  function field(value) {
    const text = value === null || value === undefined ? "" : String(value);
    const safe = /^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  /**
   * @template Row
   * @param {TableColumn<Row>[]} columns
   * @param {Row[]} rows
   */
  function csv(columns, rows) {
    const lines = [
      columns.map((column) => field(column.head)),
      ...rows.map((row) => columns.map((column) => field(column.value(row)))),
    ];
    return `${lines.map((line) => line.join(",")).join("\n")}\n`;
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  function download(name, text) {
    const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    h("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  /**
   * A button that saves rows as CSV.
   * @template Row
   * @param {string} name
   * @param {TableColumn<Row>[]} columns
   * @param {Row[]} rows
   */
  function saveButton(name, columns, rows) {
    return h(
      "button",
      {
        type: "button",
        class: "small",
        title: `Save as ${name}.csv`,
        "data-csv": name,
        onclick: () => download(`${name}.csv`, csv(columns, rows)),
      },
      "CSV",
    );
  }

  /** @param {unknown} value */
  const missing = (value) => value === null || value === undefined || value === "";

  /**
   * Order of two values; missing ones are last in either direction.
   * @param {string | Value | undefined} a
   * @param {string | Value | undefined} b
   * @param {boolean} descending
   */
  function compare(a, b, descending) {
    if (missing(a) || missing(b)) return Number(missing(a)) - Number(missing(b));
    const order =
      typeof a === "number" && typeof b === "number"
        ? a - b
        : String(a).localeCompare(String(b), "en", { numeric: true });
    return descending ? -order : order;
  }

  /**
   * A table. The address holds under its name a minus for descending order, the number of the
   * column, and a star if all rows are shown.
   * @template Row
   * @param {{
   *   name: string,
   *   caption: string,
   *   columns: TableColumn<Row>[],
   *   rows: Row[],
   *   limit?: number,
   *   empty?: string,
   * }} options
   */
  function table({ name, caption, columns, rows, limit = 200, empty = "No rows." }) {
    if (!rows.length) return h("p", { class: "quiet" }, empty);
    const kept = route.read().settings[name]?.match(/^(-?)(\d*)(\*?)$/);
    /** @type {number | null} */
    let order = kept?.[2] && Number(kept[2]) < columns.length ? Number(kept[2]) : null;
    let descending = Boolean(kept?.[1]);
    let shown = kept?.[3] ? rows.length : limit;
    const keep = () => {
      const all = shown > limit ? "*" : "";
      route.keep({ [name]: `${descending ? "-" : ""}${order ?? ""}${all}` || undefined });
    };
    const body = h("tbody");
    const more = h("button", {
      type: "button",
      class: "small",
      onclick: () => {
        shown = rows.length;
        keep();
        fill();
      },
    });

    /** @param {Row} row */
    const tableRow = (row) =>
      h(
        "tr",
        {},
        columns.map((column) =>
          h(
            column.rowHead ? "th" : "td",
            { class: column.number && "number", scope: column.rowHead && "row" },
            column.show ? column.show(row) : String(column.value(row) ?? "–"),
          ),
        ),
      );

    function fill() {
      const place = order;
      const sorted =
        place === null
          ? rows
          : [...rows].sort((a, b) =>
              compare(columns[place].value(a), columns[place].value(b), descending),
            );
      body.replaceChildren(...sorted.slice(0, shown).map(tableRow));
      more.hidden = rows.length <= shown;
      more.textContent = `Show all ${rosetta.count(rows.length)} rows`;
      heads.forEach((head, column) => {
        if (column === order) {
          head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        } else head.removeAttribute("aria-sort");
      });
    }

    /** @param {number} place */
    function sortBy(place) {
      descending = order === place ? !descending : Boolean(columns[place].number);
      order = place;
      keep();
      fill();
    }

    const heads = columns.map(({ head, tooltip, number, fixed }, place) =>
      h(
        "th",
        { scope: "col", class: number && "number", title: tooltip },
        fixed ? head : h("button", { type: "button", onclick: () => sortBy(place) }, head),
      ),
    );
    const element = h(
      "div",
      { class: "table" },
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
        h(
          "table",
          {},
          h("caption", { class: "hidden" }, caption),
          h("thead", {}, h("tr", {}, heads)),
          body,
        ),
      ),
      h("p", { class: "under" }, more, saveButton(name, columns, rows)),
    );
    fill();
    return element;
  }

  return { table, saveButton };
})();
