// @ts-check
// Addresses: every state of the pages has one, which survives a reload.
"use strict";

const route = (() => {
  /**
   * Page, names and settings of an address.
   * @param {string} hash
   * @returns {Address}
   */
  function read(hash = location.hash) {
    const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
    const [page = "", ...names] = path.split("/").map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
    const settings = Object.fromEntries(new URLSearchParams(query));
    return { page: page || "concepts", names, settings };
  }

  /**
   * Address of a page; empty settings are left out.
   * @param {(string | number)[]} parts
   * @param {Record<string, string | number | null | undefined>} settings
   */
  function link(parts, settings = {}) {
    const kept = Object.entries(settings)
      .filter(([, value]) => value !== undefined && value !== "" && value !== null)
      .map(([key, value]) => [key, String(value)]);
    const query = new URLSearchParams(kept).toString();
    return `#/${parts.map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
  }

  /**
   * Write settings into the address without leaving the page.
   * @param {Record<string, string | number | undefined>} changes
   */
  function keep(changes) {
    const { page, names, settings } = read();
    history.replaceState(null, "", link([page, ...names], { ...settings, ...changes }));
  }

  return { read, link, keep };
})();
