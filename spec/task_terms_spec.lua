-- How tasks are treated: time, retries, priorities; what follows from a failure; scopes.
local iocp = require "iocp"
local support = require "support"

local function hold(port) port:dequeue() end
local function say(port, what) port:send(what) end
local function forever() assert(require("iocp").sleep(1e9)) end

local function heard(port, n)
  local list = {}
  for i = 1, n do
    local ok, what = port:receive(60000)
    assert(ok, what)
    list[i] = what
  end
  return list
end

describe("a task", function()
  local pool, gate, out
  before_each(function()
    pool, gate, out = iocp.Pool(1), iocp.IOCompletionPort(), iocp.IOCompletionPort()
  end)
  after_each(function()
    gate:close()
    pool:close()
  end)

  local function counted()
    assert.is_true(support.eventually(function() return pool:idle() end))
    local stats = pool:stats()
    assert.equal(stats.submitted, stats.completed + stats.failed + stats.cancelled)
    return { stats.submitted, stats.completed, stats.failed, stats.cancelled }
  end

  describe("catch", function()
    it("is called with message, code and error value of what did not complete, and its results count", function()
      local function caught(message, code, value, more) return message:match("too ugly"), code, value, more end
      assert.same({ true, "too ugly", "ERROR", { code = "too ugly" }, 7 },
        { pool:submit(function() error({ code = "too ugly" }) end):catch(function(_, code, value, more)
          return value.code, code, value, more
        end, 7):wait(60000) })
      local ok, text, what, raised = pool:submit(function() error("too ugly") end):catch(caught):wait(60000)
      assert.same({ true, "too ugly", "ERROR" }, { ok, text, what })
      assert.matches("too ugly$", raised)
      local cancelled = pool:submit_after(1e9, print)
      local after = cancelled:catch(function(_, code) return code end)
      cancelled:cancel()
      assert.same({ true, "CANCELLED" }, { after:wait(60000) })
    end)

    it("passes results on, and is not called then", function()
      assert.same({ true, 1, nil, 3 }, { pool:submit(function() return 1, nil, 3 end):catch(error):wait(60000) })
    end)

    it("gets the error of what came before, through tasks that were to run after it", function()
      local task = pool:submit(function() error("first", 0) end):then_(print):then_(print)
        :catch(function(message) return message:match("^[^\n]*") end)
      assert.same({ true, "first" }, { task:wait(60000) })
    end)

    it("may fail itself, and be followed", function()
      local task = pool:submit(function() error("first", 0) end):catch(function() error("second", 0) end)
        :catch(function(message) return message:match("^[^\n]*") end):then_(function(text) return text .. "!" end)
      assert.same({ true, "second!" }, { task:wait(60000) })
    end)
  end)

  describe("finally", function()
    it("is called in any case, and ends as what came before", function()
      assert.same({ true, 1, 2 }, { pool:submit(function() return 1, 2 end):finally(say, out, "done"):wait(60000) })
      local failed = pool:submit(function() error({ code = 5 }) end):finally(say, out, "failed")
      local ok, message, code, value = failed:wait(60000)
      assert.same({ nil, "ERROR", { code = 5 } }, { ok, code, value })
      assert.matches("task_terms_spec.lua", message)
      local late = pool:submit_after(1e9, print)
      local after = late:finally(say, out, "cancelled")
      late:cancel()
      assert.is_nil((after:wait(60000)))
      assert.same({ "done", "failed", "cancelled" }, heard(out, 3))
    end)

    it("fails if its function does", function()
      local _, message = pool:submit(function() return 1 end):finally(function() error("no") end):wait(60000)
      assert.matches("no", message)
    end)

    it("runs in a pool that shuts down", function()
      local first = pool:submit(hold, gate)
      local task = pool:submit(print)
      local after = task:finally(say, out, "told")
      task:cancel()
      gate:enqueue(1)
      assert.is_true(pool:shutdown(60000))
      assert.is_true((first:wait()))
      assert.is_nil((after:wait()))
      assert.same({ "told" }, heard(out, 1))
    end)
  end)

  describe("with a timeout", function()
    it("that waits in the queue ends without a worker", function()
      pool:submit(hold, gate)
      local task = pool:submit { body = print, timeout = 5 }
      local ok, message, code, ms = task:wait(60000)
      assert.same({ nil, "TIMEOUT", 5 }, { ok, code, ms })
      assert.equal("the task ran out of its time, 5 ms, before it began", message)
      assert.equal("cancelled", task:status())
      gate:enqueue(1)
      assert.same({ 2, 1, 0, 1 }, counted())
    end)

    it("that waits in a worker ends, and the worker lives on", function()
      local task = pool:submit { body = forever, timeout = 5 }
      local _, message, code = task:wait(60000)
      assert.equal("TIMEOUT", code)
      assert.matches("^the task ran out of its time, 5 ms", message)
      assert.same({ true, 1 }, { pool:submit(function() return 1 end):wait(60000) })
      assert.equal(0, pool:stats().dead)
    end)

    it("has not completed if its function returns too late", function()
      local task = pool:submit({ body = function(port) port:dequeue() return 1 end, timeout = 5 }, gate)
      assert.equal("TIMEOUT", (select(3, task:wait(60000))))
      assert.same({ 1, 0, 0, 1 }, counted())
    end)

    it("that is kept ends as ever, and leaves no timer", function()
      for i = 1, 100 do
        assert.same({ true, i }, { pool:submit({ body = function(n) return n end, timeout = 1e9 }, i):wait(60000) })
      end
      assert.same({ 100, 100, 0, 0 }, counted())
    end)

    it("that never looks ends with its worker, hard", function()
      local function loops() while true do tostring({}) end end
      local task = pool:submit { body = loops, timeout = 5, hard = true, jit = false }
      local ok, message, code = task:wait(60000)
      assert.same({ nil, "TIMEOUT" }, { ok, code })
      assert.matches("the thread was cancelled", message)
      assert.same({ true, 1 }, { pool:submit(function() return 1 end):wait(60000) })
      assert.equal(1, pool:stats().dead)
    end)

    if rawget(_G, "jit") and jit.status() then -- luacheck: ignore
      it("says of a loop that LuaJIT has compiled what can be done", function()
        local task = pool:submit { body = function()
          local x = 0
          for _ = 1, 1.5e9 do -- about a second, in which nothing looks
            x = x + 1
          end
          return x
        end, timeout = 20, hard = true }
        local message
        assert.is_true(support.eventually(function()
          message = select(2, task:wait(20))
          return message:find("jit = false", 1, true) or task:status() == "cancelled"
        end))
        local _, _, code, ms = task:wait(60000)
        assert.same({ "TIMEOUT", 20 }, { code, ms })
      end)
    end

    it("in a fiber ends the wait for it", function()
      local code = iocp.run(function()
        return (select(3, pool:submit({ body = forever, timeout = 5 }):wait()))
      end)
      assert.equal("TIMEOUT", code)
    end)

    it("that waits for others ends too, and who runs after it is told", function()
      local task = pool:task { body = print, timeout = 5 }
      local after = task:then_(print)
      local never = pool:submit_after(1e9, print)
      task:after(never):submit()
      assert.equal("TIMEOUT", (select(3, task:wait(60000))))
      local _, message, code = after:wait(60000)
      assert.equal("CANCELLED", code)
      assert.matches("ran out of its time", message)
    end)

    it("a loop over the pool ends in time", function()
      local ok, message, code = pool:map({ 1, 2 }, forever, { timeout = 5 })
      assert.same({ nil, "the loop ran out of its time", "TIMEOUT" }, { ok, message, code })
      assert.equal(0, pool:stats().active)
      ok, message = pcall((pool:imap({ 1, 2 }, forever, { timeout = 5 })))
      assert.same({ false, "imap: the loop ran out of its time" }, { ok, message })
      assert.is_false((pcall(pool.map, pool, { 1 }, { body = print, timeout = 5 })))
    end)
  end)

  describe("with retries", function()
    local function third(port, need)
      tries = (tries or 0) + 1 -- luacheck: ignore
      port:send(tries) -- luacheck: ignore
      if tries < need then error("try " .. tries) end -- luacheck: ignore
      return tries -- luacheck: ignore
    end

    it("runs again until it completes, and counts once", function()
      local task = pool:submit({ body = third, retries = 5, backoff = 1 }, out, 3)
      assert.same({ true, 3 }, { task:wait(60000) })
      assert.same({ 1, 2, 3 }, heard(out, 3))
      assert.same({ 1, 1, 0, 0 }, counted())
      assert.is_nil(pool:last_error())
    end)

    it("fails with the last error when they are used up", function()
      local _, message, code = pool:submit({ body = third, retries = 2 }, out, 9):wait(60000)
      assert.equal("ERROR", code)
      assert.matches("try 3", message)
      assert.same({ 1, 0, 1, 0 }, counted())
    end)

    it("can be cancelled while it waits for its next time, which twice as long lies between", function()
      local task = pool:submit({ body = third, retries = 5, backoff = 1e9 }, out, 9)
      heard(out, 1)
      assert.is_true(support.eventually(function() return pool:stats().delayed == 1 end))
      assert.equal("scheduled", task:status())
      assert.is_true(task:cancel())
      assert.equal("CANCELLED", (select(3, task:wait(60000))))
      assert.same({ 1, 0, 0, 1 }, counted())
    end)

    it("is finished by shutdown, and cancelled by close", function()
      local task = pool:submit({ body = third, retries = 5, backoff = 1 }, out, 3)
      assert.is_true(pool:shutdown(60000))
      assert.same({ true, 3 }, { task:wait() })
      local other = iocp.Pool(1)
      local delayed = other:submit({ body = third, retries = 5, backoff = 1e9 }, out, 9)
      heard(out, 4)
      assert.is_true(support.eventually(function() return other:stats().delayed == 1 end))
      other:close()
      assert.equal("CANCELLED", (select(3, delayed:wait(60000))))
    end)

    it("of an item of imap", function()
      local got = { pool:imap({ 3 }, { body = function(need)
        tries = (tries or 0) + 1 -- luacheck: ignore
        assert(tries >= need) -- luacheck: ignore
        return tries -- luacheck: ignore
      end, retries = 5 })() }
      assert.same({ 1, 3 }, got)
    end)
  end)

  describe("with a priority", function()
    it("high overtakes what is queued, low gives way to it", function()
      pool:submit(hold, gate)
      assert.is_true(support.eventually(function() return pool:stats().active == 1 end))
      pool:submit({ body = say, priority = "low" }, out, "low 1")
      pool:submit({ body = say, priority = "low" }, out, "low 2")
      pool:submit(say, out, "normal 1")
      pool:submit({ body = say, priority = "normal" }, out, "normal 2")
      pool:submit({ body = say, priority = "high" }, out, "high 1")
      pool:submit({ body = say, priority = "high" }, out, "high 2")
      gate:enqueue(1)
      assert.same({ "high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2" }, heard(out, 6))
      assert.same({ 7, 7, 0, 0 }, counted())
    end)

    it("low is not starved by those that go on coming, nor normal by high ones", function()
      -- Each queues its like before it ends, so that there always is one.
      local function again(port, priority)
        if port:native() then
          require("iocp").Pool.current():post({ body = again, priority = priority }, port, priority)
        end
      end
      for _, pair in ipairs { { "normal", "low" }, { "high", "normal" }, { "high", "low" } } do
        local alive = iocp.IOCompletionPort()
        for _ = 1, 3 do
          pool:post({ body = again, priority = pair[1] }, alive, pair[1])
        end
        local task = pool:submit({ body = function() return "ran" end, priority = pair[2] })
        assert.same({ true, "ran" }, { task:wait(60000) })
        alive:close()
        assert.is_true(support.eventually(function() return pool:idle() end))
      end
    end)

    it("is cancelled, waited for in place and dropped with its pool as any", function()
      support.occupy(pool, gate)
      local tasks = {}
      for i, priority in ipairs { "high", "low", "high", "low" } do
        tasks[i] = pool:submit({ body = print, priority = priority })
      end
      tasks[1]:cancel()
      tasks[2]:cancel()
      pool:close()
      for i = 1, 4 do
        assert.equal("CANCELLED", (select(3, tasks[i]:wait(60000))))
      end
      gate:enqueue(1)
      assert.same({ 5, 1, 0, 4 }, counted())
      local one = iocp.Pool(1)
      assert.same({ true, 3 }, { one:submit(function()
        local own = require("iocp").Pool.current()
        local _, a = own:submit({ body = function() return 1 end, priority = "low" }):wait()
        local _, b = own:submit({ body = function() return 2 end, priority = "high" }):wait()
        return a + b
      end):wait(60000) })
      assert.is_true(one:shutdown(60000))
    end)
  end)

  it("says what is wrong with its terms", function()
    for _, wrong in ipairs { { timeout = 0 }, { timeout = "1" }, { retries = -1 }, { retries = 1.5 },
      { backoff = 1 }, { hard = true }, { priority = "urgent" }, { jit = 1 }, { retries = 1, backoff = -1 } } do
      wrong.body = print
      local ok, message = pcall(pool.submit, pool, wrong)
      assert.is_false(ok)
      assert.matches("bad argument 'f' to 'submit' %(", message)
    end
  end)
end)

