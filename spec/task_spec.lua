-- A task's life: its states, waiting for it, cancelling it, what runs after it, and waits within workers.
local iocp = require "iocp"
local support = require "support"

local function running(task)
  return support.eventually(function()
    return task:status() == "running"
  end)
end

describe("a task", function()
  local pool
  before_each(function()
    pool = iocp.Pool { workers = 2, concurrency = 100 }
  end)
  after_each(function()
    pool:close()
  end)

  it("says its state", function()
    local gate = iocp.IOCompletionPort()
    local function f(port) port:dequeue() end
    local task = pool:task(f, gate)
    assert.equal("unscheduled", task:status())
    assert.equal(task, task:submit())
    assert.is_true(running(task))
    local _, _, code = task:result()
    assert.equal("TIMEOUT", code)
    gate:enqueue(1)
    task:wait()
    assert.equal("completed", task:status())
    task = pool:submit(function() error() end)
    task:wait()
    assert.equal("failed", task:status())
    pool:workers(0)
    assert.is_true(support.eventually(function() return pool:stats().live == 0 end))
    task = pool:submit(f, gate)
    assert.equal("scheduled", task:status())
    task:cancel()
    assert.equal("cancelled", task:status())
    assert.matches("task_spec.lua:%d+", task:name())
    assert.matches("^iocp.Task: 0x", tostring(task))
  end)

  it("is waited for with a time, again and again, by several", function()
    local gate = iocp.IOCompletionPort()
    local task = pool:submit(function(port) port:dequeue() return "x", { 1 } end, gate)
    local start = iocp.clock()
    assert.same({ nil, "the task has not ended in time", "TIMEOUT" }, { task:wait(30) })
    assert.is_true(iocp.clock() - start >= 30)
    assert.same({ nil, "the task has not ended in time", "TIMEOUT" }, { task:wait(0) })
    local threads = {}
    for i = 1, 3 do
      threads[i] = iocp.Thread(function(t) return select(2, t:wait()) end, task)
    end
    iocp.sleep(20)
    gate:enqueue(1)
    for _ = 1, 3 do
      assert.same({ true, "x", { 1 } }, { task:wait() })
    end
    assert.same({ "x", "x", "x" }, support.join_all(threads))
    assert.same({ true, "x", { 1 } }, { task:result() })
  end)

  it("that was never submitted is not waited for", function()
    local task = pool:task(function() end)
    local ok, message, code = task:wait()
    assert.is_nil(ok)
    assert.matches("not submitted", message)
    assert.equal("INVALID", code)
    ok, message = pcall(function() return pool:submit(function() end):submit() end)
    assert.is_false(ok)
    assert.matches("self: the task was submitted before", message, 1, true)
  end)

  it("lives as long as somebody holds it, and its results too", function()
    local task = pool:submit(function(t) return t end, pool:submit(function() return { 1 } end))
    local ok, inner = task:wait()
    assert.is_true(ok)
    assert.same({ true, { 1 } }, { inner:wait() })
    pool:shutdown()
    collectgarbage()
    assert.same({ true, { 1 } }, { inner:result() })
  end)

  it("may be in the results of another, in a long row", function()
    local n = support.scaled(100000)
    local last = pool:submit(function() return 0 end)
    for _ = 1, n do
      last = pool:submit(function(t) return t end, last)
    end
    last:wait()
    last = pool:task(function() end)
    for _ = 1, n do
      last = pool:task(function() end, last)
    end
    for _ = 1, math.floor(n / 10) do
      local before = last
      last = pool:task(function() return before end)
    end
    local before = iocp.Pool(0)
    for _ = 1, math.floor(n / 100) do
      local outer = iocp.Pool(0)
      outer:submit(function() end, before)
      before = outer
    end
    last, before = nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
  end)

  describe("is cancelled", function()
    it("before it runs: it never runs", function()
      local gate, log = iocp.IOCompletionPort(), iocp.IOCompletionPort()
      pool:workers(1)
      assert.is_true(support.eventually(function() return pool:stats().live == 1 end))
      local first = pool:submit(function(port) port:dequeue() end, gate)
      assert.is_true(running(first))
      local task = pool:submit(function(port) port:enqueue(1) end, log)
      assert.is_true(task:cancel())
      assert.is_false(task:cancel())
      assert.same({ nil, "the task was cancelled", "CANCELLED" }, { task:wait() })
      gate:enqueue(1)
      pool:shutdown()
      assert.equal(0, log:stats().queued)
    end)

    it("while it runs: its waits end, it can see it, and its worker goes on", function()
      pool:workers(1)
      local task = pool:submit(function()
        local inside = require "iocp"
        local before = inside.cancelled()
        local _, _, code = inside.sleep(1e7)
        return before, code, inside.cancelled()
      end)
      assert.is_true(running(task))
      iocp.sleep(10)
      assert.is_true(task:cancel())
      assert.same({ true, false, "CANCELLED", true }, { task:wait() })
      task = pool:submit(function()
        while not require("iocp").cancelled() do end -- luacheck: ignore
        error("gave up")
      end)
      assert.is_true(running(task))
      task:cancel()
      local ok, message, code = task:wait()
      assert.is_nil(ok)
      assert.matches("gave up", message)
      assert.equal("CANCELLED", code)
      assert.equal("cancelled", task:status())
      for _ = 1, 3 do
        assert.same({ true, false, true }, { pool:submit(function()
          return require("iocp").cancelled(), require("iocp").sleep(1)
        end):wait() })
      end
      assert.equal(0, pool:stats().dead)
      assert.is_false(task:cancel())
    end)

    it("hard: code that loops ends with its worker, which is replaced", function()
      local task = pool:submit(function()
        if jit then jit.off(true, true) end -- luacheck: ignore
        while true do tostring({}) end
      end)
      assert.is_true(running(task))
      assert.is_true(task:cancel("hard"))
      local _, message, code = task:wait(20000)
      assert.equal("CANCELLED", code)
      assert.matches("cancelled", message)
      assert.is_true(support.eventually(function() return pool:stats().dead == 1 and pool:stats().live == 2 end))
      assert.same({ true, 1 }, { pool:submit(function() return 1 end):wait() })
      assert.has_error(function() task:cancel("soft") end)
      for _ = 1, 20 do -- whenever it comes, results are not taken for an error
        task = pool:submit(function() return ("x"):rep(100000) end)
        task:cancel("hard")
        local ok
        ok, message, code = task:wait(20000)
        assert.is_true(ok or code == "CANCELLED")
        assert.is_false(not ok and message:find("xxx") ~= nil)
      end
    end)

    it("in a race with running it: one outcome each", function()
      local log, n = iocp.IOCompletionPort(), support.scaled(20000)
      local completed, cancelled = 0, 0
      local tasks = {}
      for i = 1, n do
        tasks[i] = pool:submit(function(port, k) port:enqueue(k) end, log, i)
        if i % 2 == 0 then
          tasks[i - i % 5 % i]:cancel()
        end
      end
      for i = 1, n do
        local _, _, code = tasks[i]:wait()
        if code then
          assert.equal("CANCELLED", code)
          cancelled = cancelled + 1
        else
          completed = completed + 1
        end
      end
      local stats = pool:stats()
      assert.same({ n, completed, cancelled, 0 },
        { completed + cancelled, stats.completed, stats.cancelled, stats.failed })
      assert.is_true(log:stats().queued >= completed) -- one that ran may have been told too late
    end)
  end)

  describe("runs later", function()
    it("not before its time", function()
      local start = iocp.clock()
      local task = pool:submit_after(40, function() return require("iocp").clock() end)
      assert.equal("scheduled", task:status())
      local ok, at = task:wait()
      assert.is_true(ok)
      assert.is_true(at - start >= 40)
    end)

    it("or never, if it is cancelled", function()
      local log = iocp.IOCompletionPort()
      local tasks = {}
      for i = 1, 100 do
        tasks[i] = pool:submit_after(i % 7, function(port, n) port:enqueue(n) end, log, i)
      end
      iocp.sleep(3)
      local cancelled = 0
      for i = 1, 100 do
        cancelled = cancelled + (tasks[i]:cancel() and 1 or 0)
      end
      pool:shutdown()
      local stats = pool:stats()
      assert.equal(100, stats.completed + stats.cancelled)
      assert.equal(0, stats.delayed)
      assert.is_true(log:stats().queued >= stats.completed and cancelled >= stats.cancelled)
    end)

    it("again and again, until it is cancelled or fails", function()
      local log = iocp.IOCompletionPort()
      local start = iocp.clock()
      local task = pool:submit_every(5, function(port) port:enqueue(1) end, log)
      assert.is_true(support.eventually(function() return log:stats().queued >= 5 end))
      assert.is_true(iocp.clock() - start >= 25)
      assert.is_true(task:cancel())
      local _, _, code = task:wait()
      assert.equal("CANCELLED", code)
      local count = log:stats().queued
      iocp.sleep(30)
      assert.equal(count, log:stats().queued)
      task = pool:submit_every(1, function()
        n = (n or 0) + 1 -- luacheck: ignore
        if n > 2 then error("the third time") end -- luacheck: ignore
      end)
      pool:workers(1)
      local ok, message = task:wait()
      assert.is_nil(ok)
      assert.matches("the third time", message)
      assert.is_true(support.eventually(function() return pool:idle() end))
      local stats = pool:stats()
      assert.equal(stats.submitted, stats.completed + stats.failed + stats.cancelled)
    end)

    it("periodically, but not twice at once, and not after shutdown", function()
      local log = iocp.IOCompletionPort()
      pool:submit_every(1, function(port)
        port:enqueue(1)
        require("iocp").sleep(10)
        port:enqueue(2)
      end, log)
      assert.is_true(support.eventually(function() return log:stats().queued >= 6 end))
      assert.is_true(pool:shutdown(20000))
      local last = 2
      while log:stats().queued > 0 do
        local key = log:dequeue()
        assert.equal(3 - last, key)
        last = key
      end
      assert.equal(2, last)
    end)
  end)

  describe("runs after others", function()
    local function mark(port, n) port:enqueue(n) end

    it("that have completed, in whatever order they do", function()
      for _ = 1, 50 do
        local log = iocp.IOCompletionPort()
        local a, b, c, d = pool:task(mark, log, 1), pool:task(mark, log, 2),
          pool:task(mark, log, 3), pool:task(mark, log, 4)
        d:after(b, c)
        b:after(a)
        c:after(a)
        for _, task in ipairs { d, c, b, a } do
          assert(task:submit())
        end
        assert.is_true(d:wait())
        local order = log:dequeue_many(10)
        assert.equal(1, order[1])
        assert.equal(4, order[10])
      end
      assert.equal(0, pool:stats().waiting)
    end)

    it("also if these have completed before", function()
      local a = pool:submit(function() end)
      a:wait()
      assert.same({ true, 2 }, { pool:task(function() return 2 end):after(a):submit():wait() })
    end)

    it("is cancelled if one failed or was cancelled, and so is what comes then", function()
      local gate = iocp.IOCompletionPort()
      local bad = pool:task(function(port) port:dequeue() error("bad") end, gate)
      local good = pool:submit(function() end)
      local second = pool:task(function() end):after(good, bad)
      local third = pool:task(function() end):after(second):submit()
      second:submit()
      bad:submit()
      gate:enqueue(1)
      local nothing, message, code = third:wait()
      assert.is_nil(nothing)
      assert.equal("CANCELLED", code)
      assert.matches("^the task was cancelled: 'task_spec.lua:%d+', which it was to run after, failed: .*bad\nstack",
        message)
      assert.equal("cancelled", second:status())
      local late = pool:task(function() end):after(bad)
      assert.equal("cancelled", late:status())
      nothing, message, code = late:submit()
      assert.is_nil(nothing)
      assert.matches("which it was to run after, failed", message)
      assert.equal("CANCELLED", code)
      local forgotten = pool:task(function() end)
      local waits = pool:task(function() end):after(forgotten):submit()
      forgotten = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert.equal("cancelled", waits:status())
      assert.matches("which it was to run after, was cancelled$", (select(2, waits:wait())))
    end)

    it("in no circle", function()
      local function f() end
      local a, b, c = pool:task(f), pool:task(f), pool:task(f)
      a:after(b)
      b:after(c)
      local expected = "task: it runs after this one, or waits for it; tasks cannot wait for each other in a circle"
      for _, call in ipairs { function() c:after(a) end, function() b:after(a) end, function() a:after(a) end } do
        local ok, message = pcall(call)
        assert.is_false(ok)
        assert.matches(expected, message, 1, true)
      end
      for _, task in ipairs { a, b, c } do
        task:submit()
      end
      assert.is_true(a:wait(20000))
      assert.has_error(function() a:after(b) end)
    end)

    it("in a long row, or many after one", function()
      local n = support.scaled(20000)
      local first = pool:task(function() return 1 end)
      local last = first
      for _ = 1, n do
        last = pool:task(function() end):after(last):submit()
      end
      first:submit()
      assert.is_true(last:wait(60000))
      first = pool:task(function() error("x") end)
      last = first
      for _ = 1, n do
        last = pool:task(function() end):after(last):submit()
      end
      first:submit()
      local _, _, code = last:wait(60000)
      assert.equal("CANCELLED", code)
      local log = iocp.IOCompletionPort()
      first = pool:task(function() end)
      for i = 1, n do
        pool:task(mark, log, i):after(first):submit()
      end
      first:submit()
      assert.is_true(support.eventually(function() return log:stats().queued == n end))
    end)

    it("with their results: then_", function()
      local task = pool:submit(function() return 1, nil, 3 end)
      local ok, a, b, c, d = task:then_(function(...) return ... end, "own"):wait()
      assert.same({ true, 1, nil, 3, "own" }, { ok, a, b, c, d })
      assert.same({ true, 11 }, { task:then_(function(x) return x + 9 end):then_(function(x) return x + 1 end):wait() })
      local _, _, code = pool:submit(function() error("x") end):then_(function() return 1 end):wait()
      assert.equal("CANCELLED", code)
    end)

    it("of another pool", function()
      local other = iocp.Pool(1)
      local a = pool:submit(function() return 1 end)
      assert.same({ true, 2 }, { other:task(function() return 2 end):after(a):submit():wait() })
      other:shutdown()
    end)
  end)

  describe("in a worker", function()
    it("waits for others without stopping the pool", function()
      pool:workers(1)
      local ok, sum = pool:submit(function()
        local own = require("iocp").Pool.current()
        local function fib(n)
          if n < 2 then return n end
          local inner = require("iocp").Pool.current()
          local task = inner:submit(fib, n - 1)
          local b = select(2, inner:submit(fib, n - 2):wait())
          return b + select(2, task:wait())
        end
        return select(2, own:submit(fib, 10):wait())
      end):wait()
      assert.is_true(ok, sum)
      assert.equal(55, sum)
    end)

    it("waits however deep", function()
      pool:workers(1)
      local function deep(n)
        if n == 0 then return 0 end
        local ok, below = require("iocp").Pool.current():submit(deep, n - 1):wait()
        assert(ok, below)
        return below + 1
      end
      assert.same({ true, 100 }, { pool:submit(deep, 100):wait() })
      assert.is_true(support.eventually(function() return pool:stats().live == 1 end))
      assert.equal(0, pool:stats().blocked)
    end)

    it("waits for what is delayed, or comes after others", function()
      pool:workers(1)
      assert.same({ true, "late" }, { pool:submit(function()
        local own = require("iocp").Pool.current()
        return select(2, own:submit_after(20, function() return "late" end):wait())
      end):wait() })
      assert.same({ true, 3 }, { pool:submit(function()
        local own = require("iocp").Pool.current()
        local a = own:task(function() return 1 end)
        local b = own:task(function() return 2 end):after(a):submit()
        a:submit()
        return select(2, b:wait()) + select(2, a:wait())
      end):wait() })
      assert.is_true(support.eventually(function() return pool:stats().live == 1 end))
    end)

    it("waits with a time", function()
      pool:workers(1)
      assert.same({ true, "TIMEOUT" }, { pool:submit(function()
        return select(3, require("iocp").Pool.current():submit_after(1e7, function() end):wait(20))
      end):wait() })
    end)

    it("runs what it waits for in its own place, where a cancel of the outer one does not reach", function()
      pool:workers(1)
      local log, gate = iocp.IOCompletionPort(), iocp.IOCompletionPort()
      local outer = pool:submit(function(port, told)
        local inside = require "iocp"
        local ok, inner = inside.Pool.current():submit(function(p, g)
          p:enqueue(1)
          g:dequeue()
          return require("iocp").cancelled()
        end, port, told):wait()
        return ok, inner, inside.cancelled(), select(3, inside.sleep(1e7))
      end, log, gate)
      log:dequeue()
      outer:cancel()
      gate:enqueue(1)
      assert.same({ true, true, false, true, "CANCELLED" }, { outer:wait() })
      assert.same({ true, false }, { pool:submit(function() return require("iocp").cancelled() end):wait() })
    end)

    it("is cancelled while it waits", function()
      local outer = pool:submit(function()
        return select(3, require("iocp").Pool.current():submit_after(1e7, function() end):wait())
      end)
      assert.is_true(support.eventually(function() return pool:stats().blocked == 1 end))
      outer:cancel()
      assert.same({ true, "CANCELLED" }, { outer:wait() })
      assert.equal(0, pool:stats().blocked)
    end)
  end)

  it("has the right kind of arguments", function()
    local task = pool:task(print)
    for _, call in ipairs {
      function() task.wait({}) end, function() task:wait(-1) end, function() task:wait("x") end,
      function() task:after(1) end,
      function() task:after(pool) end, function() task:submit(-1) end, function() task:then_() end,
      function() task:then_(1) end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("bad argument", message)
    end
  end)
end)
