-- iocp.Dict: a dictionary that threads share.
local iocp = require "iocp"
local support = require "support"
local linear = require "support.linear"

local function code_of(...)
  return (select(3, ...))
end

describe("a dictionary", function()
  it("gives back what was put there, of every kind that crosses", function()
    local d = iocp.Dict()
    local port = iocp.IOCompletionPort()
    for i, value in ipairs { 1, -1, 0, 2 ^ 40, 1.5, -0.25, math.huge, "", "text", ("x"):rep(100000), "a\0b", true,
      false, { 1, 2, { deep = "yes" } }, { [true] = { ("y"):rep(5000) } }, port } do
      assert.is_true(d:set("k" .. i, value))
      assert.same(value, d:get("k" .. i))
      assert.same(value, d:get("k" .. i))
    end
    assert.is_nil(d:get("none"))
    if math.type then
      d:set("i", math.mininteger)
      assert.equal(math.mininteger, d:get("i"))
      d:set("f", 3.0)
      assert.equal("float", math.type(d:get("f")))
    end
    local cycle = {}
    cycle.me = cycle
    d:set("cycle", cycle)
    local copy = d:get("cycle")
    assert.equal(copy, copy.me)
    assert.is_true(copy ~= cycle)
    d:set("f", function(a) return a + d:count() * 0 + 1 end)
    assert.equal(3, d:get("f")(2))
  end)

  it("has keys of any bytes, and takes no other", function()
    local d = iocp.Dict()
    for _, key in ipairs { "", "\0", "a\0b", "a\0c", ("k"):rep(10000), "ü" } do
      assert.is_true(d:set(key, key .. "!"))
    end
    assert.equal(6, d:count())
    assert.equal("a\0b!", d:get("a\0b"))
    assert.equal("!", d:get(""))
    for _, wrong in ipairs { 1, true, {} } do
      for _, method in ipairs { "get", "set", "add", "delete", "exists", "incr", "update", "get_or_set" } do
        local ok, message = pcall(d[method], d, wrong, function() end)
        assert.is_false(ok, method)
        assert.matches("key: expected a string", message, 1, true)
      end
    end
    assert.has_error(function() d:get() end)
    assert.has_error(function() d.get(iocp.Heap(), "a") end)
  end)

  it("names what cannot cross, and is as it was", function()
    local d = iocp.Dict()
    d:set("k", 1)
    local ok, message = pcall(d.set, d, "k", { a = coroutine.create(function() end) })
    assert.is_false(ok)
    assert.matches("value.a", message, 1, true)
    assert.equal(1, d:get("k"))
    assert.has_error(function() d:set("k", 1, -1) end)
    assert.has_error(function() d:set("k", 1, "x") end)
    assert.has_error(function() d:set("k", 1, 0 / 0) end)
    assert.has_error(function() d:add("k", nil) end)
    assert.has_error(function() d:replace("k", nil) end)
    for _, wrong in ipairs { { maximum = 0 }, { maximum = "1" }, { maximum = 1.5 }, { max = 1 }, { 1 }, 5, "x" } do
      assert.has_error(function() iocp.Dict(wrong) end)
    end
  end)

  it("adds what is missing, replaces what is there, deletes", function()
    local d = iocp.Dict()
    assert.equal("MISSING", code_of(d:replace("k", 1)))
    assert.is_true(d:add("k", 1))
    assert.equal("EXISTS", code_of(d:add("k", 2)))
    assert.is_true(d:replace("k", 3))
    assert.equal(3, d:get("k"))
    assert.is_true(d:exists("k"))
    assert.is_true(d:delete("k"))
    assert.is_false(d:delete("k"))
    assert.is_false(d:exists("k"))
    assert.is_true(d:set("k", 1))
    assert.is_true(d:set("k", nil)) -- as OpenResty has it
    assert.is_false(d:exists("k"))
  end)

  it("knows its keys, how many there are, and forgets them all", function()
    local d, expected = iocp.Dict(), {}
    for i = 1, 3000 do
      expected[i] = "key" .. i
      d:set("key" .. i, i)
    end
    local keys = d:keys()
    table.sort(keys)
    table.sort(expected)
    assert.same(expected, keys)
    assert.equal(3000, d:count())
    assert.is_true(d:flush())
    assert.same({}, d:keys())
    assert.same({ count = 0, bytes = 0, maximum = 0, evicted = 0, expired = 0 }, d:stats())
    d:set("again", 1)
    assert.same({ "again" }, d:keys())
  end)

  it("adds numbers", function()
    local d = iocp.Dict()
    assert.equal("MISSING", code_of(d:incr("n", 1)))
    assert.equal(11, d:incr("n", 1, 10))
    assert.equal(9, d:incr("n", -2))
    assert.equal(9.5, d:incr("n", 0.5, 100))
    assert.equal(9.5, d:get("n"))
    d:set("s", "5")
    assert.equal("INVALID", code_of(d:incr("s", 1)))
    d:set("s", {})
    assert.equal("INVALID", code_of(d:incr("s", 1)))
    assert.has_error(function() d:incr("n", "1") end)
    assert.has_error(function() d:incr("n") end)
    assert.has_error(function() d:incr("n", 1, "0") end)
    if math.type then
      assert.equal("integer", math.type(d:incr("i", 1, 0)))
    end
  end)

  it("lets values expire", function()
    local d = iocp.Dict()
    d:set("short", 1, 1)
    d:set("long", 2, 1e9)
    d:set("never", 3)
    d:incr("n", 1, 0, 1)
    d:set("kept", 1, 1)
    d:set("kept", 1) -- for good now
    for i = 1, 100 do
      d:set("s" .. i, i, 1)
    end
    iocp.sleep(40)
    assert.is_nil(d:get("short"))
    assert.is_false(d:exists("short"))
    assert.is_nil(d:get("n"))
    assert.equal("MISSING", code_of(d:replace("short", 1)))
    assert.is_true(d:add("short", 9))
    local keys = d:keys()
    table.sort(keys)
    assert.same({ "kept", "long", "never", "short" }, keys)
    assert.equal(4, d:count())
    assert.is_true(d:stats().expired >= 102)
    assert.same({ 2, 3, 9 }, { d:get("long"), d:get("never"), d:get("short") })
  end)

  it("finds what has expired though nobody asks for it", function()
    local d, port = iocp.Dict(), iocp.IOCompletionPort()
    local handle = port:handle()
    d:set("short", { port }, 1)
    port = nil -- luacheck: ignore
    assert.is_true(support.eventually(function() -- the value is freed, and with it the port
      for i = 1, 2000 do -- some of which are in its part of the table
        d:set("other" .. i, i)
      end
      collectgarbage()
      return iocp.IOCompletionPort.open(handle) == nil
    end))
  end)

  it("crosses as a reference, also before a state has required the module", function()
    local d = iocp.Dict()
    local _, got = iocp.Thread("local d = ... d:set('a', { 1 }) return d:get_or_set('b', function() return 7 end)", d)
      :join(20000)
    assert.equal(7, got)
    assert.same({ 1 }, d:get("a"))
    assert.equal(d, iocp.Dict.open(d:handle()))
    assert.matches("^iocp%.Dict: 0x%x+ %(2 keys%)$", tostring(d))
    d:set("self", d) -- it does not keep itself
    assert.equal(d, d:get("self"))
    local handle = d:handle()
    d = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal("INVALID", code_of(iocp.Dict.open(handle)))
  end)

  it("keeps what its values refer to, and lets it go with them", function()
    local d, port = iocp.Dict(), iocp.IOCompletionPort()
    local handle = port:handle()
    d:set("port", { port })
    d:set("also", { port }, 5)
    port = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_truthy(iocp.IOCompletionPort.open(handle))
    collectgarbage()
    d:set("port", 1)
    iocp.sleep(30)
    assert.equal(1, d:count())
    collectgarbage()
    collectgarbage()
    assert.equal("INVALID", code_of(iocp.IOCompletionPort.open(handle)))
  end)
end)

