// Whether search.js finds in the site's index what people look for. Run by node, in the project's folder.
const assert = require("assert"), fs = require("fs"), vm = require("vm");
const { search, excerpt } = require("../../build/doc/html/search.js");

const site = {};
vm.runInNewContext(fs.readFileSync("build/doc/html/index.js", "utf8"), site);
const found = query => search(site.pages, query);

// The function of that name comes first.
for (const name of ["enqueue_many", "port:enqueue_many", "Enqueue_Many", "submit_every", "compare_exchange"]) {
  assert(found(name)[0].title.toLowerCase().includes(name.toLowerCase()), name);
  assert(found(name)[0].place.startsWith("modules/"), name);
}
assert(found("timeout")[0].title.includes(":timeout("));
assert(found("timeout").length > 20); // also the code, in pages and chapters
assert(found("timeout").some(hit => hit.place.startsWith("topics/")));
assert(found("ECONNRESET").length > 0);
assert(found("iocp_port_create")[0].place === "examples/iocp.h.html#iocp_port_create");
assert(found("on_full capacity").some(hit => hit.title === "iocp.PortOptions")); // an option, by all of the words
assert.deepStrictEqual(found("no such word at all xyzzy"), []);
assert.deepStrictEqual(found("  "), []);
assert.strictEqual(excerpt("a".repeat(60) + " Word " + "b".repeat(200), "word").length, 122);
