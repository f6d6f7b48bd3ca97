-- The worker pool, as the second article has it, and its ends: each row of the article and of the pool's own list.
local iocp = require "iocp"
local support = require "support"

local unpack = table.unpack or unpack -- luacheck: ignore

local function finish(pool)
  assert.is_true(pool:shutdown(60000))
end

describe("a pool", function()
  local pool
  after_each(function()
    if pool then
      pool:close()
    end
    pool = nil
  end)

  describe("takes work:", function()
    it("functions, with arguments and results of any kind", function()
      pool = iocp.Pool(2)
      assert.same({ true, 3 }, { pool:submit(function(a, b) return a + b end, 1, 2):wait() })
      assert.same({ true }, { pool:submit(function() end):wait() })
      assert.same({ 4, true, nil, 2, nil },
        { select("#", pool:submit(function(...) return ... end, nil, 2, nil):wait()), true, nil, 2, nil })
      assert.same({ true, { a = { 1, 2 } } }, { pool:submit(function(t) return t end, { a = { 1, 2 } }):wait() })
    end)

    it("with values of any length: what is short lies in the task itself", function()
      pool = iocp.Pool(1)
      local function same(...)
        return ...
      end
      for length = 0, 80 do
        local text = ("x"):rep(length)
        assert.same({ true, text }, { pool:submit(same, text):wait() })
        assert.same({ true, 1, text, false }, { pool:submit(same, 1, text, false):wait() })
        assert.same({ true, { text } }, { pool:submit(same, { text }):wait() })
      end
      for _, number in ipairs { 0, 1, 127, 128, -1, 2 ^ 31, -2 ^ 31 - 1, 2 ^ 53, 0.5, -1e300, 1 / 0, -1 / 0 } do
        for count = 1, 20 do
          local numbers = {}
          for i = 1, count do
            numbers[i] = number
          end
          assert.same({ true, unpack(numbers) }, { pool:submit(same, unpack(numbers)):wait() })
        end
      end
      local _, zero, none = pool:submit(same, -1 / math.huge, 0 / 0):wait()
      assert.is_true(1 / zero < 0 and none ~= none)
      local port = iocp.IOCompletionPort()
      assert.same({ true, 1, port, "x" }, { pool:submit(same, 1, port, "x"):wait() })
      local first = pool:submit(same, "short")
      assert.same({ true, "short", 2 }, { first:then_(same, 2):wait() })
      assert.same({ true, "short" }, { first:wait() })
      local seen = iocp.IOCompletionPort()
      local every = pool:submit_every(1, function(to, n) to:send(n) end, seen, 7)
      assert.same({ true, 7 }, { seen:receive() })
      assert.same({ true, 7 }, { seen:receive() })
      every:cancel()
    end)

    it("chunks, and functions of modules by name", function()
      pool = iocp.Pool(2)
      assert.same({ true, 5 }, { pool:submit("local a, b = ... return a + b", 2, 3):wait() })
      assert.same({ true, "b" }, { pool:submit("string:lower", "B"):wait() })
      local ok, message = pcall(pool.submit, pool, "return return")
      assert.is_false(ok)
      assert.matches("bad argument 'f' .*return", message)
      local failed, text, code = pool:submit("no.such.module:f"):wait()
      assert.is_nil(failed)
      assert.matches("no.such.module", text, 1, true)
      assert.equal("ERROR", code)
    end)

    it("tables with a name and options", function()
      pool = iocp.Pool { workers = 1, init = function() return { n = 40 } end }
      local add = { body = function(state, n) state.n = state.n + n return state.n end, name = "add", worker = true }
      local task = pool:submit(add, 2)
      assert.equal("add", task:name())
      assert.same({ true, 42 }, { task:wait() })
      assert.same({ true, 43 }, { pool:submit({ body = "local s, n = ... return s.n + n", worker = true }, 1):wait() })
      assert.same({ true, "x" }, { pool:submit({ body = "string:lower" }, "X"):wait() })
      assert.has_error(function() pool:submit { body = 1 } end,
        "bad argument 'f' to 'submit' (body: expected a function or a string, got 1)")
      assert.has_error(function() pool:submit { bodi = "" } end,
        "bad argument 'f' to 'submit' ('bodi' is none of body, name, worker, timeout, hard, retries, backoff, "
          .. "priority, jit)")
    end)

    it("nothing else", function()
      pool = iocp.Pool(1)
      for _, wrong in ipairs { 1, true, io.stdout } do
        local ok, message = pcall(pool.submit, pool, wrong)
        assert.is_false(ok)
        assert.matches("bad argument", message)
      end
      assert.is_false((pcall(pool.submit, pool)))
      local ok, message = pcall(pool.submit, pool, function() end, 1, { io.stdout })
      assert.is_false(ok)
      assert.matches("cannot send arg 2[1]: userdata (FILE*)", message, 1, true)
      assert.equal(0, pool:stats().submitted)
    end)

    it("that is posted, without a task", function()
      local done = iocp.IOCompletionPort()
      pool = iocp.Pool { workers = 1, init = function() return { n = 40 } end }
      local function answer(port, ...)
        port:send(select("#", ...), ...)
      end
      assert.same({ true }, { pool:post(answer, done, nil, "x", nil) })
      assert.same({ true, 3, nil, "x", nil }, { done:receive() })
      assert.is_true(pool:post({ body = function(state, port) port:send(state.n) end, worker = true }, done))
      assert.same({ true, 40 }, { done:receive() })
      assert.is_true(pool:post("local port = ... port:enqueue(7)", done))
      assert.equal(7, (done:dequeue()))
      assert.is_true(pool:post("string:lower", "B"))
      assert.is_true(pool:post(function() return io.stdout end)) -- what does not cross need not
      assert.is_true(support.eventually(function() return pool:idle() end))
      local stats = pool:stats()
      assert.same({ 5, 5, 0, 0 }, { stats.submitted, stats.completed, stats.failed, stats.cancelled })
      assert.has_error(function() pool:post(print, io.stdout) end)
      assert.has_error(function() pool:post() end)
      assert.equal(5, pool:stats().submitted)
      pool:close()
      assert.same({ nil, "the pool is closed", "CLOSED" }, { pool:post(print) })
    end)

    it("in the order of submission", function()
      pool = iocp.Pool(1)
      local log = iocp.IOCompletionPort()
      for i = 1, 500 do
        pool:submit(function(port, n) port:enqueue(n) end, log, i)
      end
      for i = 1, 500 do
        assert.equal(i, (log:dequeue(20000)))
      end
    end)

    it("a function that holds upvalues, as they are when it is submitted", function()
      pool = iocp.Pool(2)
      local factor, list = 2, { 1 }
      local function f(x) return x * factor + #list end
      assert.same({ true, 21 }, { pool:submit(f, 10):wait() })
      factor = 3
      assert.same({ true, 31 }, { pool:submit(f, 10):wait() })
      list[2] = 1
      assert.same({ true, 32 }, { pool:submit(f, 10):wait() })
    end)

    it("a function once a worker, however many tasks", function()
      pool = iocp.Pool(1)
      local count = 0
      local function f() count = count + 1 return count end -- the worker's copy keeps its own
      for _ = 1, 10 do
        pool:submit(f)
      end
      assert.same({ true, 11 }, { pool:submit(f):wait() })
      for i = 1, 10 do -- with a name it is another
        assert.same({ true, i }, { pool:submit({ body = f, name = "f" }):wait() })
      end
      assert.equal(0, count)
    end)

    it("functions in turn, each of them the right one", function()
      pool = iocp.Pool(1)
      local step = 1
      local function one(n) return n + 1 end
      local function two(n) return n + 2 end
      local function more(n) return n + step end
      for i = 1, 50 do
        step = i
        assert.same({ true, i + 1 }, { pool:submit(one, i):wait() })
        assert.same({ true, i + 1 }, { pool:submit(one, i):wait() })
        assert.same({ true, 2 * i }, { pool:submit(more, i):wait() })
        assert.same({ true, i + 2 }, { pool:submit(two, i):wait() })
        assert.same({ true, i + 1, i + 3 }, { pool:submit(one, i):then_(function(a, b) return a, b end, i + 3):wait() })
        assert.same({ true, 3 * i }, { pool:submit("local n, i = ... return n + i", 2 * i, i):wait() })
      end
    end)

    it("thousands of different functions, without keeping them", function()
      pool = iocp.Pool(1)
      for i = 1, 3000 do
        local task = pool:submit(function() return i end)
        if i % 500 == 0 then
          assert.same({ true, i }, { task:wait() })
        end
        pool:submit("return " .. i)
      end
      assert.same({ true, 7 }, { pool:submit("return 7"):wait() })
    end)
  end)

  describe("has workers:", function()
    it("as many as asked for; none too many; as many as there are processors", function()
      for _, n in ipairs { 1, 3 } do
        pool = iocp.Pool(n)
        assert.equal(n, pool:workers())
        assert.equal(n, pool:stats().live)
        finish(pool)
        assert.equal(0, pool:stats().live)
      end
      pool = iocp.Pool()
      assert.equal(iocp.processors(), pool:workers())
    end)

    it("that grow by being started, and shrink behind what is queued", function()
      pool = iocp.Pool(1)
      local gate, log = iocp.IOCompletionPort(), iocp.IOCompletionPort()
      support.occupy(pool, gate)
      for i = 1, 20 do
        pool:submit(function(port, n) port:enqueue(n) end, log, i)
      end
      assert.equal(0, pool:workers(0))
      assert.equal(1, pool:stats().live)
      gate:enqueue(1)
      for i = 1, 20 do
        assert.equal(i, (log:dequeue(20000)))
      end
      assert.is_true(support.eventually(function() return pool:stats().live == 0 end))
      local task = pool:submit(function() return 1 end)
      assert.same({ nil, "the task has not ended in time", "TIMEOUT" }, { task:wait(30) })
      assert.equal(4, pool:workers(4))
      assert.same({ true, 1 }, { task:wait() })
      assert.equal(4, pool:stats().live)
      pool:workers(2)
      assert.is_true(support.eventually(function() return pool:stats().live == 2 end))
      assert.equal(0, pool:stats().dead)
    end)

    it("of which those that were to leave stay if more are wanted again", function()
      pool = iocp.Pool(2)
      local gate = iocp.IOCompletionPort()
      local first, second = support.occupy(pool, gate), support.occupy(pool, gate)
      for _ = 1, 50 do
        pool:workers(0)
        pool:workers(5)
        pool:workers(1)
        pool:workers(2)
      end
      assert.is_true(pool:stats().live <= 5)
      gate:enqueue_many { 1, 1 }
      first:wait()
      second:wait()
      assert.is_true(support.eventually(function() return pool:stats().live == 2 end))
      for i = 1, 20 do
        assert.same({ true, i }, { pool:submit(function(n) return n end, i):wait() })
      end
      assert.equal(2, pool:stats().live)
    end)

    it("that leave behind what is queued, whatever was wanted between", function()
      pool = iocp.Pool(1)
      local gate = iocp.IOCompletionPort()
      local first, tasks = support.occupy(pool, gate), {}
      pool:workers(0)
      pool:workers(1)
      for i = 1, 5 do
        tasks[i] = pool:submit(function() return i end)
      end
      pool:workers(0)
      gate:enqueue(1)
      first:wait()
      for i = 1, 5 do
        assert.same({ true, i }, { tasks[i]:wait(20000) })
      end
      assert.is_true(support.eventually(function() return pool:stats().live == 0 end))
    end)

    it("none of which the script wants, and the last of which is cancelled: more may come", function()
      pool = iocp.Pool(1)
      local task = pool:submit(function()
        if jit then jit.off(true, true) end -- luacheck: ignore
        while true do tostring({}) end
      end)
      assert.is_true(support.eventually(function() return task:status() == "running" end))
      local queued = pool:submit(function() return 1 end)
      pool:workers(0)
      task:cancel("hard")
      assert.is_true(support.eventually(function() return pool:stats().live == 0 end))
      pool:workers(1)
      assert.same({ true, 1 }, { queued:wait(20000) })
    end)

    if not support.windows then
      -- Where each of the pool's workers may run, and its nice value; sorted.
      local function scheduled(options)
        pool = assert(iocp.Pool(options))
        local gate, tasks, seen = iocp.IOCompletionPort(), {}, {}
        for i = 1, options.workers do
          tasks[i] = pool:submit(function(g)
            g:dequeue()
            local function read(name)
              local file = assert(io.open("/proc/thread-self/" .. name))
              local text = file:read("*a")
              file:close()
              return text
            end
            return read("status"):match("Cpus_allowed_list:%s*(%S+)") .. " "
              .. read("stat"):match("%) " .. ("%S+ "):rep(16) .. "(%-?%d+)")
          end, gate)
        end
        assert.is_true(support.eventually(function() return gate:stats().waiting == options.workers end))
        for i = 1, options.workers do
          gate:enqueue(i)
        end
        for i = 1, options.workers do
          seen[i] = select(2, assert(tasks[i]:wait(20000)))
        end
        table.sort(seen)
        return seen
      end

      it("where and how they are to run", function()
        local all, nice = scheduled({ workers = 1 })[1]:match("(%S+) (%S+)")
        local first = all:match("^%d+")
        pool:close()
        assert.same({ first .. " " .. nice, first .. " " .. nice },
          scheduled { workers = 2, affinity = { tonumber(first) } })
        pool:close()
        local lower = math.min(tonumber(nice) + 5, 19)
        assert.same({ all .. " " .. lower }, scheduled { workers = 1, thread_priority = -1 })
        pool:submit(function() require("iocp").current():cancel() end)
        assert.is_true(support.eventually(function() return pool:stats().dead == 1 and pool:stats().live == 1 end))
        assert.same({ true, lower }, { pool:submit(function()
          local file = assert(io.open("/proc/thread-self/stat"))
          local text = file:read("*a")
          file:close()
          return tonumber((text:match("%) " .. ("%S+ "):rep(16) .. "(%-?%d+)")))
        end):wait() }) -- one that a worker started in its own place
      end)

      it("each on a processor of its own, and as few as can be on the same", function()
        local count, processors, n = iocp.processors(), {}, 0
        for _, place in ipairs(scheduled { workers = 2 * count, affinity = "spread" }) do
          local number = place:match("^(%d+) ")
          processors[number] = (processors[number] or 0) + 1
        end
        for _, workers in pairs(processors) do
          n = n + 1
          assert.equal(2, workers)
        end
        assert.equal(count, n)
      end)
    end

    it("on any system, also those that are spread", function()
      for _, affinity in ipairs { "spread", { 0 } } do
        pool = assert(iocp.Pool { workers = 2, affinity = affinity, thread_priority = -1 })
        assert.same({ true, 5 }, { pool:submit(function() return 5 end):wait() })
        assert.equal(3, pool:workers(3))
        finish(pool)
      end
    end)

    it("on no processor that there is not", function()
      local none, message, code = iocp.Pool { workers = 1, affinity = { 0, 1023 } }
      assert.same({ nil, "INVALID" }, { none, code })
      assert.matches("affinity: one of these processors does not exist", message, 1, true)
      pool = assert(iocp.Pool { workers = 0, affinity = { 1023 } })
      none, message, code = pool:workers(1)
      assert.same({ nil, "INVALID" }, { none, code })
      assert.matches("affinity: one of these processors does not exist", message, 1, true)
    end)

    it("with little stack", function()
      pool = iocp.Pool { workers = 1, stack = 2 ^ 18 }
      assert.same({ true, 3 }, { pool:submit(function(a) return #a end, { 1, 2, 3 }):wait() })
    end)

    it("that outlive any error of a task", function()
      pool = iocp.Pool(1)
      for _, value in ipairs { "text", 42, { code = 7 }, false } do
        local results = { pool:submit(function(v) error(v, 0) end, value):wait() }
        assert.is_nil(results[1])
        assert.equal("ERROR", results[3])
        assert.same(value, results[4])
      end
      local ok, message = pool:submit(function() error("deep") end):wait()
      assert.is_nil(ok)
      assert.matches("pool_spec.lua:%d+: deep\nstack traceback:", message)
      assert.same({ true, 1 }, { pool:submit(function() return 1 end):wait() })
      local stats = pool:stats()
      assert.same({ 5, 1, 1, 0 }, { stats.failed, stats.completed, stats.live, stats.dead })
    end)

    it("that leave the error value as it is for those who see it on its way, in init too", function()
      local function look(value)
        return select(2, load(function() error(value, 0) end)) -- luacheck: ignore
      end
      pool = iocp.Pool {
        workers = 1,
        init = function() return select(2, load(function() error({ code = 5 }) end)) end, -- luacheck: ignore
      }
      assert.same({ true, "oops" }, { pool:submit(look, "oops"):wait() })
      assert.same({ true, { code = 5 } }, { pool:submit(look, { code = 5 }):wait() })
      local show = { body = function(state) return state end, worker = true }
      assert.same({ true, { code = 5 } }, { pool:submit(show):wait() })
      local ok, message = pool:submit(function(f) f("oops") error("late") end, look):wait()
      assert.is_nil(ok)
      assert.matches("^[^\n]*late\nstack traceback:", message)
    end)

    -- Where there is no hook, some Luas give the function of the last one.
    local function is_hooked()
      local f, mask = debug.gethook()
      return f ~= nil and mask ~= ""
    end

    it("in which no hook that was left behind goes on: a task's, or that of init or on_error", function()
      local function leave(text, mask)
        debug.sethook(function() error(text, 0) end, mask)
      end
      pool = iocp.Pool {
        workers = 1, init = function() leave("init's", "c") end, on_error = function() leave("on_error's", "c") end,
      }
      assert.same({ true, 1 }, { pool:submit(function() return 1 end):wait() })
      for _, mask in ipairs { "c", "r", "l" } do
        local _, message = pool:submit(function() leave("its hook", mask) error("itself", 0) end):wait()
        assert.is_truthy(message:match("^its hook") or message:match("^itself"), message)
        pool:submit(leave, "a task's hook", mask):wait()
        assert.same({ true, false }, { pool:submit(is_hooked):wait() })
        _, message = pool:submit(function() error("next", 0) end):wait()
        assert.matches("^next\n", message)
      end
    end)

    it("whose hooks are theirs alone, when one runs in another's place", function()
      pool = iocp.Pool(1)
      local function outer(p, hooked, leaves)
        local calls = 0
        debug.sethook(function() calls = calls + 1 end, "c")
        local inner = p:submit(function()
          local hook = hooked()
          if leaves then
            debug.sethook(function() error("the inner's") end, "c")
          end
          return hook
        end)
        local before, _, hook = calls, inner:wait()
        before = calls - before
        local after = hooked()
        debug.sethook()
        return hook, before > 0 and before < 5, after
      end
      assert.same({ true, false, true, true }, { pool:submit(outer, pool, is_hooked, false):wait() })
      assert.same({ true, false, true, false }, { pool:submit(outer, pool, is_hooked, true):wait() })
    end)

    it("that outlive results which cannot cross, and errors in __tostring", function()
      pool = iocp.Pool(1)
      local ok, message = pool:submit(function() return 1, io.stdout end):wait()
      assert.is_nil(ok)
      assert.matches("cannot send result 2: userdata (FILE*)", message, 1, true)
      ok = pool:submit(function() error(setmetatable({}, { __tostring = function() error("worse") end })) end):wait()
      assert.is_nil(ok)
      ok = pool:submit(function() error(io.stdout) end):wait()
      assert.is_nil(ok)
      assert.same({ true, 1 }, { pool:submit(function() return 1 end):wait() })
    end)

    it("each with a state of its own, that init prepares", function()
      local log = iocp.IOCompletionPort()
      pool = iocp.Pool { workers = 3, concurrency = 100, init = function()
        log:enqueue(1)
        shared = { "made by init" } -- luacheck: ignore
        return shared -- luacheck: ignore
      end }
      for _ = 1, 3 do
        assert.equal(1, (log:dequeue(20000)))
      end
      assert.is_nil((log:dequeue(0)))
      local work = { body = function(state) return state[1] end, worker = true }
      assert.same({ true, "made by init" }, { pool:submit(work):wait() })
      assert.same({ true, true }, { pool:submit({
        body = function(state) return state == shared end, worker = true }):wait() }) -- luacheck: ignore
    end)

    it("that know who they are", function()
      pool = iocp.Pool { workers = 2, name = "cooks" }
      assert.is_nil(iocp.Pool.current())
      local ok, name, worker, thread = pool:submit(function()
        local own, number = require("iocp").Pool.current()
        return own:name(), number, require("iocp").current():name()
      end):wait()
      assert.is_true(ok, name)
      assert.equal("cooks", name)
      assert.is_true(worker == 1 or worker == 2)
      assert.equal("cooks", thread)
    end)

    it("that die if init fails; with the last one the pool ends and says why", function()
      pool = iocp.Pool { workers = 2, init = function() error("no database") end }
      local task, _, code = pool:submit(function() end)
      if task then
        _, _, code = task:wait()
        assert.equal("CANCELLED", code)
      else
        assert.equal("CLOSED", code)
      end
      assert.is_true(support.eventually(function() return pool:stats().live == 0 end))
      assert.matches("worker %d died: .*no database\nstack traceback:", pool:last_error())
      assert.equal(2, pool:stats().dead)
      local refused, message
      refused, message, code = pool:submit(function() end)
      assert.is_nil(refused)
      assert.matches("it has no workers left", message)
      assert.equal("CLOSED", code)
    end)

    it("that die of any error value of init, told as a task's would be", function()
      for text, value in pairs {
        ["%(error object is a table value%)"] = {}, ["mine"] = { text = "mine" }, ["42"] = 42,
        [support.no_error == "nil" and "%(error object is a nil value%)" or support.no_error] = false,
      } do
        local function init()
          if type(value) == "table" and value.text then
            setmetatable(value, { __tostring = function(v) return v.text end })
          end
          error(value or nil, 0)
        end
        local log = iocp.IOCompletionPort()
        local p = iocp.Pool { workers = 1, init = init, on_error = function(message) log:send(message) end }
        local _, message = log:receive(20000)
        local trace = text == support.no_error and "" or "\nstack traceback:" -- Lua 5.5 makes its text afterwards
        assert.matches("^" .. text .. trace, message)
        assert.is_true(support.eventually(function() return p:stats().live == 0 end))
        assert.matches("worker 1 died: " .. text .. trace, p:last_error())
        p:close()
      end
    end)

    it("of which no more are started once init has failed in one: who would wait for them is told", function()
      local flag = iocp.IOCompletionPort()
      flag:enqueue(1)
      pool = iocp.Pool { workers = 1, init = function() assert(flag:dequeue(0)) end }
      assert.same({ true, 1 }, { pool:submit(function() return 1 end):wait() })
      local ok, result, message = pool:submit(function(p)
        return p:submit_after(1e7, function() end):wait()
      end, pool):wait(20000)
      assert.is_true(ok, result)
      assert.is_nil(result)
      -- The one that was started fails before or after the worker waits; after it the pool is closed.
      assert.is_true((message:find("none can be started") or message:find("no workers left")) ~= nil, message)
      assert.is_true(support.eventually(function() return pool:stats().live == 0 or not pool:stats().closed end))
      assert.is_true(pool:stats().dead <= 2)
    end)

    it("whose init waits for no task of its own pool", function()
      local log = iocp.IOCompletionPort()
      pool = iocp.Pool { workers = 1, init = function()
        local own = require("iocp").Pool.current()
        local task = own:submit(function() end)
        log:send(select(2, task:wait()), (select(3, task:wait(10))), (select(2, own:map({ 1 }, function() end))))
      end }
      local ok, message, code, loop = log:receive(20000)
      assert.is_true(ok)
      assert.matches("init cannot wait", message)
      assert.equal("INVALID", code)
      assert.matches("init cannot run loops", loop)
      assert.same({ true, 1 }, { pool:submit(function() return 1 end):wait() })
    end)

    it("that are replaced when they were cancelled, or not", function()
      for _, replace in ipairs { true, false } do
        pool = iocp.Pool { workers = 2, replace = replace }
        local task = pool:submit(function() require("iocp").current():cancel() end)
        task:wait()
        assert.is_true(support.eventually(function() return pool:stats().dead == 1 end))
        assert.is_true(support.eventually(function() return pool:stats().live == (replace and 2 or 1) end))
        assert.same({ true, 1 }, { pool:submit(function() return 1 end):wait() })
        assert.matches("worker %d died: its thread was cancelled", pool:last_error())
        finish(pool)
      end
    end)

    it("no more of which run at a time than the pool's concurrency", function()
      pool = iocp.Pool { workers = 4, concurrency = 2 }
      for _ = 1, 200 do
        pool:submit(function() for _ = 1, 20000 do end end)
      end
      finish(pool)
      assert.is_true(pool:stats().peak_active <= 3) -- one may be noticed as blocked, and go on
    end)
  end)

  describe("ends:", function()
    it("by shutdown, which finishes what is there", function()
      pool = iocp.Pool(3)
      local tasks = {}
      for i = 1, 1000 do
        tasks[i] = pool:submit(function(n) return n end, i)
      end
      local late = pool:submit_after(50, function() return "late" end)
      finish(pool)
      for i = 1, 1000 do
        assert.same({ true, i }, { tasks[i]:result() })
      end
      assert.same({ true, "late" }, { late:result() })
      assert.same({ nil, "the pool is closed", "CLOSED" }, { pool:submit(function() end) })
      assert.same({ nil, "the pool is closed", "CLOSED" }, { pool:workers(3) })
      finish(pool)
    end)

    it("by shutdown, with what was posted, from within too; close drops it", function()
      local done = iocp.IOCompletionPort()
      pool = iocp.Pool(2)
      for _ = 1, 100 do
        pool:post(function(p, port)
          p:post(function(inner) inner:enqueue(1) end, port)
        end, pool, done)
      end
      finish(pool)
      assert.equal(100, #done)
      assert.equal(200, pool:stats().completed)
      pool = iocp.Pool(0)
      for _ = 1, 10 do
        pool:post(function(port) port:enqueue(1) end, done)
      end
      pool:close()
      assert.equal(10, pool:stats().cancelled)
      assert.equal(100, #done)
    end)

    it("by shutdown with a time, which goes on", function()
      pool = iocp.Pool(1)
      local gate = iocp.IOCompletionPort()
      local task = support.occupy(pool, gate)
      local _, _, code = pool:shutdown(20)
      assert.equal("TIMEOUT", code)
      assert.is_true(pool:stats().closed)
      _, _, code = pool:submit(function() end)
      assert.equal("CLOSED", code)
      gate:enqueue(1)
      finish(pool)
      assert.equal("completed", task:status())
    end)

    it("by shutdown, while tasks submit others", function()
      pool = iocp.Pool(2)
      local log = iocp.IOCompletionPort()
      pool:submit(function(port)
        local own = require("iocp").Pool.current()
        local function again(n, p)
          p:enqueue(n)
          if n > 1 then
            assert(require("iocp").Pool.current():submit(again, n - 1, p))
          end
        end
        require("iocp").sleep(30)
        assert(own:submit(again, 20, port))
      end, log)
      finish(pool)
      assert.equal(20, log:stats().queued)
    end)

    it("by close: what is queued is cancelled, what runs ends", function()
      pool = iocp.Pool(1)
      local gate = iocp.IOCompletionPort()
      local running, tasks = support.occupy(pool, gate), {}
      for i = 1, 100 do
        tasks[i] = pool:submit(function() end)
      end
      local delayed, after = pool:submit_after(1e7, function() end), pool:task(function() end):after(running):submit()
      pool:close()
      for i = 1, 100 do
        assert.same({ nil, "the task was cancelled: its pool was closed", "CANCELLED" }, { tasks[i]:wait() })
      end
      assert.equal("cancelled", delayed:status())
      assert.equal("cancelled", after:status())
      assert.equal("running", running:status())
      gate:enqueue(1)
      assert.same({ true }, { running:wait() })
      finish(pool)
      assert.equal(102, pool:stats().cancelled)
    end)

    it("not by a worker that waits for it", function()
      pool = iocp.Pool(1)
      local ok, message = pool:submit(function() return require("iocp").Pool.current():shutdown() end):wait()
      assert.is_nil(ok)
      assert.matches("a worker cannot wait for the end of its own pool", message, 1, true)
      assert.same({ true, true }, { pool:submit(function() return require("iocp").Pool.current():close() end):wait() })
      finish(pool)
    end)

    it("by being collected: what is there is finished, the workers end", function()
      local log, dropped = iocp.IOCompletionPort(), iocp.Pool(2)
      for i = 1, 100 do
        dropped:submit(function(port, n) port:enqueue(n) end, log, i)
      end
      local last = dropped:submit(function() return iocp.current() end)
      dropped = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      local ok, thread = last:wait(20000)
      assert.is_true(ok, thread)
      assert.is_true(support.eventually(function() return log:stats().queued == 100 end))
      thread:join(20000)
      assert.equal("finished", thread:status())
    end)

    it("by being collected, also when its workers are on their way out", function()
      local log, dropped = iocp.IOCompletionPort(), iocp.Pool(1)
      for i = 1, 20 do
        dropped:submit(function(port, n) port:enqueue(n) end, log, i)
      end
      dropped:workers(0)
      local last = dropped:submit(function() end) -- behind the quit packet
      dropped = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      local _, _, code = last:wait(20000)
      assert.is_true(code == nil or code == "CANCELLED", code)
      assert.equal(20, log:stats().queued)
    end)

    for how, ending in pairs {
      ["its end"] = "", ["os.exit"] = "os.exit(0)", ["os.exit, closing the state"] = "os.exit(0, true)",
      ["an error"] = "error('x')",
    } do
      it("with the script: " .. how, function()
        local code = support.child([[
          local iocp = require "iocp"
          local pool = iocp.Pool(3)
          for i = 1, 1000 do pool:submit(function() local x = 0 for i = 1, 1e5 do x = x + i end return x end) end
          pool:submit_after(1e6, function() end)
          pool:submit_every(1, function() end)
          pool:submit(function() while true do end end)
          waiting = pool:submit(function(p) return p:submit_after(1e6, function() end):wait() end, pool)
        ]] .. ending, nil, nil, true)
        assert.equal(how == "an error" and 1 or 0, code)
      end)
    end
  end)

  describe("lets failures be known:", function()
    local function fail() error("it broke") end

    it("kept by the task and the pool", function()
      pool = iocp.Pool { workers = 1, on_error = "keep" }
      assert.is_nil(pool:last_error())
      pool:submit(fail):wait()
      assert.matches("pool_spec.lua:%d+: it broke\nstack traceback:", pool:last_error())
    end)

    it("logged, with task and worker", function()
      local log = iocp.IOCompletionPort()
      pool = iocp.Pool { workers = 1, name = "p", on_error = "log", logger = function(text) log:send(text) end }
      pool:submit({ body = fail, name = "the job" }):wait()
      local ok, text = log:receive(20000)
      assert.is_true(ok)
      assert.matches("^p: the job failed in worker 1: .*pool_spec.lua:%d+: it broke\nstack traceback:", text)
      local code, output = support.child([[
        local pool = require("iocp").Pool { workers = 1, name = "q", on_error = "log" }
        pool:submit({ body = function() error("to stderr") end, name = "x" }):wait()
      ]])
      assert.equal(0, code)
      assert.matches("q: x failed in worker 1: .*to stderr", output)
    end)

    it("to a function in the worker, whose own errors do no harm", function()
      local log = iocp.IOCompletionPort()
      pool = iocp.Pool { workers = 1, name = "p", on_error = function(message, about) log:send(message, about) end }
      pool:submit({ body = fail, name = "job" }):wait()
      local ok, message, about = log:receive(20000)
      assert.is_true(ok)
      assert.matches("it broke", message)
      assert.same({ pool = "p", task = "job", worker = 1 }, about)
      local code, output = support.child([[
        local pool = require("iocp").Pool { workers = 1, name = "r",
          on_error = function() error("the handler too") end }
        pool:submit(function() error("it broke") end):wait()
        assert(pool:submit(function() return 1 end):wait())
      ]])
      assert.equal(0, code, output)
      assert.matches("r: on_error failed: .*the handler too; it was to report: .*it broke", output)
    end)

    it("of what was posted as of any other", function()
      local log = iocp.IOCompletionPort()
      pool = iocp.Pool { workers = 1, name = "p", on_error = function(message, about) log:send(message, about) end }
      pool:post({ body = fail, name = "posted" })
      local _, message, about = assert(log:receive(20000))
      assert.matches("it broke", message)
      assert.same({ pool = "p", task = "posted", worker = 1 }, about)
      assert.matches("it broke", pool:last_error())
      finish(pool)
      assert.equal(1, pool:stats().failed)
      pool = iocp.Pool { workers = 1, on_error = "raise" }
      pool:post(fail)
      assert.is_true(support.eventually(function() return pool:idle() end))
      local ok, text = pcall(pool.post, pool, fail)
      assert.is_false(ok)
      assert.matches("it broke\nstack traceback:", text)
    end)

    it("raised in the owner, at the next call, once", function()
      pool = iocp.Pool { workers = 1, on_error = "raise" }
      pool:submit(fail):wait()
      local ok, message = pcall(pool.submit, pool, function() end)
      assert.is_false(ok)
      assert.matches("it broke\nstack traceback:", message)
      assert.same({ true, 1 }, { pool:submit(function() return 1 end):wait() })
      pool:submit(function(p) for _ = 1, 6 do p:submit(function() error("inner") end) end end, pool):wait()
      assert.is_true(support.eventually(function() return pool:idle() end))
      ok, message = pcall(pool.stats, pool)
      assert.is_false(ok)
      assert.matches("^6 tasks failed, the last one: .*inner", message)
      assert.equal(7, pool:stats().failed)
      assert.is_false((pcall(pool.map, pool, { 1 }, function() error("told once") end)))
      assert.equal(8, pool:stats().failed)
      pool:submit(fail)
      ok, message = pcall(pool.shutdown, pool)
      assert.is_false(ok)
      assert.matches("it broke", message)
    end)
  end)

  describe("has a queue", function()
    it("with a limit: submit waits for room, or refuses", function()
      pool = iocp.Pool { workers = 1, queue_limit = 3, queue_wait = 0 }
      local gate = iocp.IOCompletionPort()
      support.occupy(pool, gate)
      for _ = 1, 3 do
        assert(pool:submit(function() end))
      end
      assert.same({ nil, "the pool's queue is full", "TIMEOUT" }, { pool:submit(function() end) })
      assert.same({ nil, "the pool's queue is full", "TIMEOUT" }, { pool:post(function() end) })
      assert.equal(4, pool:stats().submitted)
      gate:enqueue(1)
      assert.is_true(support.eventually(function() return pool:idle() end))
      assert(pool:submit(function() end))
      finish(pool)

      pool = iocp.Pool { workers = 2, queue_limit = 5 }
      for i = 1, support.scaled(5000) do
        assert(pool[i % 2 == 0 and "submit" or "post"](pool, function(n) return n end, i))
      end
      assert.is_true(pool:stats().peak_queued <= 5)
      finish(pool)
    end)

    it("whose limit a loop goes along with", function()
      local narrow = iocp.Pool { workers = 1, queue_limit = 1, queue_wait = 0 }
      assert.same({ 1, 2, 3, 4, 5, 6 }, narrow:map({ 1, 2, 3, 4, 5, 6 },
        function(x) return x end, { chunk = 1 }))
    end)

    it("whose limit does not stop its own workers", function()
      pool = iocp.Pool { workers = 1, queue_limit = 1 }
      local ok, count = pool:submit(function(p)
        for _ = 1, 10 do
          p:submit(function() end)
        end
        return p:stats().queued
      end, pool):wait()
      assert.is_true(ok, count)
      assert.equal(10, count)
      finish(pool)
    end)

    it("whose limit a close ends the wait for", function()
      pool = iocp.Pool { workers = 1, queue_limit = 1 }
      local gate = iocp.IOCompletionPort()
      support.occupy(pool, gate)
      assert(pool:submit(function() end))
      local closer = iocp.Thread(function(p)
        require("iocp").sleep(30)
        p:close()
      end, pool)
      assert.same({ nil, "the pool is closed", "CLOSED" }, { pool:submit(function() end) })
      gate:enqueue(1)
      support.join_all { closer }
    end)

    it("of millions", function()
      pool = iocp.Pool(0)
      local count = support.scaled(1000000)
      local function f() end
      for _ = 1, count do
        pool:submit(f)
      end
      assert.equal(count, pool:stats().queued)
      pool:workers(2)
      finish(pool)
      assert.equal(count, pool:stats().completed)
    end)
  end)

  describe("counts", function()
    it("exactly", function()
      pool = iocp.Pool(2)
      local gate = iocp.IOCompletionPort()
      local first, second = support.occupy(pool, gate), support.occupy(pool, gate)
      for _ = 1, 5 do
        pool:submit(function() end)
      end
      pool:submit(function() error("x") end)
      pool:submit(function() end):cancel()
      local delayed = pool:submit_after(1e7, function() end)
      local waiting = pool:task(function() end):after(delayed):submit()
      local stats = pool:stats()
      local expected = { workers = 2, live = 2, active = 2, queued = 6, delayed = 1, waiting = 1,
        submitted = 11, completed = 0,
        failed = 0, cancelled = 1, dead = 0, blocked = 0, peak_active = 2, closed = false }
      for name, value in pairs(expected) do
        assert.equal(value, stats[name], name)
      end
      assert.is_true(stats.peak_queued >= 6)
      assert.is_false(pool:idle())
      delayed:cancel()
      assert.equal("cancelled", waiting:status())
      gate:enqueue(1)
      gate:enqueue(1)
      first:wait()
      second:wait()
      assert.is_true(support.eventually(function() return pool:idle() end))
      stats = pool:stats()
      assert.same({ 0, 0, 0, 0, 7, 1, 3, 11 }, { stats.active, stats.queued, stats.delayed, stats.waiting,
        stats.completed,
        stats.failed, stats.cancelled, stats.submitted })
      pool:reset_peaks()
      assert.same({ 0, 0 }, { pool:stats().peak_queued, pool:stats().peak_active })
    end)

    it("times", function()
      pool = iocp.Pool(1)
      for _ = 1, 20 do
        pool:submit(function() require("iocp").sleep(5) end)
      end
      finish(pool)
      local run, wait = pool:stats().run_ms, pool:stats().wait_ms
      assert.is_true(run.mean >= 5 and run.p50 >= 4 and run.p50 <= run.p90 and run.p90 <= run.p99)
      assert.is_true(wait.mean >= 5 and wait.p99 >= 19 * 5 * 0.8)
      assert.is_true(wait.p50 <= wait.p90)
    end)
  end)

  it("crosses to other states, which submit too", function()
    pool = iocp.Pool(2)
    local threads = {}
    for i = 1, 3 do
      threads[i] = iocp.Thread(function(p, n)
        local sum = 0
        for k = 1, 50 do
          local ok, result = p:submit(function(a) return a * 2 end, k):wait()
          assert(ok, result)
          sum = sum + result
        end
        return sum + n
      end, pool, i)
    end
    assert.same({ 2551, 2552, 2553 }, support.join_all(threads))
    local port = iocp.IOCompletionPort()
    port:send(pool, pool:submit(function() return 1 end))
    local _, same, task = port:receive()
    assert.equal(pool, same)
    assert.same({ true, 1 }, { task:wait() })
    assert.has_error(function() iocp.Heap():encode(task) end, "cannot send arg 1: userdata (iocp.Task)")
  end)

  it("is found by its handle for as long as somebody refers to it", function()
    pool = iocp.Pool(0)
    local handle, heap = pool:handle(), iocp.Heap()
    assert.equal(pool, iocp.Pool.open(handle))
    assert.truthy(tostring(pool):find("iocp.Pool: 0x", 1, true))
    assert.equal(pool, heap:decode((heap:encode(pool))))
    assert.equal("INVALID", select(3, iocp.IOCompletionPort.open(handle)))
    assert.equal("INVALID", select(3, iocp.Pool.open(iocp.IOCompletionPort():handle())))
    pool = nil
    for _ = 1, 3 do
      collectgarbage()
    end
    assert.equal("INVALID", select(3, iocp.Pool.open(handle)))
    pool = iocp.Pool(0) -- which the next one closes
  end)

  it("is there for a worker, which nobody else refers to any more", function()
    local port = iocp.IOCompletionPort()
    pool = iocp.Pool(1)
    pool:submit(function(p)
      local own = iocp.Pool.current()
      p:send(own:name(), own == iocp.Pool.current(), own:submit(function(q) q:send("last") end, p):status())
    end, port)
    pool = nil
    for _ = 1, 3 do
      collectgarbage()
    end
    local ok, name, same, status = port:receive(10000)
    assert.same({ true, "iocp pool", true, "scheduled" }, { ok, name, same, status })
    assert.same({ true, "last" }, { port:receive(10000) })
    pool = iocp.Pool(0)
  end)

  it("keeps the whole of a name, or refuses it", function()
    local longest = ("n"):rep(63)
    pool = iocp.Pool { workers = 1, name = longest }
    assert.equal(longest, pool:name())
    assert.equal(longest, pool:submit({ body = function() end, name = longest }):name())
    assert.equal(longest, iocp.Thread({ body = "", name = longest }):name())
    for _, wrong in ipairs { longest .. "n", "a\0b" } do
      for _, call in ipairs {
        function() iocp.Pool { name = wrong } end,
        function() pool:submit { body = function() end, name = wrong } end,
        function() pool:map({}, function() end, { name = wrong }) end,
        function() iocp.Thread { body = "", name = wrong } end,
        function() iocp.Thread(setmetatable({ body = "" }, { __index = { name = wrong } })) end,
      } do
        local ok, message = pcall(call)
        assert.is_false(ok)
        assert.matches("a string of at most 63 bytes, none of them 0", message, 1, true)
      end
    end
    local module = ("m"):rep(80) .. ":f"
    assert.equal("..." .. ("m"):rep(58) .. ":f", pool:submit(module):name())
    local chunk = assert((loadstring or load)("return function() end", "@" .. ("f"):rep(50) .. ".lua"))()
    assert.matches("^%.%.%.f+%.lua:1$", pool:submit(chunk):name())
  end)

  it("forgets names that are made up", function()
    pool = iocp.Pool(1)
    local function f() end
    local function submit(from, to)
      for i = from, to do
        assert(pool:submit { body = f, name = "the task with the number " .. i }:wait())
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage("count")
    end
    local before = submit(1, 1000)
    assert.is_true(submit(1001, 6000) < before + 100) -- KiB; 5,000 names would be some 1,000
  end)

  it("takes no binary chunk, as a thread takes none", function()
    pool = iocp.Pool(1)
    local dumped = string.dump(function() end)
    for _, work in ipairs { dumped, { body = dumped } } do
      local ok, message = pcall(pool.submit, pool, work)
      assert.is_false(ok)
      assert.matches("bad argument 'f' to 'submit' (attempt to load a binary chunk", message, 1, true)
    end
  end)

  it("refuses wrong options and arguments by name", function()
    local wrong = {
      { { workers = -1 }, "bad argument 'workers' to 'Pool' (expected an integer from 0 to 100000, or two of them, the "
        .. "least and the most, got -1)" },
      { { workers = 1.5 }, "'workers' to 'Pool' (expected an integer" },
      { { concurrency = "2" }, "'concurrency' to 'Pool' (expected an integer from 0 to 4294967295, got string" },
      { { on_error = "ignore" }, '(expected "keep", "log", "raise" or a function' },
      { { queue_limit = 0 }, "'queue_limit' to 'Pool' (expected an integer from 1" },
      { { queue_wait = -1 }, "'queue_wait' to 'Pool' (expected milliseconds" },
      { { affinity = "spred" }, [['affinity' to 'Pool' (expected "spread", or a list of 1 to 1024 numbers]] },
      { { affinity = {} }, "'affinity' to 'Pool' (expected" },
      { { affinity = { -1 } }, "'affinity' to 'Pool' (expected" },
      { { affinity = { 0, 0.5 } }, "'affinity' to 'Pool' (expected" },
      { { thread_priority = 3 }, "'thread_priority' to 'Pool' (expected an integer from -2 to 2, got 3" },
      { { thread_priority = "low" }, "'thread_priority' to 'Pool' (expected an integer" },
      { { init = "x" }, "'init' to 'Pool' (expected a function, got string" },
      { { worker = 1 }, "'worker' is none of workers" },
      { "4", "'options' to 'Pool' (expected a number of workers or a table, got string" },
    }
    for _, row in ipairs(wrong) do
      local ok, message = pcall(iocp.Pool, row[1])
      assert.is_false(ok)
      assert.matches(row[2], message, 1, true)
    end
    for name, value in pairs { name = {}, concurrency = -1, workers = 1.5, queue_limit = 0 } do
      local ok, message = pcall(iocp.Pool, setmetatable({}, { __index = { [name] = value } }))
      assert.is_false(ok)
      assert.matches("bad argument '" .. name .. "' to 'Pool' (expected ", message, 1, true)
    end
    local inherited = iocp.Pool(setmetatable({ workers = 0 }, { __index = { name = "from its class" } }))
    assert.equal("from its class", inherited:name())
    inherited:close()
    local ok, message = pcall(iocp.Pool, { init = coroutine.wrap(function() end) })
    assert.is_false(ok)
    assert.matches("cannot send the pool's options.init", message, 1, true)
    pool = iocp.Pool(1)
    for _, call in ipairs {
      function() pool.submit({}, print) end,
      function() pool.post({}, print) end,
      function() pool:post(1) end,
      function() pool:workers(-1) end,
      function() pool:workers("2") end,
      function() pool:submit_after(-1, print) end,
      function() pool:submit_after(0 / 0, print) end,
      function() pool:submit_every(0, print) end,
      function() pool:shutdown(-1) end,
      function() pool:trace(1) end,
    } do
      ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("bad argument", message)
    end
  end)
end)
