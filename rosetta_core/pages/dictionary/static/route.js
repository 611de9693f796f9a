// Where the reader is: every state has an address that survives a reload.
//
// route.read()            the page, its names and its settings, out of the address
// route.link(parts, set)  an address
// route.keep(set)         write settings into the address without leaving the page
"use strict";

rosetta.route = (() => {
  function read(hash = location.hash) {
    const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
    const [page = "", ...names] = path.split("/").map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
    return { page: page || "concepts", names, set: Object.fromEntries(new URLSearchParams(query)) };
  }

  function link(parts, set = {}) {
    const query = new URLSearchParams(
      Object.entries(set).filter(
        ([, value]) => value !== undefined && value !== "" && value !== null,
      ),
    ).toString();
    return `#/${parts.map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
  }

  function keep(changes) {
    const { page, names, set } = read();
    history.replaceState(null, "", link([page, ...names], { ...set, ...changes }));
  }

  return { read, link, keep };
})();
