-- A pool under load: every task has one outcome, whatever happens meanwhile.
local iocp = require "iocp"
local support = require "support"

describe("a pool under load", function()
  it("runs 10^5 tasks, one in a hundred of which fails, once each, while it grows and shrinks", function()
    local pool, count = iocp.Pool { workers = 4, name = "load" }, support.soaked(100000)
    local seen = iocp.IOCompletionPort()
    local function work(port, n)
      port:enqueue(n)
      if n % 100 == 0 then
        error("one in a hundred")
      end
      return n
    end
    local resizer = iocp.Thread(function(p)
      local inside, changes = require "iocp", 0
      repeat -- once at least: a short run may be over before this thread has begun
        assert(p:workers(changes * 7 % 16 + 1))
        changes = changes + 1
        inside.sleep(2)
      until inside.cancelled()
      p:workers(4)
      return changes
    end, pool)
    local tasks, sample = {}, math.max(1, math.floor(count / 1000))
    for i = 1, count do
      local task = assert(pool:submit(work, seen, i))
      if i % sample == 0 then
        tasks[i] = task
      end
    end
    assert.is_true(support.eventually(function() return pool:idle() end) or pool:shutdown(120000))
    resizer:cancel()
    local ok, changes = resizer:join(20000)
    assert.is_true(ok, changes)
    assert.is_true(changes > 0)
    assert.is_true(pool:shutdown(60000))
    local stats = pool:stats()
    local failing = math.floor(count / 100)
    assert.same({ count, count - failing, failing, 0, 0, 0, 0, 0 }, { stats.submitted, stats.completed, stats.failed,
      stats.cancelled, stats.queued, stats.active, stats.dead, stats.live })
    for i, task in pairs(tasks) do
      local done, result = task:result()
      if i % 100 == 0 then
        assert.is_nil(done)
        assert.matches("one in a hundred", result)
      else
        assert.same({ true, i }, { done, result })
      end
    end
    local times, n = {}, 0
    while n < count do
      local batch, got = seen:dequeue_many(10000, 0)
      assert(batch, got)
      for i = 1, 3 * got, 3 do
        times[batch[i]] = (times[batch[i]] or 0) + 1
      end
      n = n + got
    end
    local once = 0
    for i = 1, count do
      once = once + (times[i] == 1 and 1 or 0)
    end
    assert.equal(count, once)
  end)

  it("loses nothing to submitters, cancels and waits of several threads", function()
    local pool, threads = iocp.Pool(3), {}
    for i = 1, 4 do
      threads[i] = iocp.Thread(function(p, n, seed)
        local done, cancelled, failed = 0, 0, 0
        math.randomseed(seed)
        local tasks = {}
        for k = 1, n do
          local what = math.random(5)
          local task
          if what == 1 then
            task = p:submit_after(math.random() * 3, function(x) return x end, k)
          elseif what == 2 then
            task = p:task(function(x) return x end, k):after(p:submit(function() end)):submit()
          elseif what == 3 then
            task = p:submit(function(x)
              local own = require("iocp").Pool.current()
              local ok, result = own:submit(function(y) return y end, x):wait()
              if not ok then error(result) end
              return result
            end, k)
          elseif what == 4 then
            task = p:submit(function() error("x") end)
          else
            task = p:submit(function(x) return x end, k)
          end
          if math.random(4) == 1 then
            task:cancel()
          end
          tasks[#tasks + 1] = { task, k }
          if #tasks > 20 then
            local one = table.remove(tasks, math.random(#tasks))
            local ok, result, code = one[1]:wait(60000)
            if ok then
              assert(result == one[2])
              done = done + 1
            elseif code == "CANCELLED" then
              cancelled = cancelled + 1
            else
              assert(code == "ERROR", result)
              failed = failed + 1
            end
          end
        end
        for _, one in ipairs(tasks) do
          local _, _, code = one[1]:wait(60000)
          assert(code ~= "TIMEOUT")
        end
        return done + cancelled + failed
      end, pool, support.scaled(3000), i)
    end
    support.join_all(threads)
    assert.is_true(pool:shutdown(60000))
    local stats = pool:stats()
    assert.equal(stats.submitted, stats.completed + stats.failed + stats.cancelled)
    assert.same({ 0, 0, 0, 0, 0 }, { stats.queued, stats.active, stats.delayed, stats.waiting, stats.blocked })
  end)

  it("is closed in the middle: every task ends", function()
    for round = 1, support.scaled(100) do
      local pool, tasks = iocp.Pool(2), {}
      local closer = iocp.Thread(function(p, ms)
        require("iocp").sleep(ms)
        p:close()
      end, pool, round % 5 / 4)
      for i = 1, 200 do
        local task, _, code
        if i % 10 == 0 then
          task, _, code = pool:submit_after(1, function() end)
        elseif i % 11 == 0 and tasks[#tasks] then
          task, _, code = pool:task(function() end):after(tasks[#tasks]):submit()
        else
          task, _, code = pool:submit(function() return 1 end)
        end
        assert.is_true(task ~= nil or code == "CLOSED" or code == "CANCELLED", code)
        tasks[#tasks + 1] = task
      end
      support.join_all { closer }
      assert.is_true(pool:shutdown(20000))
      for _, task in ipairs(tasks) do
        local _, _, code = task:wait(20000)
        assert.is_true(code == nil or code == "CANCELLED", code)
      end
      local stats = pool:stats()
      assert.equal(stats.submitted, stats.completed + stats.cancelled)
    end
  end)

  it("leaves nothing behind", function()
    local function round()
      for _ = 1, 50 do
        local pool = iocp.Pool(2)
        local first = pool:submit(function(...) return ... end, { "some", "values" })
        local later = pool:task(function() end):after(first):submit()
        pool:submit(function() error("x") end)
        pool:submit_after(1e6, function() end):cancel()
        pool:submit_every(1, function() end)
        later:wait()
        pool:shutdown()
      end
      collectgarbage()
    end
    if not support.measures then
      return round()
    end
    round()
    local before = support.resident()
    for _ = 1, 4 do
      round()
    end
    assert.is_true(support.resident() - before < 2048)
  end)
end)
