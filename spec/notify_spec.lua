-- What completes to a port besides: the end of a thread, and of a task.
local iocp = require "iocp"
local support = require "support"

-- Each kind with a way to begin one that ends once something is posted to its gate.
local kinds = {
  thread = function(gate)
    return assert(iocp.Thread("local gate = ... gate:dequeue() return 'done'", gate)), "join"
  end,
  task = function(gate)
    local pool = iocp.Pool(1)
    return assert(pool:submit(function(g) g:dequeue() return "done" end, gate)), "wait"
  end,
}

for kind, begin in pairs(kinds) do
  describe(kind .. ":notify", function()
    local port, gate, object, wait
    before_each(function()
      port, gate = iocp.IOCompletionPort(), iocp.IOCompletionPort()
      object, wait = begin(gate)
    end)
    after_each(function()
      gate:enqueue(1)
      object[wait](object, 20000)
    end)

    it("posts one packet when it has ended", function()
      local timer = assert(object:notify(port, 7, 8))
      assert.matches("^iocp%.Timer: %d+ %(pending%)$", tostring(timer))
      assert.is_nil((port:dequeue(20)))
      gate:enqueue(1)
      assert.same({ 7, 0, 8 }, { port:dequeue(20000) })
      assert.same({ true, "done" }, { object[wait](object, 0) })
      assert.is_false(timer:cancel())
      assert.is_nil((port:dequeue(20)))
    end)

    it("posts at once if it has ended", function()
      gate:enqueue(1)
      assert(object[wait](object, 20000))
      local timer = object:notify(port, 7)
      assert.same({ 7, 0 }, { port:dequeue(0) })
      assert.is_false(timer:cancel())
    end)

    it("can be asked for by many, and taken back by each, once", function()
      local timers = {}
      for i = 1, 200 do
        timers[i] = object:notify(port, i)
      end
      for i = 1, 200, 2 do
        assert.is_true(timers[i]:cancel())
        assert.is_false(timers[i]:cancel())
      end
      gate:enqueue(1)
      for i = 2, 200, 2 do
        assert.equal(i, (port:dequeue(20000)))
      end
      assert.is_nil((port:dequeue(20)))
      assert.is_false(timers[2]:cancel())
    end)

    it("keeps the port until then, whatever is collected, and drops the packet of a closed one", function()
      local handle = port:handle()
      object:notify(port, 5)
      port = nil
      collectgarbage()
      collectgarbage()
      port = assert(iocp.IOCompletionPort.open(handle))
      local closed = iocp.IOCompletionPort()
      object:notify(closed, 6)
      closed:close()
      gate:enqueue(1)
      assert.equal(5, (port:dequeue(20000)))
      assert(object[wait](object, 20000))
      assert(object:notify(closed, 7))
      assert.equal(0, closed:stats().queued)
    end)

    it("that is taken back lets the port go", function()
      local handle = port:handle()
      assert.is_true(object:notify(port, 5):cancel())
      port = nil
      collectgarbage()
      collectgarbage()
      assert.is_nil((iocp.IOCompletionPort.open(handle)))
    end)

    it("leaves nothing behind where it is asked for and taken back again and again", function()
      local rounds = support.scaled(200000)
      for i = 1, 1000 do object:notify(port, i):cancel() end
      local before = support.resident()
      for i = 1, rounds do
        object:notify(port, i):cancel()
        if i % 1000 == 0 then collectgarbage() end
      end
      if support.measures then
        assert.is_true(support.resident() - before < 1024)
      end
    end)

    it("and a cancel that race have one outcome", function()
      local arrived, cancelled, rounds = 0, 0, support.scaled(200)
      for i = 1, rounds do
        local its_gate = iocp.IOCompletionPort()
        local one, how = begin(its_gate)
        local timer = one:notify(port, i)
        its_gate:enqueue(1)
        for _ = 1, i % 7 * 20 do iocp.yield() end
        cancelled = cancelled + (timer:cancel() and 1 or 0)
        assert(one[how](one, 20000))
      end
      while port:dequeue(50) do
        arrived = arrived + 1
      end
      assert.equal(rounds, arrived + cancelled)
    end)

    it("refuses wrong arguments by name", function()
      for text, arguments in pairs { ["target: expected iocp.IOCompletionPort"] = { 1, 1 },
        ["key: expected"] = { port, "x" }, ["overlapped: expected"] = { port, 1, {} },
        ["iocp.MESSAGE"] = { port, 1, iocp.MESSAGE } } do
        local ok, message = pcall(object.notify, object, (unpack or table.unpack)(arguments, 1, 3))
        assert.is_false(ok)
        assert.matches(text, message, 1, true)
      end
      assert.has_error(function() object.notify(port, port, 1) end)
    end)
  end)
