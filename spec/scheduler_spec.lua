-- iocp.run and what it gives: fibers, scopes, deadlines, conditions, and the module's waits inside fibers.
local iocp = require "iocp"
local support = require "support"
local run, spawn = iocp.run, iocp.spawn

local is_51 = _VERSION == "Lua 5.1" and not rawget(_G, "jit") -- pcall and iterators cannot wait there

--- What f does as a failure: nil and a message that has the text.
local function fails(text, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.matches(text, tostring(message), 1, true)
end

--- How long f takes, in ms.
local function time(f)
  local started = iocp.clock()
  f()
  return iocp.clock() - started
end

describe("iocp.run", function()
  it("returns what f returns, when all that it spawned has ended", function()
    local log = {}
    local function f(...)
      spawn(function()
        iocp.sleep(20)
        log[#log + 1] = "spawned"
      end)
      log[#log + 1] = "main"
      return ...
    end
    assert.same({ n = 4, 1, nil, 3, nil }, { n = select("#", run(f, 1, nil, 3, nil)), run(f, 1, nil, 3, nil) })
    assert.same({ "main", "spawned", "main", "spawned" }, log)
    assert.equal(0, select("#", run(function() end)))
  end)

  it("is a scope of its own inside a fiber", function()
    local log, between = {}, iocp.Condition()
    run(function()
      spawn(function()
        between:wait()
        log[#log + 1] = "outer"
      end)
      assert.equal("result", run(function()
        spawn(function()
          iocp.sleep(5)
          log[#log + 1] = "inner"
        end)
        return "result"
      end))
      log[#log + 1] = "between"
      between:signal()
    end)
    assert.same({ "inner", "between", "outer" }, log)
  end)

  it("raises f's error with its traceback, and cancels the rest", function()
    local code
    fails("boom\nstack traceback:", run, function()
      spawn(function()
        code = select(3, iocp.sleep(60000))
      end)
      iocp.yield()
      error("boom", 0)
    end)
    assert.equal("CANCELLED", code)
    local value = {}
    local ok, got = pcall(run, function() error(value) end)
    assert.is_false(ok)
    assert.equal(value, got)
  end)

  it("raises the error of a fiber that nobody waits for", function()
    fails("spawned boom", run, function()
      spawn(function() error("spawned boom") end)
      iocp.sleep(60000)
    end)
  end)

  it("has a text for any error value", function()
    local message = run(function()
      return (select(2, spawn(error, setmetatable({}, { __metatable = 5 })):wait()))
    end)
    assert.equal("(error object is a table value)", message:match("[^\n]*"))
  end)

  it("lets errors be kept, logged, or given to a function", function()
    local got = {}
    assert.equal("fine", run({
      main = function()
        spawn { name = "first", body = function() error("one") end }
        spawn { name = "second", body = function() error({}) end }
        iocp.sleep(1)
        return "fine"
      end,
      on_error = function(message, about)
        iocp.sleep(1)
        got[#got + 1] = about.fiber .. ": " .. message:match("[^\n]*")
      end,
    }))
    assert.equal(2, #got)
    assert.matches("^first: .*one$", got[1])
    assert.equal("second: (error object is a table value)", got[2])
    local function on_error() error("on_error boom") end
    fails("on_error boom", run, { main = function() spawn(error, "x") end, on_error = on_error })
    run({
      on_error = "keep",
      main = function()
        local fiber = spawn(error, "kept")
        iocp.yield()
        assert.equal("failed", fiber:status())
        assert.equal("ERROR", (select(3, fiber:result())))
      end,
    })
  end)

  it("tells every error to on_error, also once the scope has been cancelled", function()
    local told = {}
    local ok = pcall(run, {
      main = function()
        for i = 1, 3 do
          spawn(error, { i })
        end
        iocp.sleep(60000)
      end,
      on_error = function(_, about)
        told[#told + 1] = about.value[1]
        error(about.value, 0)
      end,
    })
    assert.is_false(ok)
    assert.same({ 1, 2, 3 }, told)
  end)

  it("is cancelled by f's error, also if somebody waits for f", function()
    local code
    fails("boom", run, function()
      local outer = iocp.fiber()
      run(function()
        local main = iocp.fiber()
        spawn(function() assert.equal("ERROR", select(3, main:wait())) end)
        spawn(function() code = select(3, iocp.sleep(60000)) end)
        assert.not_equal(outer, main)
        iocp.yield()
        error("boom")
      end)
    end)
    assert.equal("CANCELLED", code)
  end)

  it("tells on the error output what was to be logged, and what was kept and nobody asked for", function()
    for _, how in ipairs { "log", "keep" } do
      local _, output = support.child(([[
        local iocp = require "iocp"
        iocp.run({ on_error = %q, main = function() iocp.spawn { name = "it", body = error }  end })
        print("went on")
      ]]):format(how))
      assert.matches("it failed", output, 1, true)
      assert.matches("went on", output, 1, true)
    end
  end)

  it("says which argument is wrong, and where there is no scope", function()
    fails("main", run)
    fails("main", run, {})
    fails("on_error", run, { main = print, on_error = "no" })
    fails("iocp.run(function() ... end)", spawn, print)
    fails("iocp.run(function() ... end)", iocp.within, 1, print)
    run(function()
      assert.is_false(iocp.pcall(spawn))
      assert.is_false(iocp.pcall(iocp.spawn_after, -1, print))
      assert.is_false(iocp.pcall(iocp.spawn_every, 0, print))
      assert.is_false(iocp.pcall(iocp.within, "x", print))
    end)
  end)

  it("says so when every fiber waits and nothing can come", function()
    local ended = 0
    local ok, message = pcall(run, function()
      local condition = iocp.Condition()
      for _ = 1, 2 do
        spawn { name = "waiter", body = function()
          local _, _, code = condition:wait()
          ended = ended + (code == "CANCELLED" and 1 or 0)
        end }
      end
      condition:wait()
    end)
    assert.is_false(ok)
    assert.matches("every fiber waits", message, 1, true)
    assert.equal(2, select(2, message:gsub("waiter %(waiting%), stack traceback", "")))
    assert.equal(2, ended)
    fails("every fiber waits", function() iocp.Condition():wait() end)
  end)

  it("runs in a thread, and returns when the thread is cancelled", function()
    local thread = iocp.Thread(function()
      local i = require "iocp"
      return i.run(function()
        local _, _, code = i.sleep(60000)
        i.spawn(function() i.run(i.sleep, 60000) end)
        return code, i.cancelled()
      end)
    end)
    iocp.sleep(20)
    thread:cancel()
    assert.same({ true, "CANCELLED", true }, { thread:join(10000) })
  end)
end)

describe("a fiber", function()
  it("can be waited for by many, again and again", function()
    run(function()
      local gate = iocp.Condition()
      local fiber = spawn(function(...)
        gate:wait()
        return ..., nil
      end, "a")
      local got = {}
      for i = 1, 3 do
        spawn(function() got[i] = { fiber:wait() } end)
      end
      assert.equal("TIMEOUT", select(3, fiber:wait(1)))
      assert.equal("TIMEOUT", select(3, fiber:wait(0)))
      assert.equal("TIMEOUT", select(3, fiber:result()))
      gate:signal()
      assert.same({ true, "a" }, { fiber:wait() })
      assert.same({ true, "a" }, { fiber:wait(0) })
      iocp.yield()
      assert.same({ { true, "a" }, { true, "a" }, { true, "a" } }, got)
      assert.same({ true, "a" }, { fiber:result() })
    end)
  end)

  it("gives its error to the wait that waited for it, and to nobody else", function()
    run(function()
      local value = { 1 }
      local fiber = spawn(function()
        iocp.yield()
        error(value)
      end)
      local _, message, code, got = fiber:wait()
      assert.matches("stack traceback", message, 1, true)
      assert.equal("ERROR", code)
      assert.equal(value, got)
      assert.equal("failed", fiber:status())
    end)
  end)

  it("has a name and a status", function()
    run(function()
      local fiber
      fiber = spawn { name = "worker", body = function()
        assert.equal("running", fiber:status())
        assert.equal(fiber, iocp.fiber())
        iocp.sleep(1)
      end }
      assert.equal("worker", fiber:name())
      assert.equal("scheduled", fiber:status())
      iocp.yield()
      assert.equal("waiting", fiber:status())
      assert.equal("iocp.Fiber: worker (waiting)", tostring(fiber))
      assert.matches("scheduler_spec.lua:%d+$", spawn(function() end):name())
      fiber:wait()
      assert.equal("completed", fiber:status())
      assert.equal("INVALID", select(3, iocp.fiber():wait()))
    end)
    assert.is_nil(iocp.fiber())
  end)

  it("is listed while it lives", function()
    run(function()
      spawn { name = "sleeper", body = function() iocp.sleep(5) end }
      iocp.yield()
      local by_name = {}
      for _, about in ipairs(iocp.fibers()) do
        by_name[about.name] = about
      end
      assert.equal("waiting", by_name.sleeper.status)
      assert.equal("running", by_name.main.status)
      assert.matches("stack traceback", by_name.sleeper.traceback)
      assert.is_true(by_name.sleeper.since <= iocp.clock())
    end)
    assert.same({}, iocp.fibers())
  end)

  it("that is cancelled gets CANCELLED from every wait, and yields each time", function()
    run(function()
      local codes, others = {}, 0
      local fiber = spawn(function()
        for i = 1, 3 do
          codes[i] = select(3, iocp.sleep(60000))
        end
        assert.is_true(iocp.cancelled())
        return "cleaned up"
      end)
      spawn(function()
        for _ = 1, 3 do
          others = others + 1
          iocp.yield()
        end
      end)
      iocp.yield()
      assert.is_true(fiber:cancel())
      assert.same({ true, "cleaned up" }, { fiber:wait() })
      assert.same({ "CANCELLED", "CANCELLED", "CANCELLED" }, codes)
      assert.is_true(others >= 2)
      assert.is_false(fiber:cancel())
      assert.is_false(iocp.cancelled())
    end)
  end)

  it("that is cancelled before it began never runs", function()
    run(function()
      local fiber = spawn(error, "ran")
      local later = iocp.spawn_after(60000, error, "ran")
      assert.is_true(fiber:cancel())
      assert.is_true(later:cancel())
      assert.equal("cancelled", fiber:status())
      assert.equal("CANCELLED", select(3, later:wait()))
    end)
  end)

  it("that is cancelled hard ends at its wait", function()
    run(function()
      local fiber = spawn(function()
        iocp.sleep(60000)
        error("went on")
      end)
      iocp.yield()
      fiber:cancel("hard")
      local ok, message, code = fiber:wait()
      assert.is_nil(ok)
      assert.matches("cancelled", message)
      assert.equal("CANCELLED", code)
      assert.equal("cancelled", fiber:status())
    end)
  end)

  it("cancels with it what it runs", function()
    run(function()
      local code
      local fiber = spawn(function()
        return run(function()
          spawn(function() code = select(3, iocp.sleep(60000)) end)
          iocp.sleep(60000)
          return "ended"
        end)
      end)
      iocp.sleep(5)
      fiber:cancel()
      assert.same({ true, "ended" }, { fiber:wait() })
      assert.equal("CANCELLED", code)
    end)
  end)

  it("cannot be yielded by coroutine.yield, which nothing resumes", function()
    fails("iocp.yield", run, function() coroutine.yield(1) end)
  end)
end)

describe("time", function()
  it("passes for each fiber by itself", function()
    local asleep, most = 0, 0
    run(function()
      for i = 5, 1, -1 do
        spawn(function()
          asleep = asleep + 1
          most = math.max(most, asleep)
          assert.is_true(time(function() iocp.sleep(10 * i) end) >= 10 * i)
          asleep = asleep - 1
        end)
      end
    end)
    assert.equal(5, most)
  end)

  it("is kept for 10,000 sleepers", function()
    local n, done = support.scaled(10000), 0
    run(function()
      for i = 1, n do
        spawn(function()
          iocp.sleep(i * 7919 % 50)
          done = done + 1
        end)
      end
    end)
    assert.equal(n, done)
  end)

  it("begins fibers later, and again and again", function()
    local times, after, enough = 0, nil, iocp.Condition()
    local took = time(function()
      run(function()
        iocp.spawn_every(5, function(by)
          times = times + by
          if times == 3 then
            enough:signal()
          end
        end, 1)
        iocp.spawn_after(20, function(v) after = v end, "later")
        enough:wait()
        assert.is_true(times >= 3)
      end)
    end)
    assert.equal("later", after)
    assert.is_true(took >= 20)
  end)

  it("tells the error of what is done again and again", function()
    fails("periodic boom", run, function()
      iocp.spawn_every(1, function() error("periodic boom") end)
      iocp.sleep(60000)
    end)
  end)
end)

describe("iocp.within", function()
  it("ends every wait inside", function()
    run(function()
      local codes = {}
      local took = time(function()
        assert.same({ nil, "TIMEOUT" }, { (function()
          local _, _, code = iocp.within(20, function()
            for i = 1, 3 do
              codes[i] = select(3, iocp.sleep(60000))
            end
            return "ignored"
          end)
          return nil, code
        end)() })
      end)
      assert.is_true(took >= 20 and took < support.patience(2000))
      assert.same({ "TIMEOUT", "TIMEOUT", "TIMEOUT" }, codes)
      assert.is_true(iocp.sleep(1))
    end)
  end)

  it("returns what f returns in time, and raises its error with its traceback", function()
    run(function()
      assert.same({ 1, nil, 3 }, { iocp.within(1000, function(...) return ... end, 1, nil, 3) })
      local fiber = spawn(function()
        iocp.within(1000, function() error("inside") end)
      end)
      local _, message = fiber:wait()
      assert.matches("inside\nstack traceback", message, 1, true)
      assert.is_true(iocp.sleep(1))
    end)
  end)

  it("takes the error that follows from its end as that", function()
    run(function()
      local ok, message, code = iocp.within(5, function() assert(iocp.sleep(60000)) end)
      assert.is_nil(ok)
      assert.matches("timed out", message, 1, true)
      assert.equal("TIMEOUT", code)
    end)
  end)

  it("ends an inner one", function()
    run(function()
      local inner
      local _, _, code = iocp.within(10, function()
        inner = { iocp.within(60000, iocp.sleep, 60000) }
        return 1
      end)
      assert.equal("TIMEOUT", inner[3])
      assert.equal("TIMEOUT", code)
      assert.equal("TIMEOUT", select(3, iocp.within(60000, iocp.within, 5, iocp.sleep, 60000)))
    end)
  end)

  it("ends a run inside, and what that spawned", function()
    run(function()
      local inner
      local _, _, code = iocp.within(10, run, function()
        spawn(function() inner = select(3, iocp.sleep(60000)) end)
        iocp.sleep(60000)
      end)
      assert.equal("TIMEOUT", code)
      assert.equal("CANCELLED", inner)
    end)
  end)
end)

describe("iocp.Condition", function()
  it("wakes those that waited longest first", function()
    run(function()
      local condition, order = iocp.Condition(), {}
      for i = 1, 5 do
        spawn(function()
          assert.is_true(condition:wait())
          order[#order + 1] = i
        end)
      end
      iocp.yield()
      assert.equal(1, condition:signal())
      iocp.yield()
      assert.equal(2, condition:signal(2))
      iocp.yield()
      assert.same({ 1, 2, 3 }, order)
      assert.equal(2, condition:broadcast())
      assert.equal(0, condition:signal())
    end)
  end)

  it("wakes nobody whose wait has ended", function()
    run(function()
      local condition, woken = iocp.Condition(), 0
      local first = spawn(function() return select(3, condition:wait(1)) end)
      local second = spawn(function() return select(3, condition:wait()) end)
      spawn(function() woken = condition:wait() and woken + 1 end)
      iocp.sleep(5)
      second:cancel()
      assert.equal(1, condition:signal())
      iocp.yield()
      assert.equal(1, woken)
      assert.same({ true, "TIMEOUT" }, { first:wait() })
      assert.same({ true, "CANCELLED" }, { second:wait() })
    end)
  end)

  it("keeps those that wait though a wait before them has timed out and does not know it yet", function()
    run(function()
      local condition = iocp.Condition()
      spawn(function() condition:wait(20) end)
      local second = spawn(function()
        iocp.sleep(10)
        assert.equal(0, condition:signal())
        return condition:wait(10000)
      end)
      iocp.yield()
      local both = iocp.clock() + 60
      repeat until iocp.clock() >= both
      iocp.sleep(20)
      assert.equal(1, condition:signal())
      assert.same({ true, true }, { second:wait() })
    end)
  end)
end)

describe("inside a fiber", function()
  --- Runs f while another fiber counts the time: whether the thread was free meanwhile.
  local function is_free_while(f)
    local ticks = 0
    run(function()
      iocp.spawn_every(2, function() ticks = ticks + 1 end)
      f()
    end)
    return ticks >= 1 -- one that blocks the thread lets none through
  end

  it("dequeue and receive of any port yield", function()
    local port = iocp.IOCompletionPort()
    assert.is_true(is_free_while(function()
      port:enqueue_after(30, 1, 2, 3)
      assert.same({ 1, 2, 3 }, { port:dequeue() })
      assert.equal("TIMEOUT", select(3, port:dequeue(0)))
      assert.equal("TIMEOUT", select(3, port:dequeue(5)))
      spawn(function() iocp.sleep(5) port:send("x", nil) end)
      assert.same({ true, "x" }, { port:receive() })
      spawn(function() iocp.sleep(5) port:enqueue(9) end)
      local batch, n = port:dequeue_many(10)
      assert.same({ 1, 9, 0 }, { n, batch[1], batch[2] })
      spawn(function() iocp.sleep(5) port:send("y") end)
      assert.same({ { { n = 1, "y" } }, 1 }, { port:receive_many(10) })
    end))
    port:enqueue(1)
    assert.same({ 1, 0 }, { port:dequeue() })
  end)

  it("each packet wakes one of many who get", function()
    local port, n, got = iocp.IOCompletionPort(), 20, {}
    run(function()
      for _ = 1, n do
        spawn(function()
          local key = port:dequeue()
          got[#got + 1] = key
        end)
      end
      iocp.yield()
      spawn(function() assert.equal("TIMEOUT", select(3, port:dequeue(1))) end)
      iocp.sleep(5)
      for i = 1, n do
        port:enqueue(i)
      end
    end)
    table.sort(got)
    assert.equal(n, #got)
    assert.equal(n, got[n])
  end)

  it("a closed port ends the gets", function()
    run(function()
      local port = iocp.IOCompletionPort()
      local fiber = spawn(function() return select(3, port:dequeue()) end)
      iocp.yield()
      port:close()
      local _, code = fiber:wait(10000)
      assert.is_true(code == "CLOSED" or code == "ABANDONED", code)
    end)
  end)

  it("packets() ends with the port", not is_51 and function()
    local keys = {}
    run(function()
      local port, taken = iocp.IOCompletionPort(), iocp.Condition()
      spawn(function()
        for i = 1, 2 do
          port:enqueue(i)
          while #keys < i do
            taken:wait()
          end
        end
        port:close()
      end)
      for key in port:packets() do
        keys[#keys + 1] = key
        taken:signal()
      end
    end)
    assert.same({ 1, 2 }, keys)
  end or function() pending("an iterator cannot wait in Lua 5.1") end)

  it("the scheduler's own port is how other threads reach it", function()
    assert.is_true(is_free_while(function()
      local own = iocp.port()
      local thread = iocp.Thread(function(port)
        local i = require "iocp"
        port:send("from a thread", { 1 })
        i.sleep(10)
        port:enqueue(7, 8, 9)
        port:send(1)
        port:enqueue(10)
        return 1
      end, own)
      assert.same({ true, "from a thread", { 1 } }, { own:receive() })
      assert.same({ 7, 8, 9 }, { own:dequeue() })
      assert.same({ nil, "MESSAGE", 1 }, (function(a, _, c, d) return { a, c, d } end)(own:dequeue()))
      assert.same({ "RAW", 10 }, (function(_, _, c, d) return { c, d } end)(own:receive()))
      assert.is_true((thread:join()))
      assert.equal("TIMEOUT", select(3, own:dequeue(1)))
    end))
  end)

  it("join, wait and lookups yield", function()
    local pool = iocp.Pool(1)
    assert.is_true(is_free_while(function()
      local gate = iocp.IOCompletionPort()
      local thread = iocp.Thread(function(g) g:dequeue() return "joined" end, gate)
      assert.equal("TIMEOUT", select(3, thread:join(1)))
      gate:enqueue_after(30, 1)
      assert.same({ true, "joined" }, { thread:join() })
      assert.same({ true, "joined" }, { thread:join() })
      local task = pool:submit(function(g) g:dequeue() return "done" end, gate)
      assert.equal("TIMEOUT", select(3, task:wait(1)))
      gate:enqueue_after(10, 1)
      assert.same({ true, "done" }, { task:wait() })
      assert.equal("127.0.0.1", iocp.resolve("127.0.0.1", 1):wait()[1].host)
    end))
    pool:shutdown()
  end)

  it("a wait that is cancelled leaves nothing behind", function()
    local port = iocp.IOCompletionPort()
    run(function()
      local gate = iocp.IOCompletionPort()
      local thread = iocp.Thread(function(g) g:dequeue() end, gate)
      local fibers = {
        spawn(function() return select(3, port:dequeue()) end),
        spawn(function() return select(3, iocp.port():receive()) end),
        spawn(function() return select(3, thread:join()) end),
        spawn(function() return select(3, iocp.sleep(60000)) end),
        spawn(function() return select(3, iocp.Condition():wait()) end),
      }
      iocp.sleep(2)
      for _, fiber in ipairs(fibers) do
        fiber:cancel()
        assert.same({ true, "CANCELLED" }, { fiber:wait() })
      end
      gate:enqueue(1)
      assert.is_true((thread:join()))
    end)
    port:enqueue(1)
    assert.equal(1, (port:dequeue(0)))
  end)

  it("a wait while a heap's lock is held is an error", function()
    local heap = iocp.Heap()
    run(function()
      assert.is_true(heap:lock())
      local ok, message = iocp.pcall(iocp.sleep, 1)
      assert.is_false(ok)
      assert.matches("heap:lock", message, 1, true)
      heap:unlock()
      assert.is_true(iocp.sleep(0))
    end)
  end)

  it("coroutines of the script's own can wait if they are of iocp.coroutine", function()
    run(function()
      local log = {}
      local generate = iocp.coroutine.wrap(function()
        for i = 1, 3 do
          iocp.sleep(1)
          coroutine.yield(i)
        end
      end)
      for _ = 1, 3 do
        log[#log + 1] = generate()
      end
      assert.same({ 1, 2, 3 }, log)
      local thread = iocp.coroutine.create(function() return iocp.sleep(1), "ended" end)
      assert.same({ true, true, "ended" }, { iocp.coroutine.resume(thread) })
      local ok, message = coroutine.resume(coroutine.create(function() iocp.sleep(1) end))
      assert.is_false(ok)
      assert.matches("iocp.coroutine", message, 1, true)
      assert.is_true(iocp.sleep(1))
    end)
  end)

  it("iocp.pcall can wait", function()
    run(function()
      assert.same({ true, 1, true }, { iocp.pcall(function(v) return v, iocp.sleep(1) end, 1) })
      local ok, message = iocp.pcall(function()
        iocp.sleep(1)
        error("late", 0)
      end)
      assert.same({ false, "late" }, { ok, message })
      local values = iocp.coroutine.wrap(function()
        iocp.pcall(function()
          coroutine.yield(1)
          iocp.sleep(1)
          coroutine.yield(2)
        end)
        return 3
      end)
      assert.same({ 1, 2, 3 }, { values(), values(), values() })
    end)
  end)

  it("a wait where C is in between is an error, and does not block", function()
    run(function()
      local fiber = spawn(function()
        table.sort({ 3, 2, 1 }, function(a, b)
          iocp.sleep(1)
          return a < b
        end)
      end)
      local _, message, code = fiber:wait()
      assert.equal("ERROR", code)
      assert.matches("C%-call boundary", message)
      assert.is_true(iocp.sleep(1))
    end)
  end)

  if is_51 then
    it("a wait in pcall or a for-loop's iterator is an error that says what to do", function()
      run(function()
        local fiber = spawn(function() assert(pcall(iocp.sleep, 1)) end)
        assert.matches("iocp.pcall", select(2, fiber:wait()), 1, true)
      end)
    end)
  end
end)

describe("a state", function()
  it("that asks for nothing of the scheduler does not load it", function()
    local _, output = support.child([[
      local iocp = require "iocp"
      iocp.sleep(1)
      local port = iocp.IOCompletionPort()
      port:enqueue(1)
      print(port:dequeue(), package.loaded["iocp.scheduler"], package.loaded["iocp.fiber"])
    ]])
    assert.matches("^1%s+0?%s*nil%s+nil", (output:gsub("1\t0\tnil\tnil", "1 nil nil")))
  end)

  it("raises Ctrl-C from run, when all has ended", not support.windows and function()
    local code, output = support.child([[
      local iocp = require "iocp"
      local ok, message = pcall(iocp.run, function()
        iocp.spawn(function() print("cancelled: " .. select(3, iocp.sleep(60000))) end)
        iocp.spawn_after(20, function() os.execute("(sleep 0.1; kill -INT $PPID) &") end)
        iocp.sleep(60000)
        print("main ended")
      end)
      print(ok, message)
    ]])
    assert.equal(0, code, output)
    assert.matches("cancelled: CANCELLED", output, 1, true)
    assert.matches("main ended", output, 1, true)
    assert.matches("interrupted!", output, 1, true)
  end or function() pending("no kill there") end)
end)

-- Random trees of fibers: every one ends, once.
describe("fibers at random", function()
  it("have one outcome each, and leave nothing", function()
    local seed = os.time()
    math.randomseed(seed)
    local begun, ended, n = 0, 0, support.scaled(2000)
    local condition = iocp.Condition()
    local function body(depth)
      begun = begun + 1
      for _ = 1, math.random(3) do
        local kind = math.random(7)
        if kind == 1 then
          iocp.sleep(math.random(3))
        elseif kind == 2 then
          iocp.yield()
        elseif kind == 3 and depth < 3 then
          spawn(body, depth + 1)
        elseif kind == 4 and depth < 3 then
          run(body, depth + 1)
        elseif kind == 5 then
          condition:wait(2)
        elseif kind == 6 then
          condition:signal(2)
        elseif depth < 3 then
          iocp.within(1, body, depth + 1)
        end
      end
      ended = ended + 1
    end
    run(function()
      for i = 1, n do
        local fiber = spawn(body, 1)
        if i % 3 == 0 then
          iocp.yield()
          if math.random(2) == 1 then
            fiber:cancel()
          end
        end
      end
    end)
    assert.equal(begun, ended, "seed " .. seed)
    assert.same({}, iocp.fibers())
  end)
end)