describe("a dictionary with a maximum", function()
  it("evicts what was used the longest time ago", function()
    local d = iocp.Dict { maximum = 100000 }
    local value = ("v"):rep(9000)
    for i = 1, 10 do
      assert.is_true(d:set("k" .. i, value))
    end
    assert.equal(10, d:count())
    assert.is_truthy(d:get("k1"))
    assert.is_true(d:exists("k3"))
    d:set("k4", value)
    assert.is_true(d:set("new", value))
    assert.is_true(d:set("newer", value))
    local gone = {}
    for i = 1, 10 do
      gone[#gone + 1] = not d:exists("k" .. i) and i or nil
    end
    assert.same({ 2, 5 }, gone)
    local stats = d:stats()
    assert.equal(2, stats.evicted)
    assert.equal(100000, stats.maximum)
    assert.is_true(stats.bytes <= 100000)
  end)

  it("never evicts the key that it writes, and no other where it writes nothing or nothing larger", function()
    local d = iocp.Dict { maximum = 200 }
    d:set("hits", 41)
    assert.equal(42, d:incr("hits", 1, 0))
    assert.equal(43, d:incr("hits", 1))
    assert.equal(44, d:update("hits", function(n) return n + 1 end))
    assert.is_true(d:replace("hits", ("x"):rep(20))) -- larger, but for which there is room
    assert.equal(0, d:stats().evicted)
    d = iocp.Dict { maximum = 3000 }
    for i = 1, 5 do d:set("k" .. i, ("x"):rep(400)) end
    assert.is_true(d:replace("k1", ("y"):rep(400))) -- it is the oldest
    assert.equal("EXISTS", code_of(d:add("k2", ("y"):rep(2000))))
    assert.equal("MISSING", code_of(d:replace("none", ("y"):rep(2000))))
    assert.equal(5, d:count())
    assert.equal(0, d:stats().evicted)
    assert.is_true(d:replace("k2", ("y"):rep(2000))) -- the others go for it, from the oldest on
    assert.equal(2000, #d:get("k2"))
    assert.is_nil(d:get("k3"))
    assert.is_true(d:exists("k1"))
    assert.is_true(d:stats().bytes <= 3000)
    d:set("short", 1, 1)
    d:flush()
    d:set("a", ("x"):rep(2500), 1)
    iocp.sleep(5)
    assert.is_true(d:add("a", ("x"):rep(2500))) -- what has expired is room, too
    d:flush()
    assert.equal(0, d:stats().bytes)
  end)

  it("counts right while threads drive out each other's keys", function()
    local d = iocp.Dict { maximum = 2000 }
    local function body(dict, me, n)
      local last, lost = 0, 0
      for i = 1, n do
        local now = dict:incr("mine" .. me, 1, 0)
        if now == 1 and last > 0 then lost = lost + 1 elseif now ~= last + 1 then return nil, now, last end
        last = now
        dict:set("k" .. me .. "/" .. i % 50, ("v"):rep(i % 300))
      end
      return lost
    end
    local threads, n = {}, support.soaked(5000)
    for i = 1, 4 do threads[i] = iocp.Thread(body, d, i, n) end
    for _, thread in ipairs(threads) do
      local ok, lost, last = thread:join(support.patience(60000))
      assert.is_true(ok)
      assert.is_truthy(lost, last)
    end
    assert.is_true(d:stats().bytes <= 2000)
    d:flush()
    assert.equal(0, d:stats().bytes)
  end)

  it("refuses what it could never hold", function()
    local d = iocp.Dict { maximum = 1000 }
    d:set("a", 1)
    assert.equal("NOMEM", code_of(d:set("b", ("x"):rep(1000))))
    assert.equal("NOMEM", code_of(d:add("b", ("x"):rep(1000))))
    assert.equal(1, d:get("a"))
    for i = 1, 1000 do
      assert.is_true(d:set("k" .. i, i))
      assert.equal(i, d:get("k" .. i))
    end
    assert.is_true(d:stats().bytes <= 1000)
    assert.equal("EXISTS", code_of(d:add("k1000", 1)))
    assert.equal("MISSING", code_of(d:replace("none", 1)))
    d:flush()
    assert.equal(0, d:stats().bytes)
    assert.is_true(d:set("k", 1))
  end)

  it("stays within it while threads put things there, and loses nothing but what it says", function()
    local d, n = iocp.Dict { maximum = 200000 }, support.divisor < 1 and 2500000 or support.soaked(5000) -- a soak: 10^7
    local function body(dict, first, count)
      for i = first, first + count - 1 do
        assert(dict:set("k" .. i, ("v"):rep(i % 100), i % 3 == 0 and 5 or nil))
        if i % 7 == 0 then
          dict:get("k" .. i - 3)
        end
        if i % 1000 == 0 then
          assert(dict:stats().bytes <= 200000)
        end
      end
      return true
    end
    local threads = {}
    for i = 1, 4 do
      threads[i] = iocp.Thread(body, d, i * n, n)
    end
    support.join_all(threads, support.divisor < 1 and 600000 or nil)
    iocp.sleep(40) -- what is to expire has
    local stats = d:stats()
    assert.is_true(stats.bytes <= 200000)
    assert.equal(4 * n, stats.count + stats.evicted + stats.expired)
    assert.equal(stats.count, #d:keys())
    for _, key in ipairs(d:keys()) do
      local value = d:get(key)
      assert.is_true(value == nil or value == ("v"):rep(tonumber(key:sub(2)) % 100))
    end
  end)
end)

describe("dict:get_or_set", function()
  it("computes once, and not where there is a value", function()
    local d, calls = iocp.Dict(), 0
    local function f(key)
      calls = calls + 1
      return key .. "!"
    end
    assert.equal("a!", d:get_or_set("a", f))
    assert.equal("a!", d:get_or_set("a", f))
    assert.equal(1, calls)
    assert.is_nil(d:get_or_set("nothing", function() end))
    assert.is_false(d:exists("nothing"))
    assert.is_false(d:get_or_set("false", function() return false end))
    assert.is_false(d:get_or_set("false", f))
    d:get_or_set("short", f, 1)
    d:get_or_set("long", function() return 1, 1e9 end, 1)
    iocp.sleep(30)
    assert.is_false(d:exists("short"))
    assert.is_true(d:exists("long"))
    assert.has_error(function() d:get_or_set("a") end)
    assert.has_error(function() d:get_or_set("b", 5) end)
  end)

  it("passes an error on, and the next one computes", function()
    local d, mine = iocp.Dict(), {}
    local ok, message = pcall(d.get_or_set, d, "k", function() error(mine) end)
    assert.is_false(ok)
    assert.equal(mine, message)
    collectgarbage("stop") -- what raises behind f has no claim any more
    ok, message = pcall(d.get_or_set, d, "k", function() return coroutine.create(function() end) end)
    assert.is_false(ok)
    assert.matches("cannot send", message)
    assert.has_error(function() d:get_or_set("k", function() return 2, "for ever" end) end)
    assert.equal(2, iocp.run(function() return iocp.within(10000, d.get_or_set, d, "k", function() return 2 end) end))
    collectgarbage("restart")
  end)

  it("says so where it would wait for itself", function()
    local d = iocp.Dict()
    local ok, message = pcall(d.get_or_set, d, "k", function()
      return d:get_or_set("k", print)
    end)
    assert.is_false(ok)
    assert.matches("would wait for ever", message, 1, true)
    assert.equal(1, d:get_or_set("k", function() return 1 end))
  end)

  it("has one of many threads compute, and the others wait", function()
    local d, calls = iocp.Dict(), iocp.Atomic()
    local threads = {}
    for i = 1, 8 do
      threads[i] = iocp.Thread(function(dict, n)
        return dict:get_or_set("k", function()
          n:add(1)
          require "iocp".sleep(50)
          return { "computed" }
        end)[1]
      end, d, calls)
    end
    for _, result in ipairs(support.join_all(threads)) do
      assert.equal("computed", result)
    end
    assert.equal(1, calls:get())
  end)

  local function computing(d, started, body)
    local thread = iocp.Thread(body or function(dict, s)
      return dict:get_or_set("k", function()
        s:set(1)
        while true do
          require "iocp".sleep(1)
        end
      end)
    end, d, started)
    assert.is_true(support.eventually(function() return started:get() == 1 end))
    return thread
  end

  it("goes on with the next one where a thread was killed in the middle", function()
    local d, started = iocp.Dict(), iocp.Atomic()
    local thread = computing(d, started)
    local waiter = iocp.Thread(function(dict)
      return dict:get_or_set("k", function() return "second" end)
    end, d)
    iocp.sleep(20)
    thread:cancel("hard")
    local ok, result = waiter:join(20000)
    assert.is_true(ok, result)
    assert.equal("second", result)
    assert.is_false((thread:join(20000)) == true)
    assert.is_true(d:set("other", 1))
  end)

  it("goes on with the next one where a thread ends without saying so", function()
    local d, started = iocp.Dict(), iocp.Atomic()
    local thread = computing(d, started, function(dict, s) -- a coroutine that is never resumed
      local co = coroutine.create(function()
        return dict:get_or_set("k", function()
          s:set(1)
          coroutine.yield()
        end)
      end)
      coroutine.resume(co)
    end)
    assert.equal("second", d:get_or_set("k", function() return "second" end))
    thread:join(20000)
  end)

  it("ends with the waiter's cancel", function()
    local d, started = iocp.Dict(), iocp.Atomic()
    local thread = computing(d, started)
    local waiter = iocp.Thread(function(dict) return select(3, dict:get_or_set("k", print)) end, d)
    iocp.sleep(10)
    waiter:cancel()
    local _, code = waiter:join(20000)
    assert.equal("CANCELLED", code)
    thread:cancel("hard")
    thread:join(20000)
  end)

  it("waits without a lock: others use the dictionary, also that key", function()
    local d, started = iocp.Dict(), iocp.Atomic()
    local thread = computing(d, started)
    for i = 1, 200 do
      d:set("k" .. i, i)
    end
    assert.equal(200, d:count())
    d:set("k", "put")
    assert.equal("put", d:get_or_set("k", print))
    thread:cancel("hard")
    thread:join(20000)
    assert.equal("put", d:get("k"))
  end)

  it("yields in a fiber, in the computing one and in those that wait", function()
    local d, results, calls = iocp.Dict(), {}, 0
    iocp.run(function()
      for i = 1, 3 do
        iocp.spawn(function()
          results[i] = d:get_or_set("k", function()
            calls = calls + 1
            iocp.sleep(10)
            return "one"
          end)
        end)
      end
    end)
    assert.same({ "one", "one", "one" }, results)
    assert.equal(1, calls)
    iocp.run(function()
      local started = iocp.Atomic()
      local thread = iocp.Thread(function(dict, s)
        return dict:get_or_set("far", function()
          s:set(1)
          s:wake()
          require "iocp".sleep(30)
          return "far"
        end)
      end, d, started)
      assert.is_true(started:wait(0, 60000))
      assert.equal("TIMEOUT", (select(3, iocp.within(1, function() return d:get_or_set("far", print) end))))
      assert.equal("far", d:get_or_set("far", print))
      assert.is_true(thread:join(60000))
      assert.has_error(function()
        d:get_or_set("self", function() return d:get_or_set("self", print) end)
      end)
    end)
  end)
end)

describe("dict:update", function()
  it("changes a value by a function", function()
    local d = iocp.Dict()
    assert.equal(1, d:update("n", function(old, key)
      assert.is_nil(old)
      assert.equal("n", key)
      return 1
    end))
    assert.same({ 1, 2 }, d:update("n", function(old) return { old, 2 } end))
    assert.is_nil(d:update("n", function() return nil end))
    assert.is_false(d:exists("n"))
    assert.is_nil(d:update("n", function() return nil end))
    d:set("short", 1, 20)
    d:update("short", function(n) return n + 1 end) -- lives as long as it was to
    d:set("long", 1, 20)
    d:update("long", function(n) return n + 1, 1e9 end)
    iocp.sleep(50)
    assert.same({ false, 2 }, { d:exists("short"), d:get("long") })
    assert.has_error(function() d:update("k", nil) end)
    assert.has_error(function() d:update("k", function() error "mine" end) end)
    assert.has_error(function() d:update("k", function() return coroutine.create(function() end) end) end)
    assert.is_false(d:exists("k"))
  end)

  it("is called again where the value has changed meanwhile", function()
    local d, calls = iocp.Dict(), 0
    d:set("n", 1)
    assert.equal(11, d:update("n", function(old)
      calls = calls + 1
      if calls == 1 then
        d:set("n", 10)
      end
      return old + 1
    end))
    assert.equal(2, calls)
  end)

  it("loses nothing between eight threads, as incr", function()
    local d, rounds = iocp.Dict(), support.soaked(500)
    local threads = {}
    for i = 1, 8 do
      threads[i] = iocp.Thread(function(dict, n)
        for _ = 1, n do
          dict:update("table", function(old) return { n = (old and old.n or 0) + 1 } end)
          dict:incr("number", 1, 0)
        end
        return true
      end, d, rounds)
    end
    support.join_all(threads)
    assert.equal(8 * rounds, d:get("table").n)
    assert.equal(8 * rounds, d:get("number"))
  end)
end)

-- What each thread does, and when, by key: see support.linear.
local function random_calls(d, go, seed, n, fields)
  local iocp = require "iocp" -- luacheck: ignore
  local clock, histories = iocp.clock, { {}, {}, {} }
  local function random(most)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return math.floor(seed / 65536) % most
  end
  local function plain(value) return value end
  local calls = {
    function(k) return d:get(k) end,
    function(k, x) return d:set(k, x) end,
    function(k, x) return (d:add(k, x)) or false end,
    function(k, x) return (d:replace(k, x)) or false end,
    function(k) return d:delete(k) end,
    function(k, x) return (d:incr(k, x)) or false end,
    function(k, x) return d:incr(k, x, 0) end,
    function(k) return d:exists(k) end,
    function(k, x) return d:get_or_set(k, function() return x end) end,
    function(k, x)
      local seen
      return d:update(k, function(old)
        seen = old
        return plain(x)
      end), seen
    end,
  }
  go:add(1)
  while go:get() < 8 do
    go:wait(go:get(), 100)
  end
  go:wake()
  for _ = 1, n do
    local key, which, x = random(3) + 1, random(#calls) + 1, random(100)
    local began = clock()
    local first, second = calls[which]("key" .. key, x)
    local history = histories[key]
    local at = #history
    for i, field in ipairs { began, clock(), which, x, first == nil and "none" or first,
      second == nil and "none" or second, 0, 0 } do
      history[at + i] = field
    end
    assert(#history == at + fields)
  end
  return histories
end

-- The state of one key: a number, or "none". Whether the call fits, and the state behind it, by which it was.
local steps = {
  function(state, _, first) return first == state, state end,
  function(_, x) return true, x end,
  function(state, x, first) return first == (state == "none"), state == "none" and x or state end,
  function(state, x, first) return first == (state ~= "none"), state ~= "none" and x or state end,
  function(state, _, first) return first == (state ~= "none"), "none" end,
  function(state, x, first)
    if state == "none" then
      return first == false, state
    end
    return first == state + x, state + x
  end,
  function(state, x, first)
    local sum = (state == "none" and 0 or state) + x
    return first == sum, sum
  end,
  function(state, _, first) return first == (state ~= "none"), state end,
  function(state, x, first)
    local after = state == "none" and x or state
    return first == after, after
  end,
  function(state, x, first, second) return first == x and second == state, x end,
}

local function model(state, history, at)
  return steps[history[at]](state, history[at + 1], history[at + 2], history[at + 3])
end

describe("random calls of eight threads", function()
  it("have an order for each key that a plain table explains", function()
    local d, go, threads = iocp.Dict(), iocp.Atomic(), {}
    for i = 1, 8 do
      threads[i] = iocp.Thread(random_calls, d, go, i * 7919, support.soaked(1250), linear.FIELDS)
    end
    local histories = support.join_all(threads)
    for key = 1, 3 do
      local of_key = {}
      for i = 1, 8 do
        of_key[i] = histories[i][key]
      end
      local ok, where = linear.check(of_key, "none", model)
      assert.is_true(ok, where)
    end
  end)
end)
