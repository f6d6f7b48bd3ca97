-- Ports with a capacity: who posts waits for room, or is refused.
local iocp = require "iocp"
local support = require "support"

local function code_of(...)
  return (select(3, ...))
end

describe("a port with a capacity", function()
  it("refuses what there is no room for", function()
    local port = iocp.IOCompletionPort { capacity = 3, on_full = "refuse" }
    assert.is_true(port:enqueue(1))
    assert.is_true(port:send("two"))
    assert.is_true(port:enqueue(3))
    assert.equal("FULL", code_of(port:enqueue(4)))
    assert.equal("FULL", code_of(port:send("four")))
    assert.equal("FULL", code_of(port:enqueue_many { 4, 5 }))
    assert.equal(3, port:stats().queued)
    assert.equal(3, port:stats().capacity)
    assert.equal(1, (port:dequeue(0)))
    assert.is_true(port:enqueue(4))
    assert.equal("FULL", code_of(port:enqueue(5)))
    assert.same({ true, "two" }, { port:receive(0) })
    assert.equal(3, (port:dequeue(0)))
    assert.equal(4, (port:dequeue(0)))
    assert.equal("TIMEOUT", code_of(port:dequeue(0)))
    assert.equal(3, port:enqueue_many({ 1, 2, 3, 4, 5 }, 7))
    assert.same({ 1, 7 }, { port:dequeue(0) })
    assert.equal(0, iocp.IOCompletionPort():stats().capacity)
  end)

  it("is full for as long as a wait is to last", function()
    local port = iocp.IOCompletionPort { capacity = 1, wait = 30 }
    port:enqueue(1)
    local start = iocp.clock()
    assert.equal("FULL", code_of(port:enqueue(2)))
    assert.is_true(iocp.clock() - start >= (support.windows and 14 or 30))
    assert.equal("FULL", code_of(port:send(2)))
  end)

  it("has who posts wait until somebody gets", function()
    local port = iocp.IOCompletionPort { capacity = 2, concurrency = 2 }
    local thread = iocp.Thread(function(p)
      for i = 1, 100 do
        assert(p:enqueue(i))
      end
      return p:send("end")
    end, port)
    for i = 1, 100 do
      if i % 25 == 0 then
        iocp.sleep(2)
      end
      assert.equal(i, (port:dequeue(20000)))
      assert.is_true(port:stats().queued <= 2)
    end
    assert.same({ true, "end" }, { port:receive(20000) })
    assert.same({ true, true }, { thread:join(20000) })
  end)

  it("lets pass what nobody posts by its methods", function()
    local port = iocp.IOCompletionPort { capacity = 1, on_full = "refuse" }
    port:enqueue(1)
    local thread = iocp.Thread "return"
    assert(thread:notify(port, 2))
    assert(port:enqueue_after(0, 3))
    assert.is_true(support.eventually(function() return port:stats().queued == 3 end))
    assert.equal("FULL", code_of(port:enqueue(4)))
    local seen = {}
    for _ = 1, 2 do
      seen[(port:dequeue(20000))] = true
    end
    assert.equal("FULL", code_of(port:enqueue(4)))
    seen[(port:dequeue(20000))] = true
    assert.same({ true, true, true }, seen)
    assert.is_true(port:enqueue(4))
  end)

  it("keeps nothing reserved for what raised", function()
    local port = iocp.IOCompletionPort { capacity = 1, on_full = "refuse" }
    for _ = 1, 3 do
      assert.has_error(function() port:send(coroutine.create(function() end)) end)
      assert.has_error(function() port:enqueue("x") end)
      assert.has_error(function() port:enqueue(1, -1) end)
      assert.has_error(function() port:enqueue_many(5) end)
    end
    assert.is_true(port:send("there is room"))
  end)

  it("ends the waits of those who post when it closes, or they are cancelled", function()
    local port = iocp.IOCompletionPort { capacity = 1 }
    port:enqueue(1)
    local function body(p, started)
      started:add(1)
      return select(3, p:enqueue(2))
    end
    local started = iocp.Atomic()
    local cancelled, killed, left = iocp.Thread(body, port, started), iocp.Thread(body, port, started),
      iocp.Thread(body, port, started)
    assert.is_true(support.eventually(function() return started:get() == 3 end))
    iocp.sleep(20)
    cancelled:cancel()
    assert.same({ true, "CANCELLED" }, { cancelled:join(20000) })
    killed:cancel("hard")
    killed:join(20000)
    port:close()
    local _, code = left:join(20000)
    assert.is_true(code == "ABANDONED" or code == "CLOSED", code)
    assert.equal("CLOSED", code_of(port:enqueue(3)))
    assert.equal("CLOSED", code_of(port:send(3)))
  end)

  it("is one in every state, also before that has required the module", function()
    local port = iocp.IOCompletionPort { capacity = 1, on_full = "refuse" }
    port:enqueue(1)
    local _, code = iocp.Thread("local p = ... return (select(3, p:enqueue(2)))", port):join(20000)
    assert.equal("FULL", code)
    local opened = iocp.IOCompletionPort.open(port:handle())
    assert.equal("FULL", code_of(opened:enqueue(2)))
    assert.equal(port, opened)
    assert.matches("^iocp%.IOCompletionPort: 0x%x+ %(queued 1%)$", tostring(port))
    local next_packet = port:packets()
    assert.equal(1, (next_packet()))
  end)

  it("is made with options that are right", function()
    for _, wrong in ipairs { { capacity = 0 }, { capacity = 1.5 }, { capacity = "1" }, { capacity = 1, on_full = "x" },
      { capacity = 1, wait = -1 }, { capacity = 1, wait = "x" }, { on_full = "refuse" }, { wait = 5 }, { size = 1 },
      { 1 }, { concurrency = -1 } } do
      assert.has_error(function() iocp.IOCompletionPort(wrong) end)
    end
    assert.equal(3, iocp.IOCompletionPort { concurrency = 3 }:stats().concurrency)
    assert.equal(0, iocp.IOCompletionPort {}:stats().capacity)
  end)

  it("gives the place of a thread that waits to another one", function()
    local port, full = iocp.IOCompletionPort(1), iocp.IOCompletionPort { capacity = 1 }
    full:enqueue(1)
    local done = iocp.Atomic()
    local function body(p, f, d)
      for key in p:packets() do
        if key == 1 then
          f:enqueue(2)
        else
          d:add(1)
        end
      end
    end
    local threads = { iocp.Thread(body, port, full, done), iocp.Thread(body, port, full, done) }
    port:enqueue(1)
    port:enqueue(2)
    assert.is_true(support.eventually(function() return done:get() == 1 end))
    full:dequeue()
    port:close()
    support.join_all(threads)
  end)

  it("lets the other fibers run", function()
    local port = iocp.IOCompletionPort { capacity = 2 }
    local got = {}
    iocp.run(function()
      iocp.spawn(function()
        for i = 1, 20 do
          assert(port:enqueue(i))
        end
        assert.equal(2, assert(port:enqueue_many { 21, 22 }))
        assert(port:send("end"))
      end)
      for i = 1, 22 do
        got[i] = port:dequeue(20000)
      end
      assert.same({ true, "end" }, { port:receive(20000) })
    end)
    for i = 1, 22 do
      assert.equal(i, got[i])
    end
    iocp.run(function()
      local short = iocp.IOCompletionPort { capacity = 1, wait = 5 }
      short:enqueue(1)
      assert.equal("FULL", code_of(short:enqueue(2)))
      local refusing = iocp.IOCompletionPort { capacity = 1, on_full = "refuse" }
      refusing:enqueue(1)
      assert.equal("FULL", code_of(refusing:enqueue(2)))
      local for_ever = iocp.IOCompletionPort { capacity = 1 }
      for_ever:enqueue(1)
      assert.equal("TIMEOUT", code_of(iocp.within(5, function() return for_ever:enqueue(2) end)))
      iocp.spawn(function()
        iocp.sleep(5)
        for_ever:close()
      end)
      local code = code_of(for_ever:enqueue(2))
      assert.is_true(code == "ABANDONED" or code == "CLOSED", code)
    end)
  end)

  it("loses nothing, and is never past it, with many that post and get", function()
    local port, n = iocp.IOCompletionPort { capacity = 5, concurrency = 8 }, support.soaked(2000)
    local posters, getters = {}, {}
    for i = 1, 4 do
      posters[i] = iocp.Thread(function(p, first, count)
        for key = first, first + count - 1 do
          assert(p:enqueue(key))
        end
        return true
      end, port, i * n, n)
      getters[i] = iocp.Thread(function(p)
        local sum, most = 0, 0
        for key in p:packets(i) do
          sum = sum + key
          most = math.max(most, p:stats().queued)
        end
        return sum, most
      end, port)
    end
    support.join_all(posters)
    assert.is_true(support.eventually(function() return port:stats().queued == 0 end))
    iocp.sleep(20)
    port:close()
    local sum, expected = 0, 0
    for i = 1, 4 do
      local ok, part, most = getters[i]:join(20000)
      assert.is_true(ok, part)
      assert.is_true(most <= 5)
      sum = sum + part
    end
    for key = n, 5 * n - 1 do
      expected = expected + key
    end
    assert.equal(expected, sum)
  end)
end)