end

describe("notify", function()
  it("tells the thread's end however it ends, with status and outcome there", function()
    local port = iocp.IOCompletionPort()
    local failing = iocp.Thread("error('on purpose')")
    failing:notify(port, 1)
    local told = iocp.Thread("while true do assert(require('iocp').sleep(1e7)) end")
    told:notify(port, 2)
    told:cancel()
    local seen = {}
    for _ = 1, 2 do
      seen[assert(port:dequeue(20000))] = true
    end
    assert.same({ true, true }, seen)
    assert.equal("failed", failing:status())
    assert.equal("cancelled", told:status())
    assert.matches("on purpose", select(2, failing:join(0)), 1, true)
  end)

  it("of a suspended thread comes when it was resumed and has ended, or was dropped", function()
    local port = iocp.IOCompletionPort()
    local thread = iocp.Thread { body = "return 1", suspended = true }
    thread:notify(port, 1)
    assert.is_nil((port:dequeue(10)))
    thread:resume()
    assert.equal(1, (port:dequeue(20000)))
    iocp.Thread({ body = "return 1", suspended = true }):notify(port, 2)
    collectgarbage()
    collectgarbage()
    assert.equal(2, (port:dequeue(20000)))
  end)

  it("tells of a task that is cancelled, never submitted, or follows one that failed", function()
    local port, pool, gate = iocp.IOCompletionPort(), iocp.Pool(1), iocp.IOCompletionPort()
    local busy = support.occupy(pool, gate)
    local queued, never = pool:submit("return 1"), pool:task("return 1")
    local after = pool:task("return 1"):after(queued)
    after:submit()
    queued:notify(port, 1)
    after:notify(port, 2)
    never:notify(port, 3)
    queued:cancel()
    local seen = { [assert(port:dequeue(20000))] = true, [assert(port:dequeue(20000))] = true }
    assert.same({ true, true }, seen)
    assert.equal("cancelled", after:status())
    never = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal(3, (port:dequeue(20000)))
    gate:enqueue(1)
    assert(busy:wait(20000))
    pool:shutdown()
  end)

  it("of a periodic task comes with its end, not with each run", function()
    local port, pool = iocp.IOCompletionPort(), iocp.Pool(1)
    local task = pool:submit_every(1, "")
    task:notify(port, 1)
    assert.is_nil((port:dequeue(50)))
    task:cancel()
    assert.equal(1, (port:dequeue(20000)))
    pool:shutdown()
  end)

  it("works in a state that objects have reached before it asked for the module", function()
    local gate, port = iocp.IOCompletionPort(), iocp.IOCompletionPort()
    local target = iocp.Thread("local gate = ... gate:dequeue()", gate)
    local thread = iocp.Thread("local target, port = ... assert(target:notify(port, 9))", target, port)
    assert.is_true(thread:join(20000))
    gate:enqueue(1)
    assert.equal(9, (port:dequeue(20000)))
  end)

  it("may be asked for by threads at once, while what they ask for ends", function()
    local port, gate, rounds = iocp.IOCompletionPort(), iocp.IOCompletionPort(), support.scaled(100)
    for _ = 1, rounds do
      local target, askers = iocp.Thread("local gate = ... gate:dequeue()", gate), {}
      for i = 1, 3 do
        askers[i] = iocp.Thread("local target, port = ... for i = 1, 10 do assert(target:notify(port, i)) end",
          target, port)
      end
      gate:enqueue(1)
      support.join_all(askers)
      for _ = 1, 30 do
        assert(port:dequeue(20000))
      end
      assert(target:join(20000))
    end
    assert.is_nil((port:dequeue(20)))
  end)
end)

