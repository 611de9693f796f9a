// @ts-check
// Start of the pages: shows the page of the address and listens to keys.
"use strict";

(() => {
  const { h, byId } = rosetta;
  const main = byId("main");
  const query = /** @type {HTMLInputElement} */ (byId("query"));
  const NAVIGATION = { concepts: "Concepts", images: "Images", models: "Models", guide: "Guide" };
  /** @type {Record<string, string>} */
  const SECTION = { concept: "concepts", image: "images" };
  /** @type {PageContent | null} */
  let shown = null;
  let latest = 0;

  /**
   * @param {Address} address
   * @returns {Promise<PageContent>}
   */
  async function contentOf(address) {
    const page = rosetta.pages[address.page];
    if (!page) return rosetta.notFound(`There is no page “${address.page}”.`);
    try {
      if (rosetta.index.folder) await rosetta.load("files");
      return await page(address);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return {
        title: "Error",
        content: [h("h1", { tabindex: -1 }, "This page cannot be shown"), h("p", {}, message)],
      };
    }
  }

  async function show({ first = false } = {}) {
    latest += 1;
    const turn = latest;
    const address = route.read();
    const next = await contentOf(address);
    if (turn !== latest) return; // another page was requested in the meantime
    shown = next;
    main.replaceChildren(...rosetta.flat(next.content ? [next.content] : []));
    main.dataset.page = address.page;
    next.after?.();
    document.title = `${next.title} · ${rosetta.index.run}`;
    const section = SECTION[address.page] ?? address.page;
    for (const link of byId("nav").querySelectorAll("a")) {
      if (link.dataset.page === section) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    query.value = address.settings.q ?? "";
    if (!first) {
      window.scrollTo(0, 0);
      if (!document.activeElement?.closest("form")) {
        main.querySelector("h1")?.focus({ preventScroll: true });
      }
    }
  }

  /** Stored choice of colours; null where the browser keeps none. */
  function storedTheme() {
    try {
      return localStorage.getItem("rosetta-theme");
    } catch {
      return null;
    }
  }

  /** @param {string} theme */
  function storeTheme(theme) {
    try {
      localStorage.setItem("rosetta-theme", theme);
    } catch {
      // the choice lasts until the page is left
    }
  }

  function startTheme() {
    const button = byId("theme");
    const root = document.documentElement;
    const isDark = () => {
      const preferred = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
      return (root.dataset.theme ?? preferred) === "dark";
    };
    const stored = storedTheme();
    if (stored === "dark" || stored === "light") root.dataset.theme = stored;
    const label = () => {
      button.textContent = isDark() ? "☀" : "☾";
      button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
    };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      storeTheme(root.dataset.theme);
      label();
    });
    label();
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const field = /** @type {HTMLElement | null} */ (target.closest("input, select, textarea"));
    if (event.key === "Escape") field?.blur();
    if (field) return;
    if (event.key === "/") {
      event.preventDefault();
      query.focus();
    }
    const by = event.key === "ArrowLeft" ? -1 : Number(event.key === "ArrowRight");
    const to = by && !target.closest(".scroll") ? shown?.move?.(by) : null;
    if (to) {
      event.preventDefault();
      location.hash = to;
    }
  }

  function startHeader() {
    const { run, models } = rosetta.index;
    byId("run").textContent = run;
    byId("nav").append(
      ...Object.entries(NAVIGATION).map(([page, label]) =>
        h("a", { href: `#/${page}`, "data-page": page }, label),
      ),
    );
    const untrained = models.filter((one) => one.random).map((one) => one.name);
    if (untrained.length) {
      const them = untrained.length > 1 ? "them" : "it";
      const text = `Random weights: ${untrained.join(", ")}. Nothing in ${them} was learned.`;
      document.querySelector("header.top")?.append(h("p", { class: "random" }, text));
    }
    const [{ name, layers }] = models.slice(1);
    const prefix = layers[0][0].split(".", 2).join("."); // a whole name may be too long
    query.placeholder = `${name} ${prefix} 0`;
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      location.hash = route.link(["concepts"], { q: query.value.trim() });
      query.blur();
    });
  }

  if (!rosetta.index) {
    const text = "data/index.js: cannot be loaded; copy the whole folder of the dictionary";
    main.replaceChildren(h("p", {}, text));
    return;
  }
  startHeader();
  startTheme();
  addEventListener("hashchange", () => show());
  addEventListener("keydown", onKey);
  show({ first: true });
})();
