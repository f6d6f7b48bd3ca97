-- What waits of pools, tasks, children and other ports inside fibers: the others run meanwhile, and the thread stays
-- the scheduler's.
local iocp = require "iocp"
local support = require "support"
local run, spawn = iocp.run, iocp.spawn

local PATIENCE = support.patience(20000) -- ms that what blocks the thread is given until it fails

--- A pool with one worker that waits at `gate`, and a full queue of one more task.
local function full_pool(options)
  local gate = iocp.IOCompletionPort()
  options = options or { workers = 1, queue_limit = 1, queue_wait = PATIENCE }
  local pool = assert(iocp.Pool(options))
  support.occupy(pool, gate)
  assert(pool:submit(function() end))
  return pool, gate
end

--- Runs f in a fiber, and `after` in another one once f waits.
local function meanwhile(f, after)
  return run(function()
    local fiber = spawn(f)
    local turns = 0
    repeat
      iocp.yield()
      turns = turns + 1
    until fiber:status() == "waiting" or fiber:status() == "completed" or turns == 1000
    assert.equal("waiting", fiber:status())
    after(fiber)
    return select(2, assert(fiber:wait()))
  end)
end

describe("a get from another port", function()
  it("takes no slot of it", function()
    local port = iocp.IOCompletionPort(1)
    run(function()
      for _, name in ipairs { "dequeue", "receive", "dequeue_many", "receive_many" } do
        port:send("x")
        assert.is_truthy(name == "dequeue" and select(4, port:dequeue()) or port[name](port, 1, 0))
        assert.equal(0, port:stats().active, name)
      end
      assert.equal("TIMEOUT", select(3, port:dequeue(0)))
      assert.equal(0, port:stats().active)
    end)
    port:close()
  end)

  it("gives what it gives outside", function()
    local port = iocp.IOCompletionPort()
    local function all()
      port:enqueue(1, 2, 3)
      port:send("message", 4)
      port:send("message", 5)
      port:enqueue(6)
      local log = {}
      local function note(...)
        log[#log + 1] = { n = select("#", ...), ... }
      end
      note(port:dequeue(0))
      note(port:dequeue(0))
      note(port:receive(0))
      note(port:receive(0))
      note(port:receive(0))
      port:enqueue(7, 8)
      port:send("message")
      local batch, n = port:dequeue_many(10, 0)
      batch[4] = port:unpack(batch[4]) and "a message"
      note(batch, n)
      port:enqueue(9)
      port:send("message", nil)
      note(port:receive_many(10, 0))
      return log
    end
    local outside = all()
    for _, results in ipairs(outside) do
      if results[3] == "TIMEOUT" then
        results[2] = nil -- a fiber's says it in its own words
      end
    end
    local inside = run(all)
    for _, results in ipairs(inside) do
      if results[3] == "TIMEOUT" then
        results[2] = nil
      end
    end
    assert.same(outside, inside)
    port:close()
    local closed = { port:dequeue(0) }
    assert.same(closed, run(function() return { port:dequeue(0) } end))
  end)

  it("lets threads in that wait for a slot of theirs", function()
    local port, done = iocp.IOCompletionPort(1), iocp.IOCompletionPort()
    local thread = assert(iocp.Thread(function(from, to)
      for key in from:packets() do
        to:enqueue(key)
      end
    end, port, done))
    run(function()
      for i = 1, support.scaled(1000) do
        port:enqueue(i)
        local key = port:dequeue(0)
        if key then
          done:enqueue(key)
        end
        assert.equal(i, (done:dequeue(PATIENCE)))
      end
      port:close()
      assert(thread:join())
    end)
  end)
end)

describe("a pool in a fiber", function()
  it("is submitted to while its queue is full", function()
    for _, name in ipairs { "submit", "post" } do
      local pool, gate = full_pool()
      assert.is_truthy(meanwhile(function()
        return pool[name](pool, function() end)
      end, function()
        gate:enqueue(0)
      end))
      assert(pool:shutdown(PATIENCE))
    end
  end)

  it("has the fibers that wait for room served in their order", function()
    local pool, gate = full_pool()
    local order = {}
    run(function()
      for i = 1, 5 do
        spawn(function()
          assert(pool:submit(function() end))
          order[#order + 1] = i
        end)
      end
      iocp.yield()
      gate:enqueue(0)
    end)
    assert.same({ 1, 2, 3, 4, 5 }, order)
    assert(pool:shutdown(PATIENCE))
  end)

  it("says that its queue is full, and closed", function()
    local pool, gate = full_pool { workers = 1, queue_limit = 1, queue_wait = 10 }
    run(function()
      for _, name in ipairs { "submit", "post" } do
        local task, message, code = pool[name](pool, function() end)
        assert.same({ nil, "the pool's queue is full", "TIMEOUT" }, { task, message, code })
      end
    end)
    gate:enqueue(0)
    assert(pool:shutdown(PATIENCE))
    pool, gate = full_pool()
    assert.equal("CLOSED", meanwhile(function()
      return (select(3, pool:submit(function() end)))
    end, function()
      pool:close()
    end))
    gate:enqueue(0)
  end)

  it("can be waited for by who is cancelled, or has no more time", function()
    local pool, gate = full_pool()
    local function waits()
      return {
        function() return pool:submit(function() end) end,
        function() return pool:post(function() end) end,
        function() return pool:map({ 1 }, function() end) end,
        function() return pool:parallel_for(1, 2, function() end) end,
        function() return pool:reduce({ 1, 2 }, function(a) return a end) end,
      }
    end
    for i, wait in ipairs(waits()) do
      assert.equal("CANCELLED", meanwhile(function() return (select(3, wait())) end,
        function(fiber) fiber:cancel() end), i)
      run(function()
        local _, _, code = iocp.within(5, wait)
        assert.equal("TIMEOUT", code, i)
      end)
    end
    gate:enqueue(0)
    assert(pool:shutdown(PATIENCE))
  end)

  it("runs loops", function()
    for _, options in ipairs { { workers = 2 }, { workers = 1, queue_limit = 1, queue_wait = PATIENCE } } do
      local pool, gate, list = assert(iocp.Pool(options)), iocp.IOCompletionPort(), {}
      for i = 1, 100 do
        list[i] = i
      end
      local function each(i)
        if i == 1 then
          gate:dequeue()
        end
        return i
      end
      local results, done, sum = nil, nil, nil
      run(function()
        spawn(function() results = pool:map(list, each, { chunk = 10 }) end)
        spawn(function() done = pool:parallel_for(1, 100, each, { chunk = 10 }) end)
        spawn(function()
          sum = pool:reduce(list, function(a, b)
            if a == 1 then
              gate:dequeue()
            end
            return a + b
          end, nil, { chunk = 10 })
        end)
        for _ = 1, 3 do
          iocp.yield()
          gate:enqueue(0)
        end
      end)
      assert.same(list, results)
      assert.is_true(done)
      assert.equal(5050, sum)
      assert(pool:shutdown(PATIENCE))
    end
  end)

  it("raises a loop's error in the fiber", function()
    local pool = assert(iocp.Pool(2))
    run(function()
      local ok, message = iocp.pcall(pool.map, pool, { 1, 2, 3 }, function(i)
        if i == 2 then
          error("no second one")
        end
      end)
      assert.is_false(ok)
      assert.matches("item 2: .*no second one", message)
    end)
    assert(pool:shutdown(PATIENCE))
  end)

  it("is shut down", function()
    local pool, gate = full_pool()
    assert.is_true(meanwhile(function()
      return pool:shutdown(PATIENCE)
    end, function()
      gate:enqueue(0)
    end))
  end)

  it("has one more worker for what a fiber of its own waits for", function()
    local pool = assert(iocp.Pool(1))
    local task = assert(pool:submit(function()
      local module = require "iocp"
      local own = module.Pool.current()
      return module.run(function()
        local sum = 0
        local fibers = {}
        for i = 1, 3 do
          fibers[i] = module.spawn(function()
            local _, value = assert(own:submit(function(n) return n end, i):wait())
            return value
          end)
        end
        for i = 1, 3 do
          local _, value = assert(fibers[i]:wait())
          sum = sum + value
        end
        for _, value in ipairs(assert(own:map({ 1, 2, 3 }, function(n) return 10 * n end))) do
          sum = sum + value
        end
        return sum
      end)
    end))
    local ok, sum = task:wait(PATIENCE)
    assert(ok, sum)
    assert.equal(66, sum)
    assert.equal(0, pool:stats().blocked)
    assert(pool:shutdown(PATIENCE))
  end)
end)

describe("a child process in a fiber", function()
  it("is waited for", function()
    local command = support.lua_command("io.read() os.exit(7)")
    command.stdin = "pipe"
    local child = assert(iocp.Process(command))
    assert.equal(7, meanwhile(function()
      return (select(2, child:wait()))
    end, function()
      child.stdin:close()
    end))
    assert.same({ true, 7 }, { run(function() return child:wait() end) })
  end)
end)
