// Starts the pages: shows what the address says, and listens to keys.
"use strict";

(() => {
  const { h } = rosetta;
  const main = document.getElementById("main");
  const NAV = { concepts: "Concepts", images: "Images", models: "Networks", guide: "Guide" };
  const UNDER = { concept: "concepts", image: "images" };
  let shown = null; // the page that is seen
  let latest = 0;

  rosetta.say = (text) => {
    document.getElementById("said").textContent = text;
  };
  rosetta.nothing = (text) => ({
    title: "Not found",
    content: [
      h("h1", { tabindex: -1 }, "Not found"),
      h("p", {}, text),
      h("p", {}, h("a", { href: "#/concepts" }, "All concepts")),
    ],
  });

  async function show({ first = false } = {}) {
    const turn = (latest += 1);
    const where = rosetta.route.read();
    const page = rosetta.pages[where.page];
    let next;
    try {
      next = page ? await page(where) : rosetta.nothing(`There is no page “${where.page}”.`);
    } catch (error) {
      next = {
        title: "Error",
        content: [h("h1", { tabindex: -1 }, "This can't be shown"), h("p", {}, error.message)],
      };
    }
    if (turn !== latest) return; // another page was asked for meanwhile
    shown = next;
    main.replaceChildren(...next.content.flat(Infinity).filter(Boolean));
    main.dataset.page = where.page;
    next.after?.();
    document.title = `${next.title} · ${rosetta.index.run}`;
    for (const link of document.querySelectorAll("#nav a")) {
      const here = link.dataset.page === (UNDER[where.page] ?? where.page);
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.getElementById("query").value = where.set.q ?? "";
    if (!first) {
      window.scrollTo(0, 0);
      if (!document.activeElement?.closest("form"))
        main.querySelector("h1")?.focus({ preventScroll: true });
    }
  }

  function theme() {
    const button = document.getElementById("theme"),
      root = document.documentElement;
    const dark = () =>
      (root.dataset.theme ??
        (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const kept = (() => {
      try {
        return localStorage.getItem("rosetta-theme");
      } catch {
        return null;
      }
    })();
    if (kept === "dark" || kept === "light") root.dataset.theme = kept;
    const label = () => {
      button.textContent = dark() ? "☀" : "☾";
      button.setAttribute("aria-label", dark() ? "Show in light colours" : "Show in dark colours");
    };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try {
        localStorage.setItem("rosetta-theme", root.dataset.theme);
      } catch {
        /* not kept, then */
      }
      label();
    });
    label();
  }

  function keys(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "Escape" && typing) typing.blur();
    if (typing) return;
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("query").focus();
    }
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const to = step && !event.target.closest(".scroll") && shown?.move?.(step);
    if (to) {
      event.preventDefault();
      location.hash = to;
    }
  }

  if (!rosetta.index) {
    main.replaceChildren(
      h("p", {}, "data/index.js can't be loaded; was the dictionary copied as a whole?"),
    );
    return;
  }
  rosetta.missing = new Set(rosetta.index.missing);
  rosetta.paged = new Set(rosetta.index.pages);
  document.getElementById("run").textContent = rosetta.index.run;
  document
    .getElementById("nav")
    .append(
      ...Object.entries(NAV).map(([page, label]) =>
        h("a", { href: `#/${page}`, "data-page": page }, label),
      ),
    );
  const untrained = rosetta.index.models.filter((one) => one.random).map((one) => one.name);
  if (untrained.length)
    document
      .querySelector("header.top")
      .append(
        h(
          "p",
          { class: "random" },
          `Random weights: ${untrained.join(", ")}. Nothing in ${untrained.length > 1 ? "them" : "it"} was learned.`,
        ),
      );
  const [{ name, layers }] = rosetta.index.models.slice(1);
  const part = layers[0][0].split(".", 2).join("."); // the whole name needn't fit
  document.getElementById("query").placeholder = `${name} ${part} 0`;
  document.getElementById("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const q = document.getElementById("query").value.trim();
    location.hash = rosetta.route.link(["concepts"], { q });
    document.getElementById("query").blur();
  });
  theme();
  addEventListener("hashchange", () => show());
  addEventListener("keydown", keys);
  show({ first: true });
})();
