-- Who counts at a port: statements 24 to 28 of the semantics, and the hot thread of 22. Handlers spin, so that they are
-- on a CPU; what they do is told to a port `log`, and they spin until something is posted to the port `flag`.
local iocp = require "iocp"
local support = require "support"
local system = require "system" -- busted's own clock

local prelude = [[
  local iocp = require "iocp"
  local port, log, heap, flag, other = ...
  local function spin() while flag:stats().queued == 0 do end end
]]

local port, log, heap, flag, other

local function fresh(limit)
  port, log, other = iocp.IOCompletionPort(limit), iocp.IOCompletionPort(100), iocp.IOCompletionPort(100)
  heap, flag = iocp.Heap(), iocp.IOCompletionPort()
end

local function start(body)
  return iocp.Thread(prelude .. body, port, log, heap, flag, other)
end

-- A second worker, parked: it tells what it gets.
local function parked_worker()
  local thread = start "for key in port:packets() do log:enqueue(key) end"
  assert.is_true(support.parked(port, 1))
  return thread
end

local function release(...)
  flag:enqueue(1)
  other:close()
  support.join_all { ... }
end

local function finish(...)
  port:close()
  release(...)
end

describe("at most as many threads as the limit work on packets (24):", function()
  for _, limit in ipairs { 1, 2 } do
    it(limit .. " of 4, though all wait", function()
      fresh(limit)
      local threads, count = {}, support.scaled(400)
      for i = 1, 4 do
        threads[i] = start [[
          for _ in port:packets() do
            log:enqueue(1)
            for _ = 1, 20000 do end
            log:enqueue(2)
          end
        ]]
      end
      assert.is_true(support.parked(port, 4))
      for i = 1, count do
        port:enqueue(i)
      end
      local now, most, ended = 0, 0, 0
      while ended < count do
        if log:dequeue(10000) == 1 then
          now = now + 1
          most = math.max(most, now)
        else
          now, ended = now - 1, ended + 1
        end
      end
      assert.is_true(most <= limit, most)
      finish((unpack or table.unpack)(threads))
    end)
  end
end)

describe("a thread keeps its slot (25)", function()
  -- Worker A does `body` with the first packet. Whether another thread then gets the second.
  local function another_gets(body)
    fresh(1)
    local first = start(body)
    assert.is_true(support.parked(port, 1))
    port:enqueue(1)
    assert.equal(100, (log:dequeue(10000)))
    local second = parked_worker()
    port:enqueue(2)
    local got = log:dequeue(support.patience(100))
    finish(first, second)
    return got == 2
  end

  it("until it gets again, though it gave nothing back but time", function()
    assert.is_false(another_gets "port:dequeue() log:enqueue(100) spin()")
  end)

  it("through sleep(0) and yield (28)", function()
    assert.is_false(another_gets [[
      port:dequeue()
      log:enqueue(100)
      while flag:stats().queued == 0 do iocp.sleep(0) iocp.yield() end
    ]])
  end)

  it("one for all packets of a dequeue_many", function()
    fresh(1)
    port:enqueue_many { 1, 2, 3, 4 }
    local first = start "local _, n = port:dequeue_many(3) log:enqueue(n) spin()"
    assert.equal(3, (log:dequeue(10000)))
    local second = start "log:enqueue(port:dequeue() or 0)"
    assert.is_true(support.parked(port, 1))
    local stats = port:stats()
    assert.same({ 1, 1, 1, 0 }, { stats.active, stats.queued, stats.waiting, stats.released })
    finish(first)
    support.join_all { second }
  end)

  it("also one that a get which timed out left it", function()
    fresh(1)
    local first = start "port:dequeue(1) log:enqueue(100) spin()"
    assert.equal(100, (log:dequeue(10000)))
    assert.equal(1, port:stats().active)
    local second = parked_worker()
    port:enqueue(2)
    assert.is_nil((log:dequeue(support.patience(100))))
    finish(first, second)
  end)

  it("until it gets from another port, to which it then belongs", function()
    assert.is_true(another_gets "port:dequeue() other:dequeue(0) log:enqueue(100) spin()")
    fresh(1)
    local first = start "port:dequeue() other:dequeue(0) log:enqueue(100) spin()"
    port:enqueue(1)
    log:dequeue(10000)
    assert.same({ 0, 1 }, { port:stats().active, other:stats().active })
    finish(first)
  end)

  it("until it ends", function()
    assert.is_true(another_gets "port:dequeue() log:enqueue(100)")
    assert.equal(0, port:stats().active)
  end)
end)

