// The search box: looks through `pages`, which index.js has: [title, place, text] of all that has a heading.

// What has every word, best first: in its name, in its title, in its text.
function search(entries, query) {
  const words = query.toLowerCase().split(/\s+/).filter(word => word);
  const found = [];
  for (const [title, place, text] of words.length ? entries : []) {
    const name = title.toLowerCase(), all = name + " " + text.toLowerCase();
    let worth = 0;
    for (const word of words) {
      if (!all.includes(word)) { worth = -1; break; }
      const last = name.replace(/\(.*/, "").split(/[.:]/).pop();
      worth += last === word ? 8 : last.startsWith(word) ? 4 : name.includes(word) ? 2 : 0;
    }
    if (worth >= 0) found.push({ title, place, text, worth: worth + (place.startsWith("modules/") ? 1 : 0) });
  }
  return found.sort((a, b) => b.worth - a.worth);
}

// The text around the first word that it has.
function excerpt(text, query) {
  const at = text.toLowerCase().indexOf(query.toLowerCase().split(/\s+/)[0]);
  const from = Math.max(0, at - 40);
  return (from > 0 ? "… " : "") + text.slice(from, from + 120);
}

function show(input, list, root) {
  const hits = search(pages, input.value).slice(0, 40);
  list.replaceChildren(...hits.map(hit => {
    const [item, link, text] = ["li", "a", "span"].map(tag => document.createElement(tag));
    link.href = root + hit.place;
    link.textContent = hit.title;
    text.textContent = excerpt(hit.text, input.value);
    item.append(link, text);
    return item;
  }));
  if (!hits.length && input.value.trim()) list.textContent = "Nothing has all of these words.";
  list.hidden = !input.value.trim();
}

function start() {
  const input = document.getElementById("search"), list = document.getElementById("found");
  const root = document.body.dataset.root;
  input.addEventListener("input", () => show(input, list, root));
  input.addEventListener("keydown", event => {
    const first = list.querySelector("a");
    if (event.key === "Enter" && first) first.click();
  });
  list.addEventListener("click", () => { list.hidden = true; });
  document.addEventListener("keydown", event => {
    if (event.key === "Escape") list.hidden = true;
    if (event.key === "/" && document.activeElement !== input) { event.preventDefault(); input.focus(); }
  });
  const nav = document.querySelector("nav"), current = document.querySelector("[aria-current]");
  if (nav && current) nav.scrollTop = current.offsetTop - nav.clientHeight / 2;
  // A page may be asked for with a search: index.html?timeout
  if (location.search.length > 1) {
    input.value = decodeURIComponent(location.search.slice(1));
    show(input, list, root);
  }
}

if (typeof module === "object") module.exports = { search, excerpt };
else start();
