-- The programs of README and reference do what they say, on every Lua; the reference names every method there is.
local iocp = require "iocp"
local support = require "support"

-- The headings of a page, as its links name them.
local function anchors_of(page)
  local anchors = {}
  for heading in page:gmatch("\n#+ ([^\n]*)") do
    anchors[heading:lower():gsub("[^%w%- ]", ""):gsub(" ", "-")] = true
  end
  return anchors
end

describe("README and reference", function()
  local readme, reference = support.read("README.md"), support.read("doc/reference.md")

  local programs = {}
  local pages = { readme, reference }
  for i, name in ipairs { "sockets", "files", "scheduler", "luasocket", "pool" } do
    pages[2 + i] = support.read("doc/" .. name .. ".md")
  end
  for program in table.concat(pages):gmatch("```lua\n(.-)```") do
    programs[#programs + 1] = program
  end

  for i, program in ipairs(programs) do
    it("have a program that runs as it stands and prints what it says: " .. i, function()
      local code, output = support.child(program)
      assert.equal(0, code, output)
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
    end)
  end

  it("have the article's program, whose threads print each message once", function()
    local program
    for _, text in ipairs(programs) do
      program = text:find("message", 1, true) and text or program
    end
    local _, output = support.child(program)
    local seen, count = {}, 0
    for number in output:gmatch("message (%d+)") do
      seen[tonumber(number)], count = true, count + 1
    end
    assert.equal(1000, count)
    assert.equal(1000, #seen)
  end)

  it("have headings for what they, and the guides, link to", function()
    local links = 0
    for _, from in ipairs { "README.md", "doc/reference.md", "doc/pool.md", "doc/concurrency.md", "doc/message.md",
      "doc/sockets.md", "doc/files.md", "doc/scheduler.md" } do
      local folder = from:match("^.*/") or ""
      for file, anchor in support.read(from):gmatch("%]%(([%w_./]*)#([^)]*)%)") do
        local to = file == "" and from or (folder .. file):gsub("^doc/%.%./", "")
        assert.is_true(anchors_of(support.read(to))[anchor], from .. ": " .. file .. "#" .. anchor)
        links = links + 1
      end
    end
    assert.is_true(links > 20)
  end)

  it("are for a stranger in a hurry: the README has 200 lines at most", function()
    assert.is_true(select(2, readme:gsub("\n", "")) <= 200)
  end)

  it("name every function and method", function()
    assert.is_truthy(iocp.Pool and iocp.run) -- they are loaded when they are asked for
    for name in pairs(iocp) do
      assert.is_truthy(reference:find("iocp." .. name, 1, true), name)
    end
    for noun, object in pairs { port = iocp.IOCompletionPort(), heap = iocp.Heap(),
      thread = iocp.Thread { body = "", suspended = true }, pool = iocp.Pool(0), task = iocp.Pool(0):task(""),
      socket = iocp.Socket(), file = iocp.File.temporary() } do
      for name in pairs(getmetatable(object).__index) do
        assert.is_truthy(reference:find(noun .. ":" .. name .. "(", 1, true), noun .. ":" .. name)
      end
    end
  end)
end)

describe("doc/architecture.md", function()
  it("answers its questions by files that there are", function()
    local answers = 0
    for row in support.read("doc/architecture.md"):match("## Where is what(.-)\n## "):gmatch("\n| ([^\n]*)") do
      local file = row:match("`([%w_/]+%.%w+)`")
      if file and file:find("/", 1, true) then
        answers = answers + 1
        assert.is_truthy(io.open(file), file)
      end
    end
    assert.is_true(answers >= 10)
  end)
end)