describe("a scope", function()
  local pool
  before_each(function()
    pool = iocp.Pool(2)
  end)
  after_each(function()
    pool:close()
  end)

  it("waits for all that it submitted, and gives what its function returned", function()
    local tasks = {}
    assert.same({ "done", nil, 3 }, { pool:scope(function(scope)
      for i = 1, 50 do
        tasks[i] = scope:submit(function(n) return n end, i)
      end
      return "done", nil, 3
    end) })
    for i = 1, 50 do
      assert.same({ true, i }, { tasks[i]:result() })
    end
  end)

  it("is cancelled by the first that fails, whose error it raises when nothing runs", function()
    local ok, value = pcall(pool.scope, pool, function(scope)
      scope:submit(forever)
      scope:submit(function() error({ code = 5 }) end)
      scope:submit(forever)
    end)
    assert.same({ false, { code = 5 } }, { ok, value })
    assert.is_true(pool:idle())
    assert.equal(1, pool:stats().failed)
  end)

  it("is cancelled by an error of its function's, and raises it", function()
    local ok, value = pcall(pool.scope, pool, function(scope)
      scope:submit(forever)
      error("mine", 0)
    end)
    assert.same({ false, "mine" }, { ok, value })
    assert.is_true(pool:idle())
  end)

  it("may cancel itself, and says so", function()
    local ok, message = pcall(pool.scope, pool, function(scope)
      scope:submit(forever)
      assert.is_true(scope:cancel())
    end)
    assert.is_false(ok)
    assert.matches("^scope: .*cancelled", message)
  end)

  it("lets other fibers run, and works in a worker", function()
    local gate = iocp.IOCompletionPort()
    assert.equal("done", iocp.run(function()
      iocp.spawn(function() gate:enqueue(1) end)
      return (pool:scope(function(scope)
        scope:submit(hold, gate)
        return "done"
      end))
    end))
    local one = iocp.Pool(1)
    assert.same({ true, 6 }, { one:submit(function()
      local own, tasks = require("iocp").Pool.current(), {}
      own:scope(function(scope)
        for i = 1, 3 do
          tasks[i] = scope:submit(function(n) return n end, i)
        end
      end)
      local sum = 0
      for i = 1, 3 do
        sum = sum + select(2, tasks[i]:result())
      end
      return sum
    end):wait(60000) })
    one:close()
  end)
end)
