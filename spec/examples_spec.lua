-- The examples do what they say, on every Lua.
local support = require "support"

local function run(script, ...)
  local code, output = support.child(("arg = { %s } dofile %q"):format(('"%s", '):rep(select("#", ...)):format(...), script))
  assert.equal(0, code, output)
  return output
end

describe("the example", function()
  it("parallel_map counts words in files", function()
    local output = run("examples/parallel_map.lua", "spec/examples_spec.lua", "lua/iocp/init.lua", "README.md")
    local _, lines = output:gsub("\n", "")
    assert.equal(3, lines)
    assert.matches("lua/iocp/init.lua\n.*README.md", output)
    assert.matches("%d+ +%d+ +%d+ +%d+  spec/examples_spec.lua", output)
  end)

  it("pipeline sends functions through three stages", function()
    local output = run("examples/pipeline.lua", "20")
    assert.matches("even 20: 'the' 40 times, through 3 stages", output, 1, true)
    assert.matches("odd 1: 'the' 2 times, through 3 stages", output, 1, true)
  end)
end)
