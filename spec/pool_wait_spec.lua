-- What the pool's calls wait with: they are no ports, so a thread that calls them goes on belonging to its own port
-- (24-27); and the places in a queue with a limit.
local iocp = require "iocp"
local support = require "support"

describe("a thread that calls a pool", function()
  local pool
  after_each(function()
    pool:close()
  end)

  -- What a handler of a port calls: with the pool, while the main thread does nothing.
  local calls = {
    { "submits to a queue with a limit", function(p) assert(p:submit(function() end)) end },
    { "waits for a task", function(p) assert(p:submit(function() require("iocp").sleep(20) end):wait()) end },
    { "waits for a task in vain", function(p)
      local _, _, code = p:submit(function() require("iocp").sleep(60) end):wait(10)
      assert(code == "TIMEOUT", code)
    end },
    { "maps a list", function(p) assert(p:map({ 1, 2, 3 }, function(x) return x end)) end },
    { "runs a loop", function(p) assert(p:parallel_for(1, 3, function() require("iocp").sleep(5) end)) end },
    { "reduces a list", function(p) assert(p:reduce({ 1, 2, 3 }, function(a, b) return a + b end)) end },
    { "waits for the end of a pool", function(p)
      p:submit(function() require("iocp").sleep(20) end)
      assert(p:shutdown())
    end },
  }

  for _, call in ipairs(calls) do
    it(call[1] .. " and keeps its slot", function()
      pool = iocp.Pool { workers = 2, queue_limit = 8 }
      local port = iocp.IOCompletionPort(1)
      local thread = iocp.Thread(function(own, p, f)
        own:dequeue()
        local before = own:stats().active
        f(p)
        return before, own:stats().active
      end, port, pool, call[2])
      port:enqueue(1)
      assert.same({ true, 1, 1 }, { thread:join() })
    end)
  end

  it("gives its slot up while it waits, and takes it back", function()
    pool = iocp.Pool { workers = 1 }
    local port, gate = iocp.IOCompletionPort(1), iocp.IOCompletionPort()
    local task = support.occupy(pool, gate)
    local thread = iocp.Thread(function(own, t)
      own:dequeue()
      t:wait()
      return own:stats().active, own:stats().released
    end, port, task)
    port:enqueue(1)
    assert.is_true(support.eventually(function()
      return port:stats().released == 1
    end))
    assert.equal(0, port:stats().active)
    gate:enqueue(1)
    assert.same({ true, 1, 0 }, { thread:join() })
  end)

  it("so a pool with the concurrency 1 runs one task at a time, whatever they submit elsewhere", function()
    pool = iocp.Pool { workers = 4, concurrency = 1 }
    local other = iocp.Pool { workers = 1, queue_limit = 1000 }
    local tasks = {}
    for i = 1, 8 do
      tasks[i] = pool:submit(function(o)
        local inside = require "iocp"
        assert(o:submit(function() end))
        local began = inside.clock()
        while inside.clock() < began + 15 do end -- luacheck: ignore
        return began, inside.clock()
      end, other)
    end
    local spans = {}
    for i, task in ipairs(tasks) do
      local ok, began, ended = task:wait()
      assert.is_true(ok, began)
      spans[i] = { began = began, ended = ended }
    end
    table.sort(spans, function(a, b) return a.began < b.began end)
    for i = 2, #spans do
      assert.is_true(spans[i].began >= spans[i - 1].ended)
    end
    other:close()
  end)
end)

