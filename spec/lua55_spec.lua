-- What Lua 5.5 brings crosses: declared globals, loop variables that are constants, named varargs. As text, since no
-- other Lua reads it.
local iocp = require "iocp"
local support = require "support"

if _VERSION ~= "Lua 5.5" then
  support.nothing = "what Lua 5.5 brings is not in this Lua"
  return
end

-- What the text returns.
local function value_of(text)
  return assert(load(text, "=text"))()
end

local function joined(thread)
  return assert(thread):join()
end

describe("Lua 5.5: globals that are declared", function()
  it("are those of the state where a text runs", function()
    assert.same({ true, "42" }, { joined(iocp.Thread("global tostring local n = ... return tostring(n + 1)", 41)) })
    assert.same({ true, 3 }, { joined(iocp.Thread([[
      global <const> *
      global function length(text) return #text end
      return length "abc"
    ]])) })
  end)

  it("are those of the state where a function runs", function()
    local body = value_of [[
      global count, tostring
      return function(n) count = n + 1 return tostring(count) end
    ]]
    assert.same({ true, "42" }, { joined(iocp.Thread(body, 41)) })
    assert.is_nil(rawget(_G, "count"))
    local pool = iocp.Pool(1)
    assert.equal("8", select(2, pool:submit(body, 7):wait()))
    assert.is_true(pool:close())
  end)

  it("which a text lacks are told where the thread is made", function()
    local ok, message = pcall(iocp.Thread, "global tostring return undeclared")
    assert.is_false(ok)
    assert.matches("undeclared", message)
  end)
end)

describe("Lua 5.5: constants", function()
  it("of loops cross as a function's upvalues", function()
    local pool = iocp.Pool(2)
    local functions = value_of [[
      local list = {}
      for i = 1, 3 do list[i] = function(n) return i * n end end
      for name, value in pairs { key = "value" } do list[4] = function() return name .. value end end
      return list
    ]]
    local results = {}
    for i, f in ipairs(functions) do
      results[i] = select(2, pool:submit(f, 10):wait())
    end
    assert.same({ 10, 20, 30, "keyvalue" }, results)
    assert.is_true(pool:close())
  end)

  it("and attributes before a list of names cross, too", function()
    local body = value_of "local <const> a, b = 20, { 2 } return function() return a + b[1] end"
    assert.same({ true, 22 }, { joined(iocp.Thread(body)) })
  end)
end)

describe("Lua 5.5: a named vararg", function()
  it("has what a body was given", function()
    local body = value_of [[
      return function(first, ...rest) return first, rest.n, rest[1], rest[rest.n], select("#", ...) end
    ]]
    assert.same({ true, "a", 3, "b", false, 3 }, { joined(iocp.Thread(body, "a", "b", nil, false)) })
  end)

  it("that a function changes is what goes on", function()
    local body = value_of "return function(...all) all[1] = all[1] * 2 all.n = 1 return ... end"
    assert.same({ true, 8 }, { joined(iocp.Thread(body, 4, 5)) })
  end)

  it("crosses as a table in a message", function()
    local port = iocp.IOCompletionPort()
    value_of "return function(port, ...all) port:send(all) end"(port, 1, nil, 3)
    assert.same({ true, { 1, nil, 3, n = 3 } }, { port:receive() })
  end)
end)