describe("port:notify", function()
  local port, target
  before_each(function()
    port, target = iocp.IOCompletionPort(), iocp.IOCompletionPort()
  end)

  it("posts one packet when there is something, and none before", function()
    local timer = assert(port:notify(target, 7, 8))
    assert.is_nil((target:dequeue(20)))
    port:enqueue(1)
    port:enqueue(2)
    assert.same({ 7, 0, 8 }, { target:dequeue(20000) })
    assert.is_false(timer:cancel())
    assert.is_nil((target:dequeue(20)))
    assert.same({ 1, 2 }, { (port:dequeue(0)), (port:dequeue(0)) })
  end)

  it("posts at once if there is something, and again each time it is asked", function()
    port:enqueue(1)
    for i = 1, 3 do
      assert(port:notify(target, i))
      assert.equal(i, (target:dequeue(20000)))
    end
  end)

  it("posts when the port is closed, was closed, or is gone", function()
    assert(port:notify(target, 1))
    local gone = iocp.IOCompletionPort()
    assert(gone:notify(target, 2))
    port:close()
    assert.equal(1, (target:dequeue(20000)))
    assert(port:notify(target, 3))
    assert.equal(3, (target:dequeue(20000)))
    gone = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal(2, (target:dequeue(20000)))
  end)

  it("tells a target once, and several targets each", function()
    local other = iocp.IOCompletionPort()
    local timer = assert(port:notify(target, 1))
    local again, message, code = port:notify(target, 2)
    assert.is_nil(again)
    assert.equal("INVALID", code)
    assert.matches("already", message)
    assert.is_true(timer:cancel())
    assert(port:notify(target, 3))
    assert(port:notify(other, 4))
    port:enqueue(1)
    assert.equal(3, (target:dequeue(20000)))
    assert.equal(4, (other:dequeue(20000)))
    assert.is_nil((target:dequeue(20)))
  end)

  it("leaves the packet to a thread that is parked in the port", function()
    local parked = iocp.Thread("local p = ... return (p:dequeue())", port)
    assert.is_true(support.eventually(function() return port:stats().waiting == 1 end))
    assert(port:notify(target, 1))
    port:enqueue(5)
    assert.same({ true, 5 }, { parked:join(20000) })
    assert.is_nil((target:dequeue(20)))
    port:enqueue(6)
    assert.equal(1, (target:dequeue(20000)))
  end)

  it("tells of I/O, though nobody gets from the port", function()
    local a, b = iocp.Socket.pair()
    local heap = iocp.Heap()
    a:associate(port)
    b:associate(iocp.IOCompletionPort())
    a:receive(heap:alloc(10))
    assert(port:notify(target, 1))
    assert.is_nil((target:dequeue(20)))
    assert.equal(2, b:send("hi", false))
    assert.equal(1, (target:dequeue(20000)))
    assert.equal(2, (select(2, port:dequeue(0))))
  end)

  it("loses nothing between two threads that tell each other", function()
    local n = support.scaled(5000)
    local poster = iocp.Thread(function(to, count)
      for i = 1, count do
        to:enqueue(i)
      end
    end, port, n)
    local taken = 0
    while taken < n do
      if port:dequeue(0) then
        taken = taken + 1
      else
        assert(port:notify(target, 9))
        assert.equal(9, (target:dequeue(20000)))
      end
    end
    assert(poster:join())
  end)
end)

describe("port:pollfd", function()
  it("is readable while there is something, and no longer (other loops)", function()
    local port = iocp.IOCompletionPort()
    local descriptor, _, code = port:pollfd()
    if support.windows then
      assert.same({ n = 2, nil, "INVALID" }, { n = 2, descriptor, code })
      return
    end
    local found, socket = pcall(require, "socket") -- luasocket, whose select stands for any other loop
    if not found then
      return
    end
    local polled = { getfd = function() return descriptor end, dirty = function() return false end }
    local function is_readable(seconds)
      return socket.select({ polled }, nil, seconds)[1] == polled
    end
    assert.equal(descriptor, port:pollfd())
    assert.same({ n = 2, "r", nil }, { n = 2, port:events(), (port:timeout()) })
    assert.is_false(is_readable(0))
    port:enqueue(1)
    port:enqueue(2)
    assert.is_true(is_readable(5))
    port:dequeue(0)
    assert.is_true(is_readable(5))
    port:dequeue(0)
    assert.is_false(is_readable(0.01))
    local a, b = iocp.Socket.pair()
    local heap = iocp.Heap()
    a:associate(port)
    b:associate(iocp.IOCompletionPort())
    a:receive(heap:alloc(10))
    assert.is_false(is_readable(0.01))
    b:send("hi", false)
    assert.is_true(is_readable(5))
    -- The watcher may have taken the event and not queued its packet yet: the descriptor is readable again once it has.
    local _, bytes = port:dequeue(0)
    while bytes ~= 2 and is_readable(5) do
      _, bytes = port:dequeue(0)
    end
    assert.equal(2, bytes)
    assert.is_false(is_readable(0.01))
    port:close()
    assert.is_true(is_readable(5))
  end)
end)