describe("a queue with a limit", function()
  local pool
  after_each(function()
    pool:close()
  end)

  it("has its places back from threads that submitted once and compute", function()
    pool = iocp.Pool { workers = 1, queue_limit = 1, queue_wait = 10000 }
    local threads, busy = {}, iocp.IOCompletionPort()
    for i = 1, iocp.processors() + 1 do
      threads[i] = iocp.Thread(function(p, b)
        local inside = require "iocp"
        local task = assert(p:submit(function() end))
        b:enqueue(1)
        while not inside.cancelled() do end -- luacheck: ignore
        return task:wait()
      end, pool, busy)
    end
    for _ = 1, #threads do
      assert.is_truthy(busy:dequeue(20000))
    end
    assert(pool:submit(function() end))
    assert(pool:submit(function() end))
    for _, thread in ipairs(threads) do
      thread:cancel()
      thread:join()
    end
  end)

  it("gives them to those who wait, first come, first served", function()
    pool = iocp.Pool { workers = 1, queue_limit = 1 }
    local gate, log, threads = iocp.IOCompletionPort(), iocp.IOCompletionPort(), {}
    support.occupy(pool, gate)
    assert(pool:submit(function() end))
    for i = 1, 5 do
      threads[i] = iocp.Thread(function(p, l, n)
        l:enqueue(0)
        return p:submit(function(to, key) to:enqueue(key) end, l, n) ~= nil
      end, pool, log, i)
      assert.equal(0, (log:dequeue(10000)))
      iocp.sleep(30) -- now it waits
    end
    gate:enqueue(1)
    for i = 1, 5 do
      assert.equal(i, (log:dequeue(10000)))
    end
    support.join_all(threads)
  end)

  it("waits for a place until it is too late, or the thread is cancelled", function()
    pool = iocp.Pool { workers = 1, queue_limit = 1, queue_wait = 50 }
    local gate = iocp.IOCompletionPort()
    support.occupy(pool, gate)
    assert(pool:submit(function() end))
    local began = iocp.clock()
    assert.same({ nil, "the pool's queue is full", "TIMEOUT" }, { pool:submit(function() end) })
    assert.is_true(iocp.clock() - began >= 50 - (support.windows and 16 or 0))
    gate:enqueue(1)
    assert.is_true(pool:shutdown(60000))

    pool = iocp.Pool { workers = 1, queue_limit = 1 }
    support.occupy(pool, gate)
    assert(pool:submit(function() end))
    local thread = iocp.Thread(function(p)
      return select(3, p:submit(function() end))
    end, pool)
    iocp.sleep(20)
    thread:cancel()
    assert.same({ true, "CANCELLED" }, { thread:join(10000) })
    gate:enqueue(1)
  end)

  it("does not lose places to all that", function()
    pool = iocp.Pool { workers = 2, queue_limit = 3, queue_wait = 1 }
    local threads = {}
    for i = 1, 4 do
      threads[i] = iocp.Thread(function(p, n)
        local accepted = 0
        for j = 1, n do
          local task = p:submit(function() end)
          if task then
            accepted = accepted + 1
            if j % 3 == 0 then
              task:cancel()
            end
          end
        end
        return accepted
      end, pool, support.scaled(5000))
    end
    local accepted = 0
    for _, n in ipairs(support.join_all(threads)) do
      accepted = accepted + n
    end
    assert.equal(accepted, pool:stats().submitted)
    assert.is_true(support.eventually(function() return pool:idle() end))
    local gate = iocp.IOCompletionPort()
    support.occupy(pool, gate)
    support.occupy(pool, gate)
    for _ = 1, 3 do
      assert(pool:submit(function() end))
    end
    assert.equal("TIMEOUT", select(3, pool:submit(function() end)))
    gate:enqueue(1)
    gate:enqueue(1)
  end)

  it("does not count what is submitted for later, be it at once", function()
    pool = iocp.Pool { workers = 1, queue_limit = 1, queue_wait = 0 }
    local gate = iocp.IOCompletionPort()
    support.occupy(pool, gate)
    for _ = 1, 5 do
      assert(pool:submit_after(0, function() end))
    end
    assert(pool:submit(function() end))
    assert.equal("TIMEOUT", select(3, pool:submit(function() end)))
    gate:enqueue(1)
    assert.is_true(pool:shutdown(60000))
  end)

  it("keeps a cancelled task's place while its packet is there; its arguments go at once", function()
    pool = iocp.Pool { workers = 1, queue_limit = 1, queue_wait = 0 }
    local gate, argument = iocp.IOCompletionPort(), iocp.IOCompletionPort()
    local handle = argument:handle()
    support.occupy(pool, gate)
    local task = assert(pool:submit(function() end, argument, ("x"):rep(1000)))
    argument = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert(iocp.IOCompletionPort.open(handle))
    collectgarbage()
    collectgarbage()
    assert.is_true(task:cancel())
    assert.equal("INVALID", select(3, iocp.IOCompletionPort.open(handle)))
    assert.equal("TIMEOUT", select(3, pool:submit(function() end)))
    gate:enqueue(1)
    assert.is_true(support.eventually(function() return pool:idle() end))
    assert.is_true(support.eventually(function() return (pool:submit(function() end)) ~= nil end))
    assert.is_true(pool:shutdown(60000))
  end)
end)

describe("a cancelled task", function()
  it("whose arguments are tasks, whose arguments are tasks, takes no stack", function()
    local pool = iocp.Pool(1)
    local task
    for _ = 1, support.scaled(200000) do
      task = pool:task(function() end, task)
    end
    collectgarbage()
    assert.is_true(task:cancel())
    assert.is_true(pool:shutdown(60000))
  end)
end)
