-- The completion port: statements 1 to 23 of the semantics.
local iocp = require "iocp"
local support = require "support"
local system = require "system" -- busted's own clock

local function values(...)
  return { n = select("#", ...), ... }
end

local function refused(method, argument, port, ...)
  local before = port:stats().posted
  local ok, message = pcall(port[method], port, ...)
  assert.is_false(ok)
  assert.matches(argument, message, 1, true)
  assert.equal(before, port:stats().posted)
end

describe("bytes", function()
  it("tell what an I/O failed with, and what it transferred (43)", function()
    local E = iocp.E
    assert.same({ 2, 32, 104, 125 }, { E.ENOENT, E.EPIPE, E.ECONNRESET, E.ECANCELED })
    local count, numbers = 0, {}
    for name, number in pairs(E) do
      assert.is_nil(numbers[number])
      assert.is_true(number > 0 and number < 32768)
      for _, transferred in ipairs { 0, 1, 2 ^ 31, 2 ^ 32 - 1 } do
        local found, text, bytes = iocp.describe(-(transferred * 65536 + number))
        assert.same({ name, "string", transferred }, { found, type(text), bytes })
      end
      count, numbers[number] = count + 1, name
    end
    assert.is_true(count > 50)
  end)

  it("that no failure brought are what was transferred", function()
    for _, bytes in ipairs { 0, 1, 2 ^ 32 - 1 } do
      assert.same(values(nil, nil, bytes), values(iocp.describe(bytes)))
    end
  end)

  it("of a failure that POSIX has no name for tell the system's own number", function()
    local name, text, transferred = iocp.describe(-(7 * 65536 + 32768 + 38))
    assert.same({ 38, "string", 7 }, { name, type(text), transferred })
  end)

  it("that no packet has are refused by name", function()
    for _, bad in ipairs { 0 / 0, 1 / 0, -1 / 0, 0.5, -1.5, 2 ^ 32, -65536, -2 ^ 48, -2 ^ 63, "1", {} } do
      local ok, message = pcall(iocp.describe, bad)
      assert.is_false(ok)
      assert.matches("bytes: expected the bytes of a packet", message, 1, true)
    end
  end)
end)

describe("a new port", function()
  it("is independent of 2,999 others (1)", function()
    local ports = {}
    for i = 1, 3000 do
      ports[i] = assert(iocp.IOCompletionPort())
      ports[i]:enqueue(i)
    end
    for i = 1, 3000 do
      assert.equal(i, (ports[i]:dequeue(0)))
      assert.is_nil((ports[i]:dequeue(0)))
      ports[i]:close()
    end
  end)

  it("takes a concurrency from 0, the number of processors, to 2^32-1 (2)", function()
    assert.equal(iocp.processors(), iocp.IOCompletionPort():stats().concurrency)
    assert.equal(iocp.processors(), iocp.IOCompletionPort(0):stats().concurrency)
    for _, n in ipairs { 1, 2, 1000, 2 ^ 31, 2 ^ 32 - 1 } do
      assert.equal(n, iocp.IOCompletionPort(n):stats().concurrency)
    end
  end)

  it("refuses any other concurrency by name (2)", function()
    for _, bad in ipairs { -1, 0.5, 0 / 0, 2 ^ 32, 1 / 0, -1 / 0, "2", true, print } do
      local ok, message = pcall(iocp.IOCompletionPort, bad)
      assert.is_false(ok)
      assert.matches("concurrency: expected an integer", message, 1, true)
    end
  end)

  it("starts with empty counters", function()
    assert.same({ queued = 0, peak = 0, posted = 0, dequeued = 0, waiting = 0, active = 0, capacity = 0, released = 0,
      concurrency = iocp.processors(), closed = false, sees_blocking = true }, iocp.IOCompletionPort():stats())
  end)
end)

