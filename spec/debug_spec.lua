-- IOCP_DEBUG=1: what begins and ends, waits for long, is refused, and which metatables do not cross.
local support = require "support"

if support.windows then
  support.nothing = "children have this process's environment there"
  return
end
local linux = require "support.linux"

describe("with IOCP_DEBUG", function()
  local function output_of(value, script)
    linux.environment = "IOCP_DEBUG=" .. value
    local code, output = support.child("local iocp = require 'iocp' " .. script)
    linux.environment = nil
    assert.equal(0, code, output)
    return output .. "\n"
  end

  local everything = [[
    local port, heap = iocp.IOCompletionPort(), iocp.Heap()
    iocp.Thread({ name = "T", body = function() error("on purpose") end }):join()
    local pool = iocp.Pool { workers = 1, name = "P" }
    pool:submit({ name = "N", body = function() end }, 1, { setmetatable({}, { __name = "Point" }) }):wait()
    pool:submit({ name = "M", body = function() error("x") end }):wait()
    port:send(setmetatable({}, {}))
    heap:free(4096)
    port:close()
    port:send(1)
    port:enqueue(1)
    pool:shutdown()
  ]]

  it("1 says what begins, ends, is refused and loses its metatable", function()
    local output = output_of("1", everything)
    for _, line in ipairs {
      "iocp: thread T: begins, made at .-:2\n",
      "iocp: thread T: ends: .-on purpose\n",
      "iocp: thread P: worker 1 begins\n",
      "iocp: main script: .-:4: arg 2: metatable of class Point is not registered: iocp.register\n",
      "iocp: thread P: task N begins, made at .-:4\n",
      "iocp: thread P: task N ends: completed\n",
      "iocp: thread P: task M ends: failed\n",
      "iocp: main script: .-:6: arg 1: metatable is not registered: iocp.register\n",
      "iocp: main script: .-: refused: no live block of this heap begins at that address",
      "iocp: main script: .-:9: send: refused: ",
      "iocp: main script: .-:10: enqueue: refused: ",
      "iocp: thread P: worker 1 ends\n",
    } do
      assert.matches(line, output)
    end
  end)

  it("0 or nothing says nothing", function()
    assert.equal("\n", output_of("0", everything))
    assert.equal("\n", output_of("", everything))
  end)

  it("1 says where a task was made that failed without anybody asking", function()
    local output = output_of("1", [[

      iocp.on_unobserved()
      local pool = iocp.Pool(1)
      pool:submit(function() error("on purpose") end)
      local task = pool:task(error)
      task:submit()
      pool:shutdown()
      assert(task:status() == "failed")
      assert(pool:name() == "iocp pool")
    ]])
    assert.matches("on purpose\nstack traceback:.-\nthe task was made at [^\n]*:4\n", output)
    local quiet = output_of("0", "local pool = iocp.Pool(1) pool:submit(error) pool:shutdown()")
    assert.is_nil(quiet:find("made at", 1, true))
  end)

  it("1 says what waits for more than five seconds, and where, be it in a loop that LuaJIT would compile", function()
    local output = output_of("1", [[
      local port = iocp.IOCompletionPort()
      port:enqueue_after(5500, 1)
      port:enqueue_after(5500, 2)
      local waiting = iocp.Thread(function(p) local key = p:dequeue() return key end, port)
      local sleeping = iocp.Thread(function() local t = iocp.clock() iocp.sleep(5200) return iocp.clock() - t end)
      for _ = 1, 100 do port:dequeue(0) end
      for key in port:packets() do assert(key) break end
      assert(waiting:join())
      print(select(2, sleeping:join()) >= 5200 and "slept")
    ]])
    assert.matches("slept", output, 1, true)
    assert.matches("iocp: main script: .-:7: [^\n]*: waits for more than 5 s\n", output)
    assert.matches("iocp: thread iocp: .-:4: [^\n]*: waits for more than 5 s\n", output)
  end)

  it("1 says which upvalues a function has assigned to, which changes a copy", function()
    local output = output_of("1", [[
      local count, sum, seen = 0, 0, {}
      local pool = iocp.Pool { workers = 1, name = "P" }
      assert(pool:submit(function(n) count = count + n return seen, sum end, 1):wait())
      pool:map({ 1, 2, 3 }, function(x) sum = sum + x end, { chunk = 3 })
      assert(iocp.Thread(function() count = 7 return 1, 2 end):join())
      assert(select("#", iocp.Thread(function() seen[1] = count return 1, nil end):join()) == 3)
    ]])
    for _, line in ipairs {
      "the function at .-:3 has assigned to its upvalue 'count', which is a copy: return it, or send it\n",
      "iocp: thread P: the function at .-:4 has assigned to its upvalue 'sum'",
      "iocp: thread iocp: the function at .-:5 has assigned to its upvalue 'count'",
    } do
      assert.matches(line, output)
    end
    assert.equal(3, select(2, output:gsub("assigned", "")), output)
    assert.matches("the function at .-:6 has changed the table in its upvalue 'seen', which is a copy", output)
    assert.equal(1, select(2, output:gsub("changed", "")), output)
  end)

  it("1 says which upvalues' tables a function has changed, and nothing of modules", function()
    local output = output_of("1", [[
      local added, other, gone, same, deep = {}, { x = 1 }, { 1, 2 }, { 1, x = 0 }, { { 1 } }
      local text = require "iocp.options"
      assert(iocp.Thread(function()
        added.x, other.x, gone[2], same[1] = 1, 2, nil, 1
        text.x, iocp.x, x = 1, 1, 1
        return deep[1][1]
      end):join())
    ]])
    for _, name in ipairs { "added", "other", "gone" } do
      assert.matches("has changed the table in its upvalue '" .. name .. "'", output, 1, true)
    end
    assert.equal(3, select(2, output:gsub("changed", "")), output)
  end)

  it("1 says which streams were dropped without a close, and where they were made", function()
    local output = output_of("1", [[
      iocp.run(function()
        local server = iocp.listen("127.0.0.1")
        iocp.connect(server:address())
        assert(iocp.connect(server:address())):close()
        server = nil
      end)
      iocp.datagram("127.0.0.1")
      collectgarbage()
      collectgarbage()
    ]])
    for _, line in ipairs {
      "iocp: main script: iocp.Server, made at [^\n]-:2, was dropped, and is closed only now: close it\n",
      "iocp: main script: iocp.Stream, made at [^\n]-:3, was dropped",
      "iocp: main script: iocp.Datagram, made at [^\n]-:7, was dropped",
    } do
      assert.matches(line, output)
    end
    assert.equal(3, select(2, output:gsub("was dropped", "")), output)
  end)
end)
