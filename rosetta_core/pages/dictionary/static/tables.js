// Tables that can be sorted by their heads and taken away as CSV; the address keeps their order.
//
// tables.table({name, columns, rows})   columns: {head, value(row), show(row), number}
// tables.saver(name, columns, rows)     a button that saves rows that are shown in another way
"use strict";

rosetta.tables = (() => {
  const { h } = rosetta;

  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    // a leading sign of a formula is only text here, whatever program opens the file
    const safe = /^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };

  function csv(columns, rows) {
    const lines = [
      columns.map((column) => cell(column.head)),
      ...rows.map((row) => columns.map((column) => cell(column.value(row)))),
    ];
    return lines.map((line) => line.join(",")).join("\n") + "\n";
  }

  function download(name, text) {
    const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    h("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  // A button that saves rows; columns: {head, value(row)}.
  function saver(name, columns, rows) {
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

  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a ?? "").localeCompare(String(b ?? ""), "en", { numeric: true });

  function table({ name, caption, columns, rows, most = 200, empty = "Nothing." }) {
    if (!rows.length) return h("p", { class: "quiet" }, empty);
    // in the address: a minus if from the top down, the number of the column, a star if all rows
    const kept = rosetta.route.read().set[name]?.match(/^(-?)(\d*)(\*?)$/);
    let order = kept?.[2] && Number(kept[2]) < columns.length ? Number(kept[2]) : null;
    let down = Boolean(kept?.[1]),
      shown = kept?.[3] ? rows.length : most;
    const keep = () =>
      rosetta.route.keep({
        [name]: `${down ? "-" : ""}${order ?? ""}${shown > most ? "*" : ""}` || undefined,
      });
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

    function fill() {
      const sorted =
        order === null
          ? rows
          : [...rows].sort(
              (a, b) => (down ? -1 : 1) * compare(columns[order].value(a), columns[order].value(b)),
            );
      body.replaceChildren(
        ...sorted.slice(0, shown).map((row) =>
          h(
            "tr",
            {},
            columns.map((column) =>
              h(
                column.head_of_row ? "th" : "td",
                {
                  class: column.number ? "number" : undefined,
                  scope: column.head_of_row ? "row" : undefined,
                },
                column.show ? column.show(row) : String(column.value(row) ?? ""),
              ),
            ),
          ),
        ),
      );
      more.hidden = rows.length <= shown;
      more.textContent = `Show all ${rosetta.count(rows.length)} rows`;
      heads.forEach((head, place) => {
        if (place === order) head.setAttribute("aria-sort", down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
    }

    const heads = columns.map((column, place) =>
      h(
        "th",
        {
          scope: "col",
          class: column.number ? "number" : undefined,
        },
        column.plain
          ? column.head
          : h(
              "button",
              {
                type: "button",
                onclick: () => {
                  down = order === place ? !down : Boolean(column.number);
                  order = place;
                  keep();
                  fill();
                },
              },
              column.head,
            ),
      ),
    );
    const data = columns.filter((column) => column.value);
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
      h("p", { class: "under" }, more, saver(name, data, rows)),
    );
    fill();
    return element;
  }

  return { table, saver };
})();