describe("a packet", function()
  local port
  before_each(function()
    port = iocp.IOCompletionPort()
  end)

  it("of zeroes arrives as three values, unlike a timeout (3)", function()
    port:enqueue(0, 0, nil)
    assert.same({ n = 3, 0, 0, nil }, values(port:dequeue(0)))
    local timeout = values(port:dequeue(0))
    assert.equal(3, timeout.n)
    assert.is_nil(timeout[1])
    assert.equal("TIMEOUT", timeout[3])
  end)

  it("brings its key back exactly (4)", function()
    for _, key in ipairs { 0, 1, 2 ^ 31, 2 ^ 32 - 1, 2 ^ 53 - 1, support.largest_key } do
      port:enqueue(key)
      assert.equal(key, (port:dequeue(0)))
    end
  end)

  it("refuses a key that a number cannot hold exactly (4)", function()
    for _, bad in ipairs { -1, 0.5, 0 / 0, 1 / 0, 2 ^ 53, 2 ^ 63, "1", true, {}, print } do
      refused("enqueue", "key: expected an address or integer", port, bad)
    end
    refused("enqueue", "key: expected an address or integer", port, nil)
    refused("enqueue", "key: expected an address or integer", port)
  end)

  it("brings its bytes back unsigned (5)", function()
    for _, bytes in ipairs { 0, 1, 2 ^ 31 - 1, 2 ^ 31, 2 ^ 32 - 1 } do
      port:enqueue(7, bytes)
      assert.same({ n = 3, 7, bytes, nil }, values(port:dequeue(0)))
    end
    port:enqueue(7)
    assert.same({ n = 3, 7, 0, nil }, values(port:dequeue(0)))
  end)

  it("refuses bytes out of range, and queues nothing (5)", function()
    for _, bad in ipairs { -1, 2 ^ 32, 0.5, 0 / 0, 1 / 0, "1", {} } do
      refused("enqueue", "bytes: expected an integer from 0 to 4294967295", port, 1, bad)
      refused("enqueue_many", "bytes: expected an integer from 0 to 4294967295", port, { 1 }, bad)
    end
    assert.equal("TIMEOUT", select(3, port:dequeue(0)))
  end)

  it("brings its overlapped back, whatever address it is (6)", function()
    for _, overlapped in ipairs { 1, 4096, 2 ^ 47, 2 ^ 53 - 1 } do
      port:enqueue(1, 2, overlapped)
      assert.same({ 1, 2, overlapped }, { port:dequeue(0) })
    end
    refused("enqueue", "overlapped: expected an address", port, 1, 2, -1)
    refused("enqueue", "overlapped: expected an address", port, 1, 2, "x")
  end)
end)

