-- The README's first program does what it says, on every Lua; the README names every method there is.
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

  it("has a program that runs", function()
    local code, output = support.child(readme:match("```lua\n(.-)```"))
    assert.equal(0, code, output)
    local seen, count = {}, 0
    for number in output:gmatch("message (%d+)") do
      seen[tonumber(number)], count = true, count + 1
    end
    assert.equal(1000, count)
    assert.equal(1000, #seen)
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
