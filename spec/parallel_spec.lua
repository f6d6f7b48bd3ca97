-- Loops over a pool's workers.
local iocp = require "iocp"
local support = require "support"

describe("in a pool", function()
  local pool
  before_each(function()
    pool = iocp.Pool(2)
  end)
  after_each(function()
    pool:close()
  end)

  describe("map", function()
    it("gives the results in order, whatever the chunks", function()
      local list, expected = {}, {}
      for i = 1, 1000 do
        list[i], expected[i] = i, i * i
      end
      local factor = 1
      local function f(x) return x * x * factor end
      assert.same(expected, pool:map(list, f))
      for _, chunk in ipairs { 1, 7, 999, 1000, 5000 } do
        assert.same(expected, pool:map(list, f, { chunk = chunk }))
      end
      factor = 2
      assert.same({ 2, 8 }, pool:map({ 1, 2 }, f))
      assert.same({}, pool:map({}, f))
      assert.same({ "a1", "b2" }, pool:map({ "a", "b" }, function(x, i) return x .. i end))
      local results = pool:map({ 1, 2, 3, 4 }, function(x) if x % 2 == 0 then return x end end, { chunk = 2 })
      assert.same({ nil, 2, nil, 4 }, { results[1], results[2], results[3], results[4] })
    end)

    it("gives and takes numbers as they are, and whatever else is between them", function()
      local function same(expected, list, f, options)
        local results = pool:map(list, f, options)
        for i = 1, #list do
          assert.equal(expected[i], results[i])
          assert.equal(math.type and math.type(expected[i]), math.type and math.type(results[i]))
        end
      end
      local function itself(x) return x end
      local huge, tiny = math.huge, 5e-324
      same({ 1.5, huge, -huge, tiny, 2 ^ 53 }, { 1.5, huge, -huge, tiny, 2 ^ 53 }, itself, { chunk = 2 })
      same({ 1, 2, 2.5, "three", 4 }, { 1, 2, 2.5, "three", 4 }, itself, { chunk = 5 })
      same({ 1, 2, true, 4, 5 }, { 1, 2, 3, 4, 5 }, function(x) return x == 3 or x end, { chunk = 5 })
      same({ 1, 2, 3, 4, 5.5 }, { 1, 2, 3, 4, 5 }, function(x) return x == 5 and 5.5 or x end, { chunk = 5 })
      same({ false, 2, 3 }, { 1, 2, 3 }, function(x) return x ~= 1 and x end, { chunk = 3 })
      assert.equal(-huge, 1 / pool:map({ -0.0 }, itself)[1])
      local nan = pool:map({ 0 / 0, 1.5 }, itself)[1]
      assert.is_true(nan ~= nan)
      local largest = math.maxinteger or 2 ^ 53
      same({ largest, -largest }, { largest, -largest }, itself)
      local proxy = setmetatable({ 1, 2, 3 }, { __index = function() return 7 end })
      assert.same({ 1, 2, 3 }, pool:map(proxy, itself))
      local function indexed(x) return x == 3 and x.y or x end
      local ok, message = pcall(pool.map, pool, { 1, 2, 3, 4 }, indexed, { chunk = 4 })
      assert.is_false(ok)
      assert.matches("^item 3: ", message)
    end)

    it("of a long list has it in memory once", function()
      local list, n = {}, support.scaled(300000)
      for i = 1, n do
        list[i] = i
      end
      local results = pool:map(list, function(x, i) return x + i end)
      for i = 1, n do
        if results[i] ~= 2 * i then
          error("item " .. i)
        end
      end
      assert.equal(n, #results)
      assert.is_true(pool:stats().peak_queued <= 8)
    end)

    it("leaves nothing behind in workers that do not collect", function()
      local list, lazy = {}, iocp.Pool { workers = 2, init = function() collectgarbage("stop") end }
      for i = 1, 20000 do
        list[i] = i
      end
      local function round()
        lazy:map(list, function(x) return x + 1 end)
        collectgarbage()
      end
      for _ = 1, 20 do
        round()
      end
      local before = support.resident()
      for _ = 1, 60 do
        round()
      end
      if support.measures then
        assert.is_true(support.resident() < before + 4096)
      end
      lazy:close()
    end)

    it("does not cost a packet an item", function()
      local list = {}
      for i = 1, 10000 do
        list[i] = i
      end
      pool:map(list, function(x) return x end)
      assert.is_true(pool:stats().submitted <= 32)
    end)

    it("raises the first error, with its item and the worker's traceback, and cancels the rest", function()
      local list = {}
      for i = 1, 1000 do
        list[i] = i
      end
      local ok, message = pcall(pool.map, pool, list, function(x)
        if x == 137 then error("too ugly") end
        require("iocp").sleep(1)
        return x
      end, { chunk = 10 })
      assert.is_false(ok)
      assert.matches("^item 137: .*parallel_spec.lua:%d+: too ugly\nstack traceback:.*parallel_spec.lua", message)
      local stats = pool:stats()
      assert.is_true(stats.submitted < 100)
      assert.equal(0, stats.active)
      assert.equal(stats.submitted, stats.completed + stats.failed + stats.cancelled)
      ok, message = pcall(pool.map, pool, { 1, 2, 3, 4, 5, 6 }, function(x)
        if x == 2 then error("nobody waits any longer") end
        require("iocp").sleep(1e7) -- until it is cancelled
      end, { chunk = 1 })
      assert.is_false(ok)
      assert.matches("^item 2: .*nobody waits any longer", message)
    end)

    it("raises an error value as it is, if it can cross; its message is the pool's last error", function()
      local names = { "a", "b", "c" }
      local loops = {
        function(f) return pool:map({ 1, 2, 3 }, f) end,
        function(f) return pool:map(names, f) end,
        function(f) return pool:parallel_for(1, 3, f) end,
        function(f) return pool:reduce(names, f, nil, { chunk = 3 }) end, -- the worker calls it
        function(f) return pool:reduce(names, f, nil, { chunk = 1 }) end, -- the caller calls it
      }
      for i, loop in ipairs(loops) do
        for _, value in ipairs { { code = 5 }, true } do
          assert.same({ false, value }, { pcall(loop, function() error(value) end) }, i)
        end
        local ok, message = pcall(loop, function() error("a text") end)
        assert.is_false(ok)
        assert.matches("^item %d: .*parallel_spec.lua:%d+: a text\nstack traceback:.*parallel_spec.lua", message)
        ok, message = pcall(loop, function()
          error(setmetatable({}, { __tostring = function() return "its text" end }))
        end)
        assert.is_false(ok)
        assert.matches("^item %d: its text\n", message)
        ok, message = pcall(loop, function() error(io.stdout) end)
        assert.is_false(ok)
        assert.matches("^item %d: file %(0?x?%x+%)\n", message)
      end
      pcall(pool.map, pool, { 1 }, function() error({}) end)
      assert.matches("item 1: (error object is a table value)\nstack traceback:", pool:last_error(), 1, true)
      local _, message, code, value = pool:submit(function() error({ code = 5 }) end):wait()
      assert.same({ "ERROR", { code = 5 } }, { code, value })
      assert.matches("^%(error object is a table value%)\nstack traceback:", message)
    end)

    it("leaves an error value what it is for those that see it on the way", function()
      local results = pool:map({ "x" }, function()
        return { load(function() error("oops", 0) end) } -- luacheck: ignore
      end)
      assert.equal("oops", results[1][2])
    end)

    it("names the item that cannot be sent, or whose result cannot", function()
      local list = { "a", "b", { c = { io.stdout } }, "d" }
      local refused = "item 3: cannot send the item.c[1]: userdata (FILE*); make it where it is used"
      local ok, message = pcall(pool.map, pool, list, function(x) return x end, { chunk = 2 })
      assert.same({ false, refused }, { ok, message })
      ok, message = pcall(pool.map, pool, { 1, 2, 3, 4 }, function(x) return x == 3 and io.stdout or x end)
      assert.is_false(ok)
      assert.matches("^item 3: cannot send the result: userdata %(FILE%*%)", message)
      ok, message = pcall(pool.reduce, pool, list, function(a) return a end)
      assert.same({ false, refused }, { ok, message })
      local function bad() return io.stdout end
      ok, message = pcall(pool.reduce, pool, { "a", "b", "c", "d" }, bad, nil, { chunk = 2 })
      assert.is_false(ok)
      assert.matches("^item [24]: cannot send the result: userdata %(FILE%*%)", message)
      ok, message = pcall(pool.map, pool, { 1, 2 }, function() return list end)
      assert.is_false(ok)
      assert.matches("^spec/parallel_spec.lua:%d+: cannot send the function.upvalue 'list'", message)
    end)

    it("raises whatever else goes wrong, and nothing runs any more", function()
      local function nothing_runs()
        local stats = pool:stats()
        assert.same({ 0, 0 }, { stats.active, stats.queued })
      end
      local list = {}
      for i = 1, 200 do
        list[i] = i
      end
      local function slow(x)
        require("iocp").sleep(1)
        return x
      end
      local ok, message = pcall(pool.map, pool, list, slow, { chunk = 1, progress = function(done)
        if done == 5 then error("no more") end
      end })
      assert.is_false(ok)
      assert.matches("no more", message)
      nothing_runs()
      list[150] = io.stdout
      ok, message = pcall(pool.map, pool, list, slow, { chunk = 1 })
      assert.is_false(ok)
      assert.matches("cannot send", message)
      nothing_runs()
      ok, message = pcall(pool.map, pool, { 1 }, function()
        error(setmetatable({}, { __tostring = function() return "its text" end }))
      end)
      assert.is_false(ok)
      assert.matches("^item 1: its text\n", message)
    end)

    it("stops after the items under way, whatever runs them", function()
      local numbers, texts = {}, {}
      for i = 1, 4000 do
        numbers[i], texts[i] = i, "a" .. i
      end
      local calls = iocp.IOCompletionPort()
      local function busy(x) -- no wait of the module's, which a cancel would end
        local clock = require("iocp").clock
        local finish = clock() + 3
        calls:enqueue(0)
        if x == 1 or x == "a1" or x == "a2" then error("the first") end
        repeat until clock() > finish
        return x
      end
      for name, loop in pairs {
        ["map of numbers"] = function() pool:map(numbers, busy, { chunk = 2000 }) end,
        map = function() pool:map(texts, busy, { chunk = 2000 }) end,
        parallel_for = function() pool:parallel_for(1, 4000, busy, { chunk = 2000 }) end,
        reduce = function() pool:reduce(texts, function(_, x) return busy(x) end, nil, { chunk = 2000 }) end,
      } do
        local before = calls:stats().posted
        local ok, message = pcall(loop)
        assert.is_false(ok, name)
        assert.matches("the first", message)
        assert.is_true(calls:stats().posted - before < 1000, name) -- 2,000 if it does not look
        assert.equal(0, pool:stats().active)
      end
    end)

    it("or in a task that is cancelled, where that task's worker runs the items, too", function()
      local calls, list = iocp.IOCompletionPort(), {}
      for i = 1, 4000 do
        list[i] = "a" .. i
      end
      local function busy(x)
        local clock = require("iocp").clock
        local finish = clock() + 3
        calls:enqueue(0)
        repeat until clock() > finish
        return x
      end
      for _, errors in ipairs { "raise", "collect" } do
        local before = calls:stats().posted
        local task = pool:submit(function()
          return require("iocp").Pool.current():map(list, busy, { chunk = 1000, errors = errors })
        end)
        assert.is_true(support.eventually(function() return calls:stats().posted > before + 4 end))
        task:cancel()
        local ok, result, _, code = task:wait()
        assert.same({ true, nil, "CANCELLED" }, { ok, result, code })
        assert.is_true(support.eventually(function() return pool:idle() end))
        assert.is_true(calls:stats().posted - before < 1000, errors)
      end
    end)

    it("stops too where a hard cancel ends the task that called it, and its worker", function()
      local calls, list = iocp.IOCompletionPort(), {}
      for i = 1, 8000 do
        list[i] = "a" .. i
      end
      local function busy()
        local clock = require("iocp").clock
        local finish = clock() + 3
        calls:enqueue(0)
        repeat until clock() > finish
      end
      local task = pool:submit(function()
        return require("iocp").Pool.current():map(list, busy, { chunk = 2000 })
      end)
      assert.is_true(support.eventually(function() return calls:stats().posted > 4 end))
      task:cancel("hard")
      assert.is_true(support.eventually(function() return pool:idle() end))
      assert.is_true(calls:stats().posted < 1500)
    end)

    it("stops a chunk of trivial items, too", function()
      local function cheap(x)
        for _ = 1, 30 do x = math.sin(x) end
        return x
      end
      local thread = iocp.Thread(function(p, f)
        return p:parallel_for(1, 2 ^ 40, f, { chunk = 2 ^ 31 })
      end, pool, cheap)
      assert.is_true(support.eventually(function() return pool:stats().active == 2 end))
      iocp.sleep(50) -- until it is compiled
      thread:cancel()
      local ok, result, _, code = thread:join(10000)
      assert.same({ true, nil, "CANCELLED" }, { ok, result, code })
      assert.is_true(support.eventually(function() return pool:idle() end))
    end)

    it("or collects them", function()
      local results, errors = pool:map({ 1, 2, 3, 4, 5 }, function(x)
        if x % 2 == 0 then error("even") end
        return x
      end, { errors = "collect", chunk = 2 })
      assert.same({ 1, nil, 3, nil, 5 }, { results[1], results[2], results[3], results[4], results[5] })
      assert.matches("even\nstack traceback:", errors[2])
      assert.matches("even\nstack traceback:", errors[4])
      assert.is_nil(errors[1])
    end)

    it("or collects them with their values, and what cannot cross", function()
      local list = { "a", io.stdout, "c", "d", "e", "f" }
      local function f(x)
        if x == "c" then return { io.stdout } end
        if x == "d" then error({ code = 5 }) end
        if x == "e" then error(io.stdout) end
        return x
      end
      for _, chunk in ipairs { 1, 3, 6 } do
        local results, errors, values = pool:map(list, f, { errors = "collect", chunk = chunk })
        assert.same({ [1] = "a", [6] = "f" }, results)
        assert.equal("cannot send the item: userdata (FILE*); make it where it is used", errors[2])
        assert.equal("cannot send the result[1]: userdata (FILE*); make it where it is used", errors[3])
        assert.matches("^%(error object is a table value%)\nstack traceback:", errors[4])
        assert.matches("^file %(0?x?%x+%)\nstack traceback:", errors[5])
        assert.same({ [4] = { code = 5 } }, values)
      end
      local function even(x) if x % 2 == 0 then error(x .. " is even", 0) end return x end
      local results, errors, values = pool:map({ 1, 2, 3 }, even, { errors = "collect" })
      assert.same({ 1, nil, 3 }, { results[1], results[2], results[3] })
      assert.matches("^2 is even\nstack traceback:", errors[2])
      assert.same({ [2] = "2 is even" }, values)
    end)

    it("in a closed pool says so", function()
      pool:close()
      assert.same({ nil, "the pool is closed", "CLOSED" }, { pool:map({ 1 }, function() end) })
    end)

    it("ends when its pool is closed", function()
      local closer = iocp.Thread(function(p)
        require("iocp").sleep(30)
        p:close()
      end, pool)
      local items = {}
      for i = 1, 3000 do -- half a minute's work: the closer may be late
        items[i] = i
      end
      local ok, message, code = pool:map(items, function()
        require("iocp").sleep(20)
      end, { chunk = 1 })
      assert.is_nil(ok)
      assert.matches("closed", message)
      assert.is_true(code == "CANCELLED" or code == "CLOSED")
      support.join_all { closer }
    end)

    it("within map, however few the workers", function()
      pool:workers(1)
      local result = pool:map({ 1, 2, 3, 4 }, function(x)
        local own = require("iocp").Pool.current()
        local inner = own:map({ 1, 2, 3 }, function(y)
          local sum = 0
          require("iocp").Pool.current():map({ 1, 2 }, function(z) return z end)
          for _, v in ipairs(require("iocp").Pool.current():map({ 1, 2 }, function(z) return z * y end)) do
            sum = sum + v
          end
          return sum
        end)
        return (inner[1] + inner[2] + inner[3]) * x
      end)
      assert.same({ 18, 36, 54, 72 }, result)
      local _, number = pool:submit(function()
        return (select(2, require("iocp").Pool.current()))
      end):wait()
      assert.is_true(number <= 2) -- none was started besides the two that there were at first
    end)
  end)

  describe("parallel_for", function()
    local function seen(...)
      local log, list = iocp.IOCompletionPort(), {}
      local arguments = { ... }
      arguments[#arguments + 1] = function(i) log:send(i) end
      assert.is_true(pool:parallel_for((table.unpack or unpack)(arguments))) -- luacheck: ignore
      while log:stats().queued > 0 do
        list[#list + 1] = select(2, log:receive())
      end
      table.sort(list)
      return list
    end

    it("goes from, to, by steps", function()
      assert.same({ 1, 2, 3, 4, 5 }, seen(1, 5))
      assert.same({ 2, 5, 8 }, seen(2, 10, 3))
      assert.same({ -1, 1, 3 }, seen(3, -2, -2))
      assert.same({ 0.5, 1, 1.5 }, seen(0.5, 1.5, 0.5))
      assert.same({}, seen(5, 1))
      assert.same({ 7 }, seen(7, 7))
      assert.equal(5000, #seen(1, 5000))
    end)

    it("raises the first error", function()
      local ok, message = pcall(pool.parallel_for, pool, 1, 100, function(i) if i == 42 then error("here") end end)
      assert.is_false(ok)
      assert.matches("^item 42: .*here", message)
      ok, message = pcall(pool.parallel_for, pool, 10, 20, 2, function(i) if i == 14 then error("here") end end)
      assert.is_false(ok)
      assert.matches("^item 14: .*here", message)
    end)

    it("collects errors by the number that it called with", function()
      local ok, errors, values = pool:parallel_for(10, 20, 2, function(i, ...)
        if i > 15 or select("#", ...) > 0 then error({ i = i }) end
      end, { errors = "collect", chunk = 2 })
      assert.is_true(ok)
      assert.same({ [16] = { i = 16 }, [18] = { i = 18 }, [20] = { i = 20 } }, values)
      for i = 10, 20, 2 do
        assert.equal(i > 15, errors[i] ~= nil and errors[i]:find("^%(error object is a table value%)\nstack") ~= nil)
      end
      assert.same({ true, {}, {} }, { pool:parallel_for(1, 0, print, { errors = "collect" }) })
    end)
  end)

  describe("reduce", function()
    it("combines in order", function()
      local list, text = {}, {}
      for i = 1, 1000 do
        list[i], text[i] = i, tostring(i)
      end
      assert.equal(500500, pool:reduce(list, function(a, b) return a + b end))
      assert.equal(500510, pool:reduce(list, function(a, b) return a + b end, 10))
      assert.equal(table.concat(text), pool:reduce(text, function(a, b) return a .. b end, nil, { chunk = 7 }))
      assert.equal("x", pool:reduce({ "x" }, function(a, b) return a .. b end))
      assert.is_nil(pool:reduce({}, function(a, b) return a .. b end))
      assert.equal(0, pool:reduce({}, function(a, b) return a + b end, 0))
      local ok, message = pcall(pool.reduce, pool, { 1, 2, {}, 4 }, function(a, b) return a + b end, nil, { chunk = 4 })
      assert.is_false(ok)
      assert.matches("^item 3: ", message)
    end)
  end)

  it("refuses wrong arguments by name", function()
    local function f() end
    for _, row in ipairs {
      { "list", function() pool:map(1, f) end },
      { "f", function() pool:map({}, 1) end },
      { "options", function() pool:map({}, f, 1) end },
      { "chunk", function() pool:map({}, f, { chunk = 0 }) end },
      { "errors", function() pool:map({}, f, { errors = "ignore" }) end },
      { "progress", function() pool:map({}, f, { progress = 1 }) end },
      { "'chunks' is none of", function() pool:map({}, f, { chunks = 1 }) end },
      { "from", function() pool:parallel_for("1", 2, f) end },
      { "bound a loop", function() pool:parallel_for(0 / 0, 2, f) end },
      { "bound a loop", function() pool:parallel_for(1, math.huge, f) end },
      { "to", function() pool:parallel_for(1, nil, f) end },
      { "step", function() pool:parallel_for(1, 2, 0, f) end },
      { "f", function() pool:parallel_for(1, 2, 1) end },
      { "f", function() pool:reduce({}, 1) end },
      { "options come behind it", function() pool:reduce({}, f, { progress = true }) end },
      { "errors", function() pool:reduce({}, f, nil, { errors = "collect" }) end },
      { "chunk", function() pool:map({}, f, setmetatable({}, { __index = { chunk = 0 } })) end },
    } do
      local ok, message = pcall(row[2])
      assert.is_false(ok)
      assert.matches("parallel_spec.lua:%d+: bad argument '", message)
      assert.matches(row[1], message, 1, true)
    end
  end)
end)
