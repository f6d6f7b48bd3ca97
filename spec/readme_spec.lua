-- The README's programs do what they say, on every Lua; the README names every method there is.
local iocp = require "iocp"
local support = require "support"

local function read(path)
  local f = assert(io.open(path))
  local text = f:read("*a")
  f:close()
  return text
end

describe("the README", function()
  local readme = read("README.md")

  local programs = {}
  for program in readme:gmatch("```lua\n(.-)```") do
    programs[#programs + 1] = program
  end

  for i, program in ipairs(programs) do
    it("has a program that runs as it stands and prints what it says: " .. i, function()
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

  it("has the article's program, whose threads print each message once", function()
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

  it("has headings for what its contents name", function()
    local anchors = {}
    for heading in readme:gmatch("\n#+ ([^\n]*)") do
      local anchor = heading:lower():gsub("[^%w%- ]", ""):gsub(" ", "-")
      anchors[anchors[anchor] and anchor .. "-1" or anchor] = true
    end
    anchors["iocp-1"] = anchors.iocp -- the first one is the title, above all lines
    for anchor in readme:gmatch("%]%(#([^)]*)%)") do
      assert.is_true(anchors[anchor], anchor)
    end
  end)

  it("names every function and method", function()
    assert.is_truthy(iocp.Pool) -- it is loaded when it is asked for
    for name in pairs(iocp) do
      assert.is_truthy(readme:find("iocp." .. name, 1, true), name)
    end
    for noun, object in pairs { port = iocp.IOCompletionPort(), heap = iocp.Heap(),
      thread = iocp.Thread { body = "", suspended = true }, pool = iocp.Pool(0), task = iocp.Pool(0):task("") } do
      for name in pairs(getmetatable(object).__index) do
        assert.is_truthy(readme:find(noun .. ":" .. name .. "(", 1, true), noun .. ":" .. name)
      end
    end
  end)
end)

describe("doc/architecture.md", function()
  it("answers its ten questions by files that there are", function()
    local answers = 0
    for row in read("doc/architecture.md"):match("## Ten questions(.-)\n## "):gmatch("\n| ([^\n]*)") do
      local file = row:match("`([%w_/]+%.%w+)`")
      if file and file:find("/", 1, true) then
        answers = answers + 1
        assert.is_truthy(io.open(file), file)
      end
    end
    assert.equal(9, answers)
  end)
end)