describe("a get", function()
  local port
  before_each(function()
    port = iocp.IOCompletionPort()
  end)

  it("on an empty queue with timeout 0 fails at once (8)", function()
    local key, message, code = port:dequeue(0)
    assert.is_nil(key)
    assert.matches("timed out", message)
    assert.equal("TIMEOUT", code)
  end)

  it("returns at once if a packet is there, whatever the timeout (9)", function()
    for _, ms in ipairs { 0, 1, 1e9, 1 / 0 } do
      port:enqueue(5)
      assert.equal(5, (port:dequeue(ms)))
    end
    port:enqueue(6)
    assert.equal(6, (port:dequeue()))
  end)

  it("without a timeout wakes on a post (9)", function()
    local waiter = iocp.Thread("local port = ... return port:dequeue()", port)
    assert.is_true(support.parked(port, 1))
    port:enqueue(1, 2, 3)
    assert.same({ true, 1, 2, 3 }, { waiter:join(10000) })
  end)

  it("that fails returns no key or bytes (10)", function()
    assert.equal(3, values(port:dequeue(0)).n)
    assert.equal(3, values(port:dequeue_many(1, 0)).n)
    port:close()
    assert.equal(3, values(port:dequeue(0)).n)
  end)

  it("waits at least as long as asked (11)", function()
    for _, ms in ipairs { 0.5, 1, 20, 50 } do
      local start = system.monotime()
      assert.equal("TIMEOUT", select(3, port:dequeue(ms)))
      assert.is_true((system.monotime() - start) * 1000 >= ms)
    end
  end)

  it("ends in bounded time though others take every packet (11)", function()
    local thief = iocp.Thread([[
      local port = ...
      local n = 0
      for _ in port:packets() do n = n + 1 end
      return n
    ]], port)
    local poster = iocp.Thread([[
      local port = ...
      while port:enqueue(1) do require("iocp").yield() end
    ]], port)
    local waiter = iocp.Thread([[
      local port = ...
      local timeouts = 0
      for _ = 1, 20 do
        local _, _, code = port:dequeue(5)
        if code == "TIMEOUT" then timeouts = timeouts + 1 end
      end
      return timeouts
    ]], port)
    assert.is_true((waiter:join(20000)))
    port:close()
    assert.is_true((thief:join(20000)))
    assert.is_true((poster:join(20000)))
  end)

  it("refuses a negative or NaN timeout by name (12)", function()
    for _, bad in ipairs { -1, -0.5, 0 / 0, -1 / 0, "1", true, {} } do
      refused("dequeue", "ms: expected milliseconds", port, bad)
      refused("dequeue_many", "ms: expected milliseconds", port, 1, bad)
    end
  end)

  it("whose timeout races a post has one outcome, and no packet is lost (13)", function()
    local rounds = support.scaled(2000)
    local waiter = iocp.Thread([[
      local port, rounds = ...
      local got, timeouts = 0, 0
      while got < rounds do
        local key, _, code = port:dequeue(0.05)
        if key then
          assert(key == got + 1, "lost or out of order")
          got = key
        else
          assert(code == "TIMEOUT")
          timeouts = timeouts + 1
        end
      end
      return got, timeouts
    ]], port, rounds)
    for i = 1, rounds do
      port:enqueue(i)
      iocp.sleep(0.05)
    end
    local ok, got = waiter:join(60000)
    assert.same({ true, rounds }, { ok, got })
    assert.equal(0, port:stats().queued)
  end)
end)

