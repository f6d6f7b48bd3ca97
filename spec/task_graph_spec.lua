-- What can end only after what: no circle of `after` and of waits, and how long it takes to see that.
local iocp = require "iocp"
local support = require "support"

local function nothing() end

describe("tasks that wait", function()
  local pool
  after_each(function()
    assert.is_true(pool:shutdown(60000))
  end)

  -- What a task does that is told whom to wait for: says how that went.
  local function wait_for_told(port, ms)
    local _, task = port:receive()
    local ok, message, code = task:wait(ms)
    return ok and "ended" or code, message
  end

  -- A ring of n tasks, each of which waits for the next; how many of their waits ended how.
  local function ring(pools, n, ms)
    local tasks, ports, count = {}, {}, {}
    for i = 1, n do
      ports[i] = iocp.IOCompletionPort()
      tasks[i] = pools[i % #pools + 1]:submit(wait_for_told, ports[i], ms)
    end
    for i = 1, n do
      ports[i]:send(tasks[i % n + 1])
    end
    for i = 1, n do
      local ok, how, message = tasks[i]:wait(20000)
      assert.is_true(ok, how)
      count[how] = (count[how] or 0) + 1
      if how == "INVALID" then
        assert.equal("the task waits for this one, perhaps by way of others: neither would end", message)
      end
    end
    return count
  end

  it("for themselves are told so", function()
    pool = iocp.Pool(2)
    assert.same({ INVALID = 1 }, ring({ pool }, 1))
  end)

  it("for each other: the last one is told so", function()
    pool = iocp.Pool(3)
    for _ = 1, support.scaled(200) do
      assert.same({ INVALID = 1, ended = 1 }, ring({ pool }, 2))
    end
  end)

  it("in a ring, in several pools, or on one worker", function()
    pool = iocp.Pool(2)
    local other = iocp.Pool(1)
    assert.same({ INVALID = 1, ended = 6 }, ring({ pool, other }, 7))
    assert.same({ INVALID = 1, ended = 6 }, ring({ other }, 7))
    assert.is_true(other:shutdown(60000))
  end)

  it("with a time wait for it", function()
    pool = iocp.Pool(3)
    assert.same({ TIMEOUT = 1 }, ring({ pool }, 1, 20))
    local count = ring({ pool }, 2, 20)
    assert.is_true(count.TIMEOUT >= 1 and not count.INVALID) -- the end of the first may reach the other in time
  end)

  it("for what runs after them are told so", function()
    pool = iocp.Pool(2)
    local port = iocp.IOCompletionPort()
    local first = pool:submit(wait_for_told, port)
    local later = pool:task(nothing):after(first):submit()
    local last = pool:task(nothing):after(later):submit()
    port:send(last)
    local ok, how = first:wait(20000)
    assert.same({ true, "INVALID" }, { ok, how })
    assert.is_true((last:wait()))
  end)

  it("for others cannot be made to come before them", function()
    pool = iocp.Pool(2)
    local port = iocp.IOCompletionPort()
    local waits = pool:submit(wait_for_told, port)
    local gate = pool:task(nothing)
    local later = pool:task(nothing):after(gate):submit()
    port:send(later)
    assert.is_true(support.eventually(function() return pool:stats().blocked == 1 end))
    assert.is_false((pcall(gate.after, gate, waits)))
    gate:submit()
    assert.same({ true, "ended" }, { waits:wait(20000) })
    assert(pool:task(nothing):after(waits):submit():wait()) -- which has ended: it waits for nobody
  end)

  it("in a loop, for the task that runs the loop: either is told so", function()
    pool = iocp.Pool(3)
    for _ = 1, 20 do
      local port = iocp.IOCompletionPort()
      local task = pool:submit(function(own)
        local inside = require "iocp"
        local _, me = own:receive()
        local results, _, code = inside.Pool.current():map({ 1, 2, 3, 4 }, function()
          local ok, _, why = me:wait()
          return ok and "ended" or why
        end, { chunk = 1 })
        return results and "INVALID" or code
      end, port)
      port:send(task)
      local ok, how = task:wait(20000)
      assert.same({ true, "INVALID" }, { ok, how })
    end
  end)
end)

describe("a graph of tasks", function()
  local pool
  before_each(function()
    pool = iocp.Pool(0)
  end)
  after_each(function()
    pool:close()
  end)

  -- Processor time that it takes to make n tasks and have `build` say what comes after what.
  local function cost(n, build)
    local tasks = {}
    collectgarbage()
    collectgarbage("stop")
    for i = 1, n do
      tasks[i] = pool:task(nothing)
    end
    local began = os.clock()
    build(tasks, n)
    local spent = os.clock() - began
    collectgarbage("restart")
    return spent
  end

  local function pick(state, n)
    state[1] = (state[1] * 16807) % 2147483647
    return state[1] % n + 1
  end

  local shapes = {
    ["a row, from its beginning"] = function(t, n)
      for i = 2, n do t[i]:after(t[i - 1]) end
    end,
    ["a row, from its end"] = function(t, n)
      for i = n, 2, -1 do t[i]:after(t[i - 1]) end
    end,
    ["a row that comes after one task, from its end"] = function(t, n)
      for i = 2, n do t[i]:after(t[1]) end
      for i = n, 3, -1 do t[i]:after(t[i - 1]) end
    end,
    ["a row that comes before one task, from its beginning"] = function(t, n)
      for i = 1, n - 1 do t[n]:after(t[i]) end
      for i = 2, n - 1 do t[i]:after(t[i - 1]) end
    end,
    ["a row between two tasks, from both ends"] = function(t, n)
      for i = 2, n - 1 do t[i]:after(t[1]) t[n]:after(t[i]) end
      for i = 3, n / 2 do t[i]:after(t[i - 1]) t[n - i + 2]:after(t[n - i + 1]) end
    end,
    ["a row of pieces that are put together"] = function(t, n)
      local step = 1
      while step < n do
        for i = step + 1, n, 2 * step do t[i]:after(t[i - 1]) end
        step = step * 2
      end
    end,
    ["a binary tree, from its leaves"] = function(t, n)
      for i = n, 2, -1 do t[math.floor(i / 2)]:after(t[i]) end
    end,
    ["layers, all to all, from the last"] = function(t, n)
      for i = n - 8, 1, -8 do
        for j = 0, 7 do
          for k = 8, 15 do
            if i + k <= n then t[i + k]:after(t[i + j]) end
          end
        end
      end
    end,
    ["arcs anywhere, in any order"] = function(t, n)
      local state = { 4711 }
      for _ = 1, 2 * n do
        local a, b = pick(state, n), pick(state, n)
        if a ~= b then t[math.max(a, b)]:after(t[math.min(a, b)]) end
      end
    end,
  }

  -- What takes the square of the size costs 64 times as much.
  for name, build in pairs(shapes) do
    it("costs what its size is: " .. name, function()
      local n = math.max(250, support.scaled(2500))
      local small, large = math.huge, math.huge
      for _ = 1, 3 do
        small = math.min(small, cost(n, build))
        large = math.min(large, cost(8 * n, build))
      end
      assert.is_true(large < 30 * small + 0.2, ("%g s for %d, %g s for %d"):format(small, n, large, 8 * n))
    end)
  end

  it("has no circle, however many arcs there are", function()
    local n, tries = 100, math.max(1500, support.scaled(6000))
    local tasks, reaches, state = {}, {}, { 42 }
    for i = 1, n do
      tasks[i], reaches[i] = pool:task(nothing), { [i] = true }
    end
    local refused = 0
    for _ = 1, tries do
      local earlier, later = pick(state, n), pick(state, n)
      local possible = not reaches[later][earlier]
      assert.equal(possible, (pcall(tasks[later].after, tasks[later], tasks[earlier])))
      refused = refused + (possible and 0 or 1)
      for i = 1, possible and n or 0 do
        if reaches[i][earlier] then
          for j in pairs(reaches[later]) do
            reaches[i][j] = true
          end
        end
      end
    end
    assert.is_true(refused > 0 and refused < tries)
  end)

  it("is built by several threads while it runs, and all of it ends", function()
    local threads = {}
    pool:workers(2)
    local shared = {}
    for i = 1, 200 do
      shared[i] = pool:task(nothing)
    end
    for i = 1, 3 do
      threads[i] = iocp.Thread(function(p, all, seed, count)
        local function draw(n)
          seed = (seed * 16807) % 2147483647
          return seed % n + 1
        end
        local mine, made = {}, 0
        for j = 1, count do
          local task = p:task(function() end)
          mine[j] = task
          for _ = 1, draw(3) do
            pcall(task.after, task, mine[draw(j)])
            pcall(task.after, task, all[draw(#all)])
            local one = all[draw(#all)]
            pcall(one.after, one, mine[draw(j)])
            for _ = 1, 4 do
              pcall(one.after, one, all[draw(#all)])
            end
          end
          if draw(4) == 1 then
            task:cancel()
          elseif task:submit() then
            made = made + 1
          end
        end
        return made
      end, pool, shared, 1000 + i, math.max(300, support.scaled(1500)))
    end
    support.join_all(threads)
    for _, task in ipairs(shared) do
      task:submit()
    end
    assert.is_true(pool:shutdown(60000))
    local stats = pool:stats()
    assert.equal(stats.submitted, stats.completed + stats.cancelled)
  end)
end)
