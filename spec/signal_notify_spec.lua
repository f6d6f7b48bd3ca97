-- iocp.signal(name):notify: what a user or the system asks of the process comes to a port.
local iocp = require "iocp"
local support = require "support"

-- A signal that can be sent here, if possible another than Ctrl-C.
local other = support.windows and "INT" or "TERM"

-- Runs a script in a process of its own, with what all need.
local function child(script)
  return support.child([[
    local iocp, support = require "iocp", require "support"
    local port, other = iocp.IOCompletionPort(), "]] .. other .. [["
  ]] .. script)
end

describe("iocp.signal", function()
  it("is a packet to each who asked, each time, until that is taken back", function()
    local code, output = child([[
      local first = assert(iocp.signal(other):notify(port, 1, 10))
      local second = assert(iocp.signal(other):notify(port, 2))
      for round = 1, 2 do
        support.signal_soon(other)
        for _ = round, 2 do print(port:dequeue(10000)) end
        print(port:dequeue(50) == nil, first:cancel())
      end
      support.signal_soon(other)
      print((port:dequeue(10000)))
      print(second:cancel(), second:cancel())
    ]])
    assert.equal(0, code, output)
    assert.equal("1\t0\t10\n2\t0\tnil\ntrue\ttrue\n2\t0\tnil\ntrue\tfalse\n2\ntrue\tfalse", output)
  end)

  it("has Ctrl-C interrupt nothing meanwhile, and what it did before afterwards", function()
    local code, output = child([[
      local asked = assert(iocp.signal("INT"):notify(port, 3))
      for _, wait in ipairs { function() return port:dequeue(10000) end, function() return iocp.sleep(600) end } do
        support.interrupt_soon()
        print(wait())
      end
      print((port:dequeue(0)))
      assert(asked:cancel())
      support.interrupt_soon()
      print(pcall(iocp.sleep, 10000))
    ]])
    assert.equal(0, code, output)
    assert.matches("^3\t0\tnil\ntrue\n3\nfalse\t.*interrupted!", output)
  end)

  it("has Ctrl-Break, too", function()
    local code, output = child([[
      assert(iocp.signal("BREAK"):notify(port, 4))
      support.signal_soon("BREAK")
      print(port:dequeue(10000))
    ]])
    assert.same({ 0, "4\t0\tnil" }, { code, output })
  end)

  it("lets a server drain", function()
    local code, output = child([[
      local jobs, workers = iocp.IOCompletionPort(), {}
      for i = 1, 4 do
        workers[i] = iocp.Thread("local jobs, n = ..., 0 for key in jobs:packets() do "
          .. "if key == 0 then return n end n = n + 1 end", jobs)
      end
      assert(iocp.signal("INT"):notify(port, 1))
      for i = 1, 1000 do jobs:enqueue(i) end
      support.interrupt_soon()
      assert(port:dequeue(10000))
      local sum = 0
      for _ = 1, 4 do jobs:enqueue(0) end
      for i = 1, 4 do sum = sum + select(2, assert(workers[i]:join())) end
      print(sum)
    ]])
    assert.same({ 0, "1000" }, { code, output })
  end)

  it("whose port is closed does what it did before, with the first that comes", function()
    local code, output = child([[
      assert(iocp.signal("INT"):notify(port, 1))
      port:close()
      support.interrupt_soon()
      print(pcall(iocp.sleep, 10000))
    ]])
    assert.equal(0, code, output)
    assert.matches("^false.*interrupted!", output)
  end)

  it("keeps the port, and is asked for in any thread", function()
    local code, output = child([[
      local handle = port:handle()
      assert(iocp.Thread("local port = ... assert(require('iocp').signal('INT'):notify(port, 7))", port):join())
      port = nil
      collectgarbage()
      collectgarbage()
      port = assert(iocp.IOCompletionPort.open(handle))
      support.interrupt_soon()
      print((port:dequeue(10000)))
    ]])
    assert.same({ 0, "7" }, { code, output })
  end)

  it("can be asked for whatever the system", function()
    local port = iocp.IOCompletionPort()
    for _, name in ipairs { "INT", "TERM", "HUP", "BREAK" } do
      local signal = iocp.signal(name)
      assert.equal("iocp.Signal: " .. name, tostring(signal))
      local timer = assert(signal:notify(port, 1))
      assert.is_true(timer:cancel())
      assert.is_false(timer:cancel())
    end
  end)

  it("refuses wrong arguments by name", function()
    for _, bad in ipairs { "KILL", "int", 15, {}, false } do
      assert.has_error(function() iocp.signal(bad) end)
    end
    local ok, message = pcall(iocp.signal, "KILL")
    assert.is_false(ok)
    assert.matches("name: expected \"INT\", \"TERM\", \"HUP\" or \"BREAK\", got string \"KILL\"", message, 1, true)
    local signal = iocp.signal("INT")
    for text, arguments in pairs { ["target: expected"] = { 1, 1 }, ["key: expected"] = { iocp.IOCompletionPort() } } do
      ok, message = pcall(signal.notify, signal, (unpack or table.unpack)(arguments, 1, 3))
      assert.is_false(ok)
      assert.matches(text, message, 1, true)
    end
    ok, message = pcall(signal.notify, iocp.IOCompletionPort(), iocp.IOCompletionPort(), 1)
    assert.is_false(ok)
    assert.matches("self: expected iocp.Signal", message, 1, true)
  end)
end)