describe("a get of many", function()
  local port
  before_each(function()
    port = iocp.IOCompletionPort()
  end)

  it("returns what is there, in order, and leaves the rest (14)", function()
    assert.equal(5, port:enqueue_many({ 1, 2, 3, 4, 5 }, 9, 10))
    local batch, n = port:dequeue_many(3)
    assert.equal(3, n)
    assert.same({ 1, 9, 10, 2, 9, 10, 3, 9, 10 }, batch)
    batch, n = port:dequeue_many(100)
    assert.equal(2, n)
    assert.same({ 4, 9, 10, 5, 9, 10 }, batch)
    assert.equal("TIMEOUT", select(3, port:dequeue_many(1, 0)))
  end)

  it("reuses a table (14)", function()
    local mine = { 0, 0, 0, 0, 0, 0, "kept" }
    port:enqueue_many({ 1, 2 })
    local batch, n = port:dequeue_many(8, 0, mine)
    assert.equal(mine, batch)
    assert.equal(2, n)
    assert.same({ 1, 0, nil, 2, 0, nil, "kept" }, batch)
  end)

  it("takes more than one look for a huge batch (14)", function()
    local keys = {}
    for i = 1, 50000 do
      keys[i] = i
    end
    assert.equal(50000, port:enqueue_many(keys))
    local batch, n = port:dequeue_many(40000)
    assert.equal(40000, n)
    for i = 1, n do
      assert(batch[i * 3 - 2] == i)
    end
    assert.equal(40001, (port:dequeue(0)))
  end)

  it("wakes with what a batch posted behind the packet handed over (14)", function()
    local waiter = iocp.Thread("local port = ... local _, n = port:dequeue_many(64) return n", port)
    assert.is_true(support.parked(port, 1))
    port:enqueue_many { 1, 2, 3 }
    local ok, n = waiter:join(10000)
    assert.is_true(ok)
    assert.equal(3, n + port:stats().queued)
  end)

  it("of one packet goes to a thread that waits on a fresh port", function()
    local waiter = iocp.Thread("local port = ... return (port:dequeue())", port)
    assert.is_true(support.parked(port, 1))
    assert.equal(1, port:enqueue_many { 7 })
    assert.same({ true, 7 }, { waiter:join(10000) })
    waiter = iocp.Thread("local port = ... local _, n = port:dequeue_many(5) return n", port)
    assert.is_true(support.parked(port, 1))
    assert.equal(2, port:enqueue_many { 8, 9 })
    local ok, n = waiter:join(10000)
    assert.is_true(ok)
    assert.equal(2, n + port:stats().queued)
  end)

  it("of none, or a negative number, is refused and takes nothing (14)", function()
    port:enqueue(1)
    for _, bad in ipairs { 0, -1, 0.5, 0 / 0, 1 / 0, "1", {} } do
      refused("dequeue_many", "max: expected an integer from", port, bad, 0)
    end
    refused("dequeue_many", "batch: expected a table", port, 1, 0, 5)
    assert.equal(1, #port)
  end)

  it("refuses an array with one bad key, and queues none of it", function()
    refused("enqueue_many", "keys[3]: expected an address", port, { 1, 2, "3", 4 })
    refused("enqueue_many", "keys: expected an array", port, 5)
    assert.equal(0, port:enqueue_many({}))
    assert.equal(0, #port)
  end)
end)

describe("closing a port", function()
  it("can be repeated; posts and gets then fail at once (15)", function()
    local port = iocp.IOCompletionPort()
    assert.is_true(port:close())
    assert.is_true(port:close())
    assert.equal("CLOSED", select(3, port:enqueue(1)))
    assert.equal("CLOSED", select(3, port:enqueue_many { 1 }))
    assert.equal("CLOSED", select(3, port:dequeue()))
    assert.equal("CLOSED", select(3, port:dequeue(0)))
    assert.equal("CLOSED", select(3, port:dequeue(1e6)))
    assert.equal("CLOSED", select(3, port:dequeue_many(5)))
    for _ in port:packets() do
      error("a packet of a closed port")
    end
    assert.is_true(port:stats().closed)
  end)

  it("wakes every waiter with ABANDONED (16)", function()
    local port, waiters = iocp.IOCompletionPort(), {}
    for i = 1, 100 do
      waiters[i] = iocp.Thread("local port, ms = ... return select(3, port:dequeue(ms))", port,
        i % 2 == 0 and 1e7 or nil)
    end
    assert.is_true(support.parked(port, 100))
    port:close()
    for _, code in ipairs(support.join_all(waiters)) do
      assert.equal("ABANDONED", code)
    end
  end)

  it("racing gets ends each of them with a packet, ABANDONED or CLOSED (17)", function()
    for _ = 1, support.scaled(100) do
      local port, waiters = iocp.IOCompletionPort(), {}
      for i = 1, 3 do
        waiters[i] = iocp.Thread([[
          local port = ...
          local seen = ""
          while true do
            local key, _, code = port:dequeue()
            if not key then return seen .. code end
            seen = seen .. key .. " "
          end
        ]], port)
      end
      for key = 1, 5 do
        port:enqueue(key)
      end
      port:close()
      local times = {}
      for _, seen in ipairs(support.join_all(waiters)) do
        assert.matches("^[%d ]*[ABCDELNOS]+$", seen)
        assert.is_true(seen:match("%u+") == "ABANDONED" or seen:match("%u+") == "CLOSED")
        for key in seen:gmatch("%d+") do
          times[key] = (times[key] or 0) + 1
        end
      end
      for _, n in pairs(times) do
        assert.equal(1, n)
      end
    end
  end)

  it("after a post to a parked waiter does not take the packet back (18)", function()
    for _ = 1, support.scaled(200) do
      local port = iocp.IOCompletionPort()
      local waiter = iocp.Thread("local port = ... return (port:dequeue())", port)
      assert.is_true(support.parked(port, 1))
      port:enqueue(42)
      port:close()
      assert.same({ true, 42 }, { waiter:join(10000) })
    end
  end)

  it("discards what is queued; blocks stay with their heap (19)", function()
    local port, heap = iocp.IOCompletionPort(), iocp.Heap()
    port:enqueue(heap:alloc(100), 100)
    port:close()
    assert.equal(0, port:stats().queued)
    assert.equal(1, heap:stats().blocks)
    assert.is_true(heap:destroy())
  end)

  it("is not what collecting a reference does (20)", function()
    local port = iocp.IOCompletionPort()
    local waiter = iocp.Thread([[
      local port = ...
      local iocp = require "iocp"
      for _ = 1, 100 do iocp.IOCompletionPort.open(port:handle()) end
      collectgarbage() collectgarbage()
      return (port:dequeue())
    ]], port)
    for _ = 1, 100 do
      assert(iocp.IOCompletionPort.open(port:handle()))
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(support.parked(port, 1))
    port:enqueue(3)
    assert.same({ true, 3 }, { waiter:join(10000) })
  end)

  it("leaves the port to the last reference, in whatever state that is (20)", function()
    local waiter
    do
      local port = iocp.IOCompletionPort()
      port:enqueue(9)
      waiter = iocp.Thread({ suspended = true, body = "local port = ... return (port:dequeue())" }, port)
    end
    collectgarbage()
    collectgarbage()
    waiter:resume()
    assert.same({ true, 9 }, { waiter:join(10000) })
  end)

  it("refuses its handle for ever (20)", function()
    local port = iocp.IOCompletionPort()
    local handle = port:handle()
    assert.is_truthy(iocp.IOCompletionPort.open(handle))
    port:close()
    for _ = 1, 1000 do
      iocp.IOCompletionPort()
      assert.equal("INVALID", select(3, iocp.IOCompletionPort.open(handle)))
    end
  end)
end)

describe("order", function()
  it("is strict with one poster and one consumer (21)", function()
    local port, n = iocp.IOCompletionPort(), support.scaled(200000)
    local consumer = iocp.Thread([[
      local port, n = ...
      for i = 1, n do assert(port:dequeue() == i, "out of order") end
    ]], port, n)
    for i = 1, n do
      port:enqueue(i)
    end
    assert.is_true((consumer:join(60000)))
  end)

  it("is kept per poster, nothing lost or twice, with 3 posters and 3 consumers (21)", function()
    local port, each, posters, consumers = iocp.IOCompletionPort(), support.scaled(50000), {}, {}
    for i = 1, 3 do
      consumers[i] = iocp.Thread([[
        local port = ...
        local last, n = { 0, 0, 0 }, 0
        for key, poster in port:packets(5) do
          assert(key > last[poster], "a poster's packets came out of order")
          last[poster], n = key, n + 1
        end
        return n
      ]], port)
      posters[i] = iocp.Thread([[
        local port, each, me = ...
        for i = 1, each, 10 do
          if i % 20 == 1 then
            for j = i, i + 9 do port:enqueue(j, me) end
          else
            port:enqueue_many({ i, i + 1, i + 2, i + 3, i + 4, i + 5, i + 6, i + 7, i + 8, i + 9 }, me)
          end
        end
      ]], port, each, i)
    end
    support.join_all(posters)
    assert.is_true(support.eventually(function()
      return port:stats().queued == 0
    end))
    port:close()
    local total = 0
    for _, n in ipairs(support.join_all(consumers)) do
      total = total + n
    end
    assert.equal(3 * each, total)
    assert.equal(port:stats().posted, port:stats().dequeued)
  end)

  local function park_in_order(port, n)
    local waiters = {}
    for i = 1, n do
      waiters[i] = iocp.Thread("local port, ms = ... return (port:dequeue(ms))", port)
      assert.is_true(support.parked(port, i))
    end
    return waiters
  end

  it("of waiters is last-in first-out (22)", function()
    for _ = 1, support.scaled(50) do
      local port = iocp.IOCompletionPort()
      local waiters = park_in_order(port, 4)
      for key = 1, 4 do
        port:enqueue(key)
      end
      assert.same({ 4, 3, 2, 1 }, support.join_all(waiters))
    end
  end)

  it("of waiters is the same for a batch (22)", function()
    local port = iocp.IOCompletionPort()
    local waiters = park_in_order(port, 100)
    local keys = {}
    for i = 1, 100 do
      keys[i] = i
    end
    port:enqueue_many(keys)
    for i, key in ipairs(support.join_all(waiters)) do
      assert.equal(101 - i, key)
    end
  end)

  it("puts a waiter that timed out and waits again on top (22)", function()
    local port, started = iocp.IOCompletionPort(), iocp.IOCompletionPort()
    local first = iocp.Thread([[
      local port, started = ...
      local key, _, code = port:dequeue(100)
      assert(code == "TIMEOUT")
      started:enqueue(1)
      return (port:dequeue())
    ]], port, started)
    assert.is_true(support.parked(port, 1))
    local second = iocp.Thread("local port = ... return (port:dequeue())", port)
    assert.is_true(support.parked(port, 2))
    assert.equal(1, (started:dequeue(10000)))
    assert.is_true(support.parked(port, 2))
    port:enqueue(1)
    assert.same({ true, 1 }, { first:join(10000) })
    port:enqueue(2)
    assert.same({ true, 2 }, { second:join(10000) })
  end)

  it("of waiters is not changed by a message, which is its getter's whatever method that calls (22)", function()
    local port = iocp.IOCompletionPort()
    local first = iocp.Thread("local port = ... return port:receive()", port)
    assert.is_true(support.parked(port, 1))
    local threads = {}
    for i, get in ipairs {
      "return select(3, port:dequeue(20000))",
      "local batch, n = port:dequeue_many(5, 20000) return n, port:unpack(batch[1])",
      "for key in port:packets() do return 1, port:unpack(key) end" } do
      threads[i] = iocp.Thread("require 'iocp' local port = ... " .. get, port)
      assert.is_true(support.parked(port, 2))
      port:send("late", i)
      local results = values(threads[i]:join(10000))
      assert.same({ "late", i }, { results[results.n - 1], results[results.n] })
    end
    port:send "to the first"
    assert.same({ true, true, "to the first" }, { first:join(10000) })
    assert.same({ 4, 4 }, { port:stats().posted, port:stats().dequeued })
  end)

  it("lets no poster take back what it handed to waiters (23)", function()
    for _ = 1, support.scaled(50) do
      local port = iocp.IOCompletionPort()
      local waiters = park_in_order(port, 2)
      port:enqueue(1)
      port:enqueue(2)
      assert.equal("TIMEOUT", select(3, port:dequeue(0)))
      assert.equal("TIMEOUT", select(3, port:dequeue_many(2, 1)))
      assert.same({ 2, 1 }, support.join_all(waiters))
    end
  end)
end)

describe("packets()", function()
  it("ends when the port closes, in the middle of a wait too", function()
    local port = iocp.IOCompletionPort()
    local worker = iocp.Thread([[
      local port = ...
      local sum = 0
      for key, bytes, overlapped in port:packets() do
        sum = sum + key + bytes + overlapped
      end
      return sum
    ]], port)
    port:enqueue(1, 2, 3)
    port:enqueue(10, 20, 30)
    assert.is_true(support.parked(port, 1))
    port:close()
    assert.same({ true, 66 }, { worker:join(10000) })
  end)

  it("gives the rest of a batch back when the loop is left", function()
    local port = iocp.IOCompletionPort()
    port:enqueue_many { 1, 2, 3, 4, 5, 6 }
    for key in port:packets(4) do
      if key == 2 then
        break
      end
    end
    collectgarbage() -- from Lua 5.4 on it is given back at once
    collectgarbage()
    -- Windows' kernel appends.
    for _, key in ipairs(support.windows and { 5, 6, 3, 4 } or { 3, 4, 5, 6 }) do
      assert.equal(key, (port:dequeue(0)))
    end
    local stats = port:stats()
    assert.same({ 6, 6, 0 }, { stats.posted, stats.dequeued, stats.queued })
  end)

  -- A thread breaks off a loop over a batch, and then waits; garbage is not collected. How many packets others find.
  local function left_to_others(wait)
    local port, other, began = iocp.IOCompletionPort(), iocp.IOCompletionPort(), iocp.IOCompletionPort()
    local heap = iocp.Heap()
    heap:lock()
    port:enqueue_many { 1, 2, 3, 4, 5, 6, 7, 8 }
    local thread = iocp.Thread(([[
      collectgarbage "stop"
      local iocp = require "iocp"
      local port, other, heap, began = ...
      local function broken_off()
        for key in port:packets(8) do began:enqueue(key) break end
      end
      broken_off()
      %s
    ]]):format(wait), port, other, heap, began)
    assert.equal(1, (began:dequeue(10000)))
    local found = 0
    for i = 2, 8 do
      found = found + (port:dequeue(10000) == i and 1 or 0)
    end
    heap:unlock()
    other:close()
    thread:cancel()
    thread:join(10000)
    return found
  end

  for name, wait in pairs {
    ["a get"] = "other:dequeue()",
    ["a get of many"] = "other:dequeue_many(5)",
    ["another loop"] = "for _ in other:packets() do end",
    ["another loop over batches"] = "for _ in other:packets(5) do end",
    ["receive"] = "other:receive()",
    ["receive_many"] = "other:receive_many(5)",
    ["sleep"] = "iocp.sleep(1e6)",
    ["join"] = "iocp.Thread('local port = ... port:dequeue()', other):join()",
    ["blocking"] = "iocp.blocking(iocp.sleep, 1e6)",
    ["a heap's lock"] = "heap:lock()",
  } do
    it("that was broken off leaves them to others once its thread waits: " .. name, function()
      assert.equal(7, left_to_others(wait))
    end)
  end

  it("whose body waits keeps what it has taken, and its order", function()
    local port, other = iocp.IOCompletionPort(), iocp.IOCompletionPort()
    port:enqueue_many { 1, 2, 3, 4, 5, 6, 7, 8, 9 }
    local last = 0
    for key in port:packets(4) do
      assert.equal(last + 1, key)
      last = key
      other:enqueue(key)
      assert.equal(key, (other:dequeue()))
      iocp.sleep(0.1)
      assert.equal(9 - math.min(9, math.ceil(key / 4) * 4), #port)
      if key == 9 then
        break
      end
    end
    assert.equal(9, port:stats().dequeued)
  end)

  it("in a coroutine loses nothing, though its thread waits elsewhere", function()
    local port = iocp.IOCompletionPort()
    port:enqueue_many { 1, 2, 3, 4, 5, 6, 7, 8 }
    local next_key = coroutine.wrap(function()
      for key in port:packets(3) do
        coroutine.yield(key)
      end
    end)
    local seen = {}
    for i = 1, 8 do
      seen[i] = next_key()
      iocp.sleep(0.1)
    end
    table.sort(seen)
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8 }, seen)
  end)

  it("refuses a batch that is no positive integer", function()
    local port = iocp.IOCompletionPort()
    for _, bad in ipairs { 0, -1, 0.5, 0 / 0, "2" } do
      refused("packets", "batch: expected an integer from", port, bad)
    end
  end)
end)

describe("the counters", function()
  it("tell what was posted, delivered and is queued, and the peak", function()
    local port = iocp.IOCompletionPort(3)
    port:enqueue_many { 1, 2, 3 }
    port:dequeue()
    port:enqueue(4)
    local stats = port:stats()
    assert.same({ 3, 3, 4, 1, 0, 3, false }, { stats.queued, stats.peak, stats.posted, stats.dequeued, stats.waiting,
      stats.concurrency, stats.closed })
    assert.equal(3, #port)
  end)

  it("tell who waits, who works and who blocks", function()
    local port, go = iocp.IOCompletionPort(), iocp.IOCompletionPort()
    local worker = iocp.Thread([[
      local port, go = ...
      local iocp = require "iocp"
      port:dequeue()
      while go:stats().queued == 0 do end
      iocp.sleep(1e6)
    ]], port, go)
    assert.is_true(support.parked(port, 1))
    assert.equal(0, port:stats().active)
    port:enqueue(1)
    assert.is_true(support.eventually(function() return port:stats().active == 1 end))
    go:enqueue(1)
    assert.is_true(support.eventually(function()
      return port:stats().active == 0 and port:stats().released == 1
    end))
    worker:cancel()
    worker:join(10000)
    assert.same({ 0, 0 }, { port:stats().active, port:stats().released })
  end)
end)
