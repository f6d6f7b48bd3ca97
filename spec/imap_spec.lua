-- Results as they come: pool:imap, and what all loops take. The rows of what other libraries have stand in their names.
local iocp = require "iocp"
local support = require "support"

local function numbers(n)
  local i = 0
  return function()
    i = i + 1
    return i <= n and i or nil
  end
end

-- All that a loop gives, as a list of { index, ... }.
local function taken(iterate)
  local list = {}
  local function add(...)
    if (...) == nil then
      return false
    end
    list[#list + 1] = { ... }
    return true
  end
  while add(iterate()) do -- luacheck: ignore
  end
  return list
end

describe("imap", function()
  local pool
  before_each(function()
    pool = iocp.Pool(2)
  end)
  after_each(function()
    pool:close()
  end)

  it("gives results in the order of the input, of a list as of an iterator, whatever the chunks", function()
    for _, chunk in ipairs { 1, 3, 100 } do
      local expected = { { 1, 1 }, { 2, 4 }, { 3, 9 }, { 4, 16 }, { 5, 25 } }
      assert.same(expected, taken((pool:imap({ 1, 2, 3, 4, 5 }, function(x) return x * x end, { chunk = chunk }))))
      assert.same(expected, taken((pool:imap(numbers(5), function(x) return x * x end, { chunk = chunk }))))
    end
    assert.same({}, taken((pool:imap({}, print))))
    assert.same({}, taken((pool:imap(numbers(0), print))))
    local seen = {}
    for index, value in pool:imap({ "a", "b" }, function(x, i) return x .. i end) do
      seen[index] = value
    end
    assert.same({ "a1", "b2" }, seen)
  end)

  it("gives them as they come, when asked to", function()
    local gate = iocp.IOCompletionPort()
    local next_result = pool:imap({ "waits", "comes" }, function(x, _, port)
      if x == "waits" then port:dequeue() end
      return x
    end, { ordered = false, args = { gate } })
    assert.same({ 2, "comes" }, { next_result() })
    gate:enqueue(1)
    assert.same({ 1, "waits" }, { next_result() })
    assert.is_nil((next_result()))
    assert.is_nil((next_result()))
  end)

  it("gives nil where that is the result", function()
    local list = taken((pool:imap({ 1, 2, 3 }, function(x) return x == 2 and x or nil end)))
    assert.same({ 3, nil, 2, nil }, { #list, list[1][2], list[2][2], list[3][2] })
  end)

  it("reads its input as it needs it, and has no more than its window under way", function()
    local read = 0
    local function endless()
      read = read + 1
      return read
    end
    local results = pool:imap(endless, function(x) return x end, { window = 3, chunk = 2 })
    for i = 1, 10 do
      assert.same({ i, i }, { results() })
      assert.is_true(read <= i + 1 + 3 * 2, read)
    end
    results:close()
    local before = read
    assert.is_nil((results()))
    assert.equal(before, read)
  end)

  it("of very many numbers takes no more memory than of few", function()
    local n, sum = support.scaled(300000), 0
    local function run(count)
      for _, value in pool:imap(numbers(count), function(x) return x end, { chunk = 100 }) do
        sum = sum + value
      end
    end
    run(20000)
    local before = support.resident()
    sum = 0
    run(n)
    assert.equal(n * (n + 1) / 2, sum)
    if support.measures then
      assert.is_true(support.resident() < before + 8192)
    end
  end)

  it("raises the first error, with its item, once the rest is cancelled and nothing runs", function()
    local seen = 0
    local ok, message = pcall(function()
      for _ in pool:imap(numbers(1000), function(x)
        if x == 7 then error("too ugly") end
        return x
      end) do
        seen = seen + 1
      end
    end)
    assert.is_false(ok)
    assert.matches("^item 7: .*imap_spec.lua:%d+: too ugly\nstack traceback:", message)
    assert.equal(6, seen)
    local stats = pool:stats()
    assert.equal(0, stats.active)
    assert.equal(stats.submitted, stats.completed + stats.failed + stats.cancelled)
    local results = pool:imap({ 1 }, function() error({ code = 5 }) end)
    ok, message = pcall(results)
    assert.same({ false, { code = 5 } }, { ok, message })
    assert.is_nil((results()))
  end)

  it("raises an error of the iterator that it reads, and cancels what it began", function()
    local results = pool:imap(function() error("no more input", 0) end, print)
    assert.same({ false, "no more input" }, { pcall(results) })
    assert.is_nil((results()))
  end)

  it("collects errors, behind whether there was one", function()
    local results = taken((pool:imap({ 1, 2, io.stdout, 4 }, function(x)
      if x == 2 then error({ code = 2 }) end
      return x * 10
    end, { errors = "collect" })))
    assert.same({ 1, true, 10 }, results[1])
    assert.same({ 2, false, { code = 2 } }, { results[2][1], results[2][2], results[2][4] })
    assert.matches("error object is a table value", results[2][3])
    assert.is_false(results[3][2])
    assert.matches("cannot send", results[3][3])
    assert.same({ 4, true, 40 }, results[4])
  end)

  it("cancels what is left when it is closed, and waits until nothing runs", function()
    local gate = iocp.IOCompletionPort()
    local results = pool:imap(numbers(100), function(x, _, port)
      if x > 1 then port:dequeue() end
      return x
    end, { args = { gate }, window = 6 })
    assert.same({ 1, 1 }, { results() })
    assert.is_true(results:close())
    assert.is_true(results:close())
    local stats = pool:stats()
    assert.same({ 0, 0 }, { stats.active, stats.submitted - stats.completed - stats.failed - stats.cancelled })
  end)

  if tonumber(_VERSION:match("%d.%d")) >= 5.4 then
    it("is closed where a loop is left", function()
      assert((loadstring or load)([[
        local pool = ...
        for index in pool:imap(function() return 1 end, function(x)
          require("iocp").sleep(x)
          return x
        end) do
          if index == 3 then break end
        end
      ]]))(pool)
      assert.equal(0, pool:stats().active)
      assert.is_true(pool:idle())
    end)
  end

  it("lost by the script, does not run on", function()
    local gate = iocp.IOCompletionPort()
    do
      local results = pool:imap(numbers(100), function(_, _, port) port:dequeue() end, { args = { gate }, window = 4 })
      local reader = coroutine.wrap(function() results.ends:close() end) -- it was never asked for anything
      reader()
      results = nil -- luacheck: ignore
    end
    assert.is_true(support.eventually(function()
      collectgarbage()
      return pool:idle()
    end))
  end)

  it("lets other fibers run while it waits", function()
    local gate, others = iocp.IOCompletionPort(), 0
    local got = iocp.run(function()
      iocp.spawn(function()
        others = others + 1
        gate:enqueue(1)
        iocp.sleep(1)
        others = others + 1
        gate:enqueue(1)
      end)
      local results, list = pool:imap({ 1, 2 }, function(x, _, port)
        port:dequeue()
        return x
      end, { args = { gate } }), {}
      local index, value = results()
      while index do
        list[index] = value
        index, value = results()
      end
      return list
    end)
    assert.same({ 1, 2 }, got)
    assert.equal(2, others)
  end)

  it("in a worker of the same pool, the only one, ends", function()
    local one = iocp.Pool(1)
    local function nested()
      local sum, own = 0, require("iocp").Pool.current()
      for _, value in own:imap({ 1, 2, 3, 4, 5, 6 }, function(x) return x end) do
        sum = sum + value
      end
      return sum
    end
    assert.same({ true, 21 }, { one:submit(nested):wait(60000) })
    one:close()
  end)

  it("says what is wrong with how it is called, and with the pool", function()
    assert.has_error(function() pool.imap({}, {}, print) end)
    for _, wrong in ipairs { { 3, print }, { { x = 1 }, print }, { {}, 3 }, { {}, print, { window = 0 } },
      { {}, print, { ordered = 1 } }, { {}, print, { results = "some" } }, { {}, print, { nothing = 1 } } } do
      assert.is_false((pcall(pool.imap, pool, wrong[1], wrong[2], wrong[3])))
    end
    local ok, message = pcall(pool.imap, pool, { 1, nil, 3 }, print)
    assert.is_false(ok)
    assert.matches("item 2 is nil", message)
    pool:shutdown()
    ok, message = pcall((pool:imap({ 1 }, print)))
    assert.is_false(ok)
    assert.matches("imap: the pool is closed", message)
  end)
end)

describe("the loops of a pool", function()
  local pool
  setup(function()
    pool = iocp.Pool { workers = 2, init = function() return { tens = 10 } end }
  end)
  teardown(function()
    pool:close()
  end)

  it("take what submit takes: text, module:function, a table with the worker's state", function()
    assert.same({ 2, 4 }, pool:map({ 1, 2 }, "local x = ... return x * 2"))
    assert.same({ "A", "B" }, pool:map({ "a", "b" }, "string:upper", { index = false }))
    local state = { worker = true, name = "tens", body = function(s, x, i) return s.tens * x + i end }
    assert.same({ 11, 22 }, pool:map({ 1, 2 }, state))
    assert.same({ { 1, 11 }, { 2, 22 } }, taken((pool:imap({ 1, 2 }, state))))
    assert.equal(7, (pool:reduce({ 3, 4 }, "local a, b = ... return a + b")))
    local seen = iocp.IOCompletionPort()
    assert.is_true(pool:parallel_for(1, 3, { worker = true, body = function(s, i, port) port:enqueue(s.tens * i) end },
      { args = { seen } }))
    local sum = 0
    for _ = 1, 3 do
      sum = sum + seen:dequeue(10000)
    end
    assert.equal(60, sum)
    local ok, message = pcall(pool.reduce, pool, { 1, 2 }, state)
    assert.is_false(ok)
    assert.matches("without worker = true", message)
  end)

  it("take arguments behind the item and its index, nils among them", function()
    local function f(x, i, a, b, c) return ("%s %s %s %s %s"):format(x, i, a, tostring(b), c) end
    assert.same({ "x 1 2 nil 4" }, pool:map({ "x" }, f, { args = { 2, nil, 4, n = 3 } }))
    assert.same({ { 1, "x 1 2 nil 4" } }, taken((pool:imap({ "x" }, f, { args = { 2, nil, 4, n = 3 } }))))
    assert.equal(16, (pool:reduce({ 1, 2, 3 }, function(a, b, c) return a + b + c end, nil,
      { args = { 5 }, chunk = 1 })))
  end)

  it("leave the index out, so that what takes more than one argument works", function()
    assert.same({ 1, 255 }, pool:map({ "1", "0xff" }, tonumber, { index = false }))
    assert.same({ 1, 255 }, pool:map({ "1", "ff" }, tonumber, { index = false, args = { 16 } }))
  end)

  it("give all results, when asked to", function()
    local lists = pool:map({ "a=1", "b" }, function(s) return s:match("(%w)=(%w)") end, { results = "all" })
    assert.same({ { n = 2, "a", "1" }, { n = 1 } }, lists)
    assert.same({ { 1, "a", "1" }, { 2 } }, taken((pool:imap({ "a=1", "b" }, function(s)
      if s ~= "b" then return s:match("(%w)=(%w)") end
    end, { results = "all" }))))
    assert.same({ { 1, true, 1, 2 } }, taken((pool:imap({ 1 }, function(x) return x, x + 1 end,
      { results = "all", errors = "collect" }))))
  end)

  it("read an iterator to its end", function()
    assert.same({ 1, 4, 9 }, pool:map(numbers(3), function(x) return x * x end))
    assert.equal(6, (pool:reduce(numbers(3), function(a, b) return a + b end)))
    assert.same({}, pool:map(numbers(0), print))
  end)

  it("refuse what is no list, and lists with holes", function()
    for _, wrong in ipairs { { x = 1 }, 3, "text" } do
      assert.is_false((pcall(pool.map, pool, wrong, print)))
      assert.is_false((pcall(pool.imap, pool, wrong, print)))
      assert.is_false((pcall(pool.reduce, pool, wrong, print)))
    end
    for _, name in ipairs { "map", "imap", "reduce" } do
      local ok, message = pcall(pool[name], pool, { 1, 2, nil, 4 }, print)
      assert.is_false(ok)
      assert.matches("item 3 is nil", message)
    end
    for _, wrong in ipairs { { args = 3 }, { index = 1 }, { results = 2 } } do
      assert.is_false((pcall(pool.map, pool, { 1 }, print, wrong)))
    end
    assert.is_false((pcall(pool.parallel_for, pool, 1, 2, print, { results = "all" })))
    assert.is_false((pcall(pool.reduce, pool, { 1 }, print, nil, { index = false })))
    local ok, message = pcall(pool.map, pool, { 1 }, { body = 3 })
    assert.is_false(ok)
    assert.matches("body: expected a function or a string", message)
  end)
end)
