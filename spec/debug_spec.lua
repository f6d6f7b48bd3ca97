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
    assert.is_nil(output_of("0", "local pool = iocp.Pool(1) pool:submit(error) pool:shutdown()"):find("made at", 1, true))
  end)

  it("1 says what waits for more than five seconds, and where", function()
    local output = output_of("1", [[
      local port = iocp.IOCompletionPort()
      port:enqueue_after(5500, 1)
      local ok, _, code = port:receive()
      assert(not ok and code == "RAW")
    ]])
    assert.matches("iocp: main script: .-:3: receive: waits for more than 5 s\n", output)
  end)
end)