describe("a thread that blocks lets another in (26):", function()
  -- How long after worker A blocked another thread gets a packet, in milliseconds: the best of three.
  local function delay(block)
    local best = math.huge
    for _ = 1, 3 do
      fresh(1)
      local locked = block:find("heap:lock", 1, true)
      local first = start("port:dequeue() log:enqueue(100) " .. block)
      assert.is_true(support.parked(port, 1))
      if locked then
        heap:lock()
      end
      port:enqueue(1)
      assert.equal(100, (log:dequeue(10000)))
      local second = parked_worker()
      local posted = system.monotime()
      port:enqueue(2)
      assert.equal(2, (log:dequeue(20000)))
      best = math.min(best, (system.monotime() - posted) * 1000)
      if locked then
        heap:unlock()
      end
      first:cancel()
      finish(first, second)
    end
    return best
  end

  for name, block in pairs {
    ["in sleep"] = "iocp.sleep(1e6)",
    ["in join"] = "iocp.Thread('require(\"iocp\").sleep(1e6)'):join()",
    ["in a get on another port"] = "other:dequeue()",
    ["for a heap's lock"] = "heap:lock()",
    ["in a wait within iocp.blocking"] = "iocp.blocking(iocp.blocking, iocp.sleep, 1e6)",
  } do
    it(name, function()
      assert.is_true(delay(block) <= support.patience(50))
    end)
  end

  it("in code that iocp.blocking calls, though it spins, and not after it", function()
    assert.is_true(delay "iocp.blocking(spin)" <= support.patience(50))
    fresh(1)
    local first = start "port:dequeue() log:enqueue(100) pcall(iocp.blocking, error) spin()"
    port:enqueue(1)
    log:dequeue(10000)
    assert.is_true(support.eventually(function()
      return port:stats().active == 1
    end))
    finish(first)
  end)

  it("in a call that nobody knows of", function()
    local ms = delay "require('support').block(0.4)"
    print(("\na thread blocked in a foreign call lets another in after %.0f ms"):format(ms))
    assert.is_true(ms <= support.patience(100))
  end)
end)

describe("a thread that goes on after it blocked (27)", function()
  it("may be one too many, until it gets again", function()
    fresh(1)
    local first = start [[
      port:dequeue()
      other:dequeue() -- another gets in meanwhile
      port:dequeue(0)
      log:enqueue(100)
      spin()
      for key in port:packets() do log:enqueue(key) end
    ]]
    assert.is_true(support.parked(port, 1))
    port:enqueue(1)
    assert.is_true(support.eventually(function() return other:stats().waiting == 1 end))
    local second = start "port:dequeue() log:enqueue(200) spin() for key in port:packets() do log:enqueue(key) end"
    port:enqueue(2)
    assert.equal(200, (log:dequeue(10000)))
    other:enqueue(1)
    assert.equal(100, (log:dequeue(10000)))
    assert.same({ 2, 0 }, { port:stats().active, port:stats().queued })
    local third = parked_worker()
    port:enqueue(3) -- waits, though a thread is parked
    assert.is_nil((log:dequeue(support.patience(50))))
    assert.equal(1, port:stats().queued)
    flag:enqueue(1)
    assert.equal(3, (log:dequeue(10000)))
    finish(first, second, third)
  end)

  it("does not start another packet before fewer run", function()
    fresh(1)
    local first = start [[
      port:dequeue()
      repeat iocp.sleep(20) until log:stats().posted > 0
      log:enqueue(100)
      log:enqueue(port:dequeue()) -- parks, though a packet is queued
    ]]
    assert.is_true(support.parked(port, 1))
    port:enqueue(1)
    assert.is_true(support.eventually(function() return port:stats().released == 1 end))
    local second = start "port:dequeue() log:enqueue(200) spin()"
    port:enqueue(2)
    assert.equal(200, (log:dequeue(10000)))
    assert.equal(100, (log:dequeue(10000)))
    port:enqueue(3)
    assert.is_true(support.parked(port, 1))
    local stats = port:stats()
    assert.same({ 1, 1, 1 }, { stats.active, stats.queued, stats.waiting })
    flag:enqueue(1)
    assert.equal(3, (log:dequeue(10000)))
    finish(first, second)
  end)
end)

describe("limits", function()
  it("are each port's own, and posters never count (28)", function()
    fresh(1)
    local first = start "port:dequeue() log:enqueue(100) spin()"
    port:enqueue(1)
    assert.equal(100, (log:dequeue(10000)))
    local second = start "other:dequeue() log:enqueue(200) spin()"
    other:enqueue(1)
    assert.equal(200, (log:dequeue(10000)))
    for _ = 1, 10 do
      port:enqueue(2)
    end
    assert.same({ 1, 1 }, { port:stats().active, other:stats().active })
    finish(first, second)
  end)

  it("do not stop handlers that wait for jobs of their own port, three deep (26)", function()
    fresh(1)
    local threads = {}
    for i = 1, 4 do
      threads[i] = start [[
        for depth, _, reply in port:packets() do
          if depth > 0 then
            local mine = iocp.IOCompletionPort()
            port:enqueue(depth - 1, 0, tonumber(mine:handle()))
            assert(mine:dequeue(20000))
          end
          iocp.IOCompletionPort.open(reply):enqueue(depth)
        end
      ]]
    end
    for _ = 1, 20 do
      port:enqueue(3, 0, tonumber(log:handle()))
      assert.equal(3, (log:dequeue(20000)))
    end
    finish((unpack or table.unpack)(threads))
  end)
end)

describe("the hot thread", function()
  it("does nearly all when there is little to do (22)", function()
    fresh()
    local threads, posts = {}, math.max(50, support.scaled(200))
    for i = 1, 8 do
      threads[i] = start "local n = 0 for _ in port:packets() do n = n + 1 end return n"
    end
    assert.is_true(support.parked(port, 8))
    for i = 1, posts do
      port:enqueue(i)
      iocp.sleep(5)
      assert.is_true(support.parked(port, 8)) -- on a busy machine it takes longer
    end
    port:close()
    local most = 0
    for _, n in ipairs(support.join_all(threads)) do
      most = math.max(most, n)
    end
    assert.is_true(most >= posts * 0.95, most)
  end)
end)
