-- README and guide: their programs run and print what they say, their links lead somewhere, each page has its place;
-- the reference names every method there is.
local iocp = require "iocp"
local lfs = require "lfs"
local support = require "support"
local guide = dofile "tools/guide.lua"

local paths = { "README.md" }
for name in lfs.dir("doc") do
  if name:find("%.md$") then
    paths[#paths + 1] = "doc/" .. name
  end
end
table.sort(paths)
local pages = {}
for _, path in ipairs(paths) do
  pages[path] = "\n" .. support.read(path)
end

-- A page without its programs, fragments and code.
local function prose(page)
  return (page:gsub("\n```.-\n```", "\n"):gsub("\n    [^\n]*", "\n"):gsub("`[^`\n]*`", ""))
end

-- The headings of a page, as its links name them.
local function anchors_of(page)
  local anchors = {}
  for heading in page:gsub("\n```.-\n```", "\n"):gmatch("\n#+ ([^\n]*)") do
    anchors[heading:lower():gsub("[^%w_%- ]", ""):gsub(" ", "-")] = true
  end
  return anchors
end

-- An iterator over the links of a page within this folder: the file, and the anchor or "".
local function links_of(path)
  local folder = path:match("^.*/") or ""
  return coroutine.wrap(function()
    for target in prose(pages[path]):gmatch("%]%(([^)%s]+)%)") do
      if not target:find("^https?://") then
        local file, anchor = target:match("^([^#]*)#?(.*)$")
        coroutine.yield(file == "" and path or ((folder .. file):gsub("^doc/%.%./", "")), anchor)
      end
    end
  end)
end

-- What a program prints is what stands behind the arrows, if there are any.
local function prints_what_it_says(program, output)
  local printed, said = {}, {}
  for line in output:gmatch("[^\r\n]+") do
    printed[#printed + 1] = line:gsub("%s+", " ")
  end
  for line in program:gmatch("print%b() +%-%-> ([^\n]*)") do
    said[#said + 1] = line:gsub("%s+", " ")
  end
  assert.is_true(#said == 0 or #said == #printed, output)
  for n, line in ipairs(said) do
    assert.equal(line, printed[n])
  end
end

describe("README and guide", function()
  local readme = pages["README.md"]

  -- The rule: a program with `require "iocp"` is fenced as Lua, and runs as it stands; what has it not is a fragment, a
  -- command or an output. But the cookbook shows parts of files, and what they print, which spec/cookbook_spec.lua
  -- compares; the tutorial files, which its spec runs.
  local REQUIRES = 'require "iocp"'

  local function runs(path, program)
    local name = path == "doc/tutorial.md" and program:match("^%-%- ([%w_]+%.lua)")
    if name then
      assert.equal(support.read("examples/log_analyser/" .. name), program .. "\n")
      return
    end
    assert.is_truthy(program:find(REQUIRES, 1, true), "how a reader knows that it runs")
    local code, output = support.child(program)
    assert.equal(0, code, output)
    prints_what_it_says(program, output)
  end

  for _, path in ipairs(paths) do
    local number, page = 0, path == "doc/cookbook.md" and "" or pages[path]
    for program in page:gmatch("\n```lua\n(.-)\n```") do
      number = number + 1
      it(("have a program that runs as it stands: %s, %d"):format(path, number), function()
        runs(path, program)
      end)
    end

    it("have no other program that looks as if it ran: " .. path, function()
      local rest = page:gsub("\n```lua\n.-\n```", "\n")
      for line in rest:gmatch("[^\n]+") do
        assert.is_falsy(line:find("^    .*" .. REQUIRES) or line:find("^local iocp = " .. REQUIRES), line)
      end
    end)
  end

  it("have the article's program, whose threads print each message once", function()
    local program
    for text in readme:gmatch("```lua\n(.-)```") do
      program = text:find("heap:take", 1, true) and text or program
    end
    local _, output = support.child(program)
    local seen, count = {}, 0
    for number in output:gmatch("message (%d+)") do
      seen[tonumber(number)], count = true, count + 1
    end
    assert.equal(1000, count)
    assert.equal(1000, #seen)
  end)

  it("have links that lead to files, and to headings, that there are", function()
    local wrong, links = {}, 0
    for _, from in ipairs(paths) do
      for to, anchor in links_of(from) do
        local there = io.open(to)
        links = links + 1
        if not there then
          wrong[#wrong + 1] = from .. ": no file " .. to
        elseif anchor ~= "" and not anchors_of("\n" .. there:read("*a"))[anchor] then
          wrong[#wrong + 1] = ("%s: no heading %s in %s"):format(from, anchor, to)
        end
        if there then
          there:close()
        end
      end
    end
    assert.same({}, wrong)
    assert.is_true(links > 100)
  end)

  it("are for a stranger in a hurry: the README has 150 lines at most", function()
    assert.is_true(select(2, readme:gsub("\n", "")) - 1 <= 150)
  end)

  it("have one order: each chapter says what comes before it and next, as make guide writes it", function()
    local chapters = guide.chapters(pages["doc/index.md"])
    assert.is_true(#chapters > 10)
    for n, chapter in ipairs(chapters) do
      local text, line = support.read("doc/" .. chapter.page), guide.line(chapters, n)
      assert.equal(n, chapter.number)
      assert.equal(guide.with_line(text, line), text, chapter.page)
    end
  end)

  it("have no page that no way leads to from the README", function()
    local found, left = { ["README.md"] = true }, { "README.md" }
    while #left > 0 do
      for to in links_of(table.remove(left)) do
        if pages[to] and not found[to] then
          found[to], left[#left + 1] = true, to
        end
      end
    end
    for _, path in ipairs(paths) do
      assert.is_true(found[path], path)
    end
  end)
end)

describe("the reference", function()
  it("names every function and method", function()
    local reference = pages["doc/reference.md"]
    assert.is_truthy(iocp.Pool and iocp.run) -- they are loaded when they are asked for
    for name in pairs(iocp) do
      assert.is_truthy(reference:find("iocp." .. name, 1, true), name)
    end
    for noun, object in pairs { port = iocp.IOCompletionPort(), heap = iocp.Heap(),
      thread = iocp.Thread { body = "", suspended = true }, pool = iocp.Pool(0), task = iocp.Pool(0):task(""),
      socket = iocp.Socket(), file = iocp.File.temporary(),
      atomic = iocp.Atomic(), dict = iocp.Dict(),
      array = iocp.Array("double", 1) } do
      for name in pairs(getmetatable(object).__index) do
        assert.is_truthy(reference:find(noun .. ":" .. name .. "(", 1, true), noun .. ":" .. name)
      end
    end
  end)
end)

describe("doc/architecture.md", function()
  it("answers its questions by files that there are", function()
    local answers = 0
    for row in pages["doc/architecture.md"]:match("## Where is what(.-)\n## "):gmatch("\n| ([^\n]*)") do
      local file = row:match("`([%w_/]+%.%w+)`")
      if file and file:find("/", 1, true) then
        answers = answers + 1
        assert.is_truthy(io.open(file), file)
      end
    end
    assert.is_true(answers >= 10)
  end)
end)

describe("make env", function()
  it("has what scripts require found before the examples, whose names others have, too", function()
    for before, own in pairs { ["unset LUA_PATH"] = ";;", ["export LUA_PATH='/own/?.lua'"] = ";/own/?.lua;" } do
      local pipe = assert(io.popen(before -- without building anything
        .. [[; eval "$(make -sn env LUA=lua5.4 2>/dev/null | grep LUA_PATH | sh)"; echo "$LUA_PATH"]]))
      local path = pipe:read("*a")
      pipe:close()
      local module, theirs = path:find("/lua/?.lua", 1, true), path:find(own, 1, true)
      local examples = path:find("/examples/?.lua", 1, true)
      assert.is_true(module < theirs and theirs < examples, path)
    end
  end)
end)
