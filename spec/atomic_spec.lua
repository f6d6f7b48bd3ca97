-- iocp.Atomic: a number that threads share, and wait for.
local iocp = require "iocp"
local support = require "support"
local linear = require "support.linear"

local EXACT = 2 ^ 53
local has_integers = math.maxinteger ~= nil

local function refused(...)
  local value, message, code = ...
  assert.is_nil(value)
  assert.matches("2^53", message, 1, true)
  assert.equal("INVALID", code)
end

describe("an atomic", function()
  it("begins with 0, or what it is given", function()
    assert.equal(0, iocp.Atomic():get())
    assert.equal(-7, iocp.Atomic(-7):get())
    assert.equal(EXACT - 1, iocp.Atomic(EXACT - 1):get())
  end)

  it("is set, and gives back what it was", function()
    local a = iocp.Atomic(1)
    assert.is_true(a:set(5))
    assert.equal(5, a:exchange(6))
    assert.equal(6, a:get())
  end)

  it("gives what it is after an addition", function()
    local a = iocp.Atomic(10)
    assert.equal(15, a:add(5))
    assert.equal(12, a:add(-3))
    assert.equal(2, a:sub(10))
    assert.equal(4, a:sub(-2))
    assert.equal(4, a:get())
  end)

  it("is exchanged where it is what is expected", function()
    local a = iocp.Atomic(1)
    assert.same({ true, 1 }, { a:compare_exchange(1, 2) })
    assert.same({ false, 2 }, { a:compare_exchange(1, 3) })
    assert.equal(2, a:get())
  end)

  it("grows to a maximum, falls to a minimum", function()
    local a = iocp.Atomic(5)
    assert.same({ 5, 9, 9, -2, -2 }, { a:max(3), a:max(9), a:min(10), a:min(-2), a:get() })
  end)

  it("takes no number that is no integer, and names the argument", function()
    local a = iocp.Atomic(3)
    for _, wrong in ipairs { 1.5, 0 / 0, math.huge, -math.huge, EXACT + 2, "1", {}, true } do
      for _, method in ipairs { "set", "add", "sub", "exchange", "max", "min", "wait" } do
        local ok, message = pcall(a[method], a, wrong)
        assert.is_false(ok)
        assert.matches("expected an integer", message, 1, true)
      end
      assert.is_false(pcall(a.compare_exchange, a, wrong, 1))
      assert.is_false(pcall(a.compare_exchange, a, 1, wrong))
      assert.is_false(pcall(iocp.Atomic, wrong))
    end
    assert.has_error(function() a:wake(-1) end)
    assert.has_error(function() a:wait(3, -1) end)
    assert.has_error(function() a.add(iocp.Heap(), 1) end)
    assert.equal(3, a:get())
  end)

  if has_integers then
    it("is any integer, and goes on at the smallest behind the largest", function()
      local a = iocp.Atomic(math.maxinteger)
      assert.equal(math.maxinteger, a:get())
      assert.equal(math.mininteger, a:add(1))
      assert.equal(math.maxinteger, a:sub(1))
      assert.equal(math.mininteger, a:min(math.mininteger))
      assert.equal(math.mininteger, a:sub(math.mininteger) + math.mininteger)
      assert.equal("integer", math.type(a:get()))
    end)
  else
    it("refuses to leave what numbers hold exactly, and stays", function()
      local a = iocp.Atomic(EXACT - 2)
      assert.equal(EXACT - 1, a:add(1))
      refused(a:add(1))
      refused(a:sub(-1))
      refused(a:add(EXACT - 1))
      assert.equal(EXACT - 1, a:get())
      assert.is_true(a:set(1 - EXACT))
      refused(a:sub(1))
      refused(a:add(1 - EXACT))
      assert.equal(1 - EXACT, a:get())
      assert.equal(0, a:add(EXACT - 1))
    end)
  end

  it("crosses as a reference, also before a state has required the module", function()
    local a = iocp.Atomic(1)
    local ok, value = iocp.Thread("local a = ... return a:add(1)", a):join(20000)
    assert.same({ true, 2 }, { ok, value })
    local port = iocp.IOCompletionPort()
    port:send { deep = { a } }
    local _, message = port:receive(0)
    assert.equal(a, message.deep[1])
    assert.equal(2, a:get())
  end)

  it("is opened by its handle while it lives", function()
    local a = iocp.Atomic(4)
    local handle = a:handle()
    assert.equal(a, iocp.Atomic.open(handle))
    assert.equal(a, iocp.Atomic.open(tonumber(handle)))
    assert.matches("^iocp%.Atomic: 0x%x+ %(4%)$", tostring(a))
    local _, _, code = iocp.Atomic.open(iocp.Heap():handle())
    assert.equal("INVALID", code)
    a = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    _, _, code = iocp.Atomic.open(handle)
    assert.equal("INVALID", code)
  end)

  it("is used after its collection in error, not in vain", function()
    local a = iocp.Atomic()
    getmetatable(a).__gc(a)
    assert.has_error(function() a:get() end)
    assert.has_error(function() a:add(1) end)
    assert.equal("iocp.Atomic: collected", tostring(a))
  end)
end)

describe("atomic:wait", function()
  it("returns at once where the value is another", function()
    local a = iocp.Atomic(1)
    assert.is_true(a:wait(0))
    assert.is_true(a:wait(0, 0))
  end)

  it("ends with its time", function()
    local a, start = iocp.Atomic(1), iocp.clock()
    local ok, _, code = a:wait(1, 0)
    assert.same({ nil, "TIMEOUT" }, { ok, code })
    _, _, code = a:wait(1, 30)
    assert.equal("TIMEOUT", code)
    assert.is_true(iocp.clock() - start >= (support.windows and 14 or 30))
  end)

  it("ends with a cancel", function()
    local thread = iocp.Thread(function(a) return select(3, a:wait(0)) end, iocp.Atomic())
    thread:cancel()
    local _, code = thread:join(20000)
    assert.equal("CANCELLED", code)
  end)

  -- Threads that wait for 0 to pass, once they do.
  local function waiting(a, n)
    local threads, asleep = {}, iocp.Atomic()
    for i = 1, n do
      threads[i] = iocp.Thread(function(x, s)
        s:add(1)
        return x:wait(0, 60000)
      end, a, asleep)
    end
    assert.is_true(support.eventually(function() return asleep:get() == n end))
    return threads
  end

  -- Wakes until so many were woken: a thread may not sleep yet.
  local function wake(a, n, at_once)
    local woken = 0
    assert.is_true(support.eventually(function()
      woken = woken + a:wake(at_once)
      return woken >= n
    end))
    return woken
  end

  it("ends with a wake, though the value is the same", function()
    local a = iocp.Atomic()
    local threads = waiting(a, 4)
    assert.equal(1, wake(a, 1, 1))
    assert.equal(3, wake(a, 3))
    assert.equal(0, a:wake())
    for _, result in ipairs(support.join_all(threads)) do
      assert.is_true(result)
    end
  end)

  it("is left by a thread that was killed, and the others are woken", function()
    local a = iocp.Atomic()
    local threads = waiting(a, 3)
    threads[1]:cancel("hard")
    assert.is_true(support.eventually(function() return threads[1]:status() ~= "running" end))
    assert.equal(2, wake(a, 2))
    assert.is_true(threads[2]:join(20000))
    assert.is_true(threads[3]:join(20000))
  end)

  it("frees the thread's slot for the time", function()
    local port, a, done = iocp.IOCompletionPort(1), iocp.Atomic(), iocp.Atomic()
    local function body(p, x, d)
      for key in p:packets() do
        if key == 1 then
          x:wait(0, 60000)
        else
          d:add(1)
        end
      end
    end
    local threads = { iocp.Thread(body, port, a, done), iocp.Thread(body, port, a, done) }
    port:enqueue(1)
    port:enqueue(2)
    assert.is_true(support.eventually(function() return done:get() == 1 end))
    a:set(1)
    a:wake()
    port:close()
    support.join_all(threads)
  end)

  it("tells a port", function()
    local port, a = iocp.IOCompletionPort(), iocp.Atomic()
    local timer = assert(a:notify(port, 3, 4, 0))
    assert.equal("TIMEOUT", select(3, port:dequeue(0)))
    a:wake()
    assert.same({ 3, 0, 4 }, { port:dequeue(0) })
    assert.is_false(timer:cancel())
    assert(a:notify(port, 5, nil, 1)) -- it is not 1
    assert.same({ 5, 0 }, { port:dequeue(0) })
    assert.is_true(a:notify(port, 6, nil, 0):cancel())
    a:wake()
    assert.equal("TIMEOUT", select(3, port:dequeue(0)))
    assert.has_error(function() a:notify(port, 1) end)
  end)

  it("yields in a fiber", function()
    local a, order = iocp.Atomic(), {}
    iocp.run(function()
      iocp.spawn(function()
        order[#order + 1] = "other"
        a:set(1)
        a:wake()
      end)
      assert.is_true(a:wait(0, 60000))
      order[#order + 1] = "woken"
      assert.equal("TIMEOUT", select(3, a:wait(1, 5)))
      assert.equal("TIMEOUT", select(3, a:wait(1, 0)))
      assert.is_true(a:wait(0))
      assert.has_error(function() a:wait(1, "x") end)
      local thread = iocp.Thread(function(x)
        x:set(2)
        x:wake()
      end, a)
      assert.is_true(a:wait(1, 60000))
      assert.is_true(thread:join(60000))
    end)
    assert.same({ "other", "woken" }, order)
  end)

  it("loses no wake-up between two threads that take turns", function()
    local turns = support.scaled(5000)
    local function play(a, mine, n)
      for _ = 1, n do
        while a:get() ~= mine do
          assert(a:wait(1 - mine, 60000))
        end
        a:set(1 - mine)
        a:wake(1)
      end
      return true
    end
    local a = iocp.Atomic()
    support.join_all { iocp.Thread(play, a, 0, turns), iocp.Thread(play, a, 1, turns) }
  end)

  it("makes a lock of compare_exchange, for eight threads", function()
    local rounds = support.scaled(2000)
    local lock, heap = iocp.Atomic(), iocp.Heap()
    local block = heap:alloc(8, true)
    local function body(l, h, b, n)
      for _ = 1, n do
        while not l:compare_exchange(0, 1) do
          assert(l:wait(1, 60000))
        end
        h:write(b, ("%08d"):format((tonumber(h:read(b)) or 0) + 1))
        l:set(0)
        l:wake(1)
      end
      return true
    end
    local threads = {}
    for i = 1, 8 do
      threads[i] = iocp.Thread(body, lock, heap, block, rounds)
    end
    support.join_all(threads)
    assert.equal(8 * rounds, tonumber(heap:read(block)))
  end)
end)

-- What each thread does, and when: see support.linear.
local function random_calls(a, go, seed, n, fields)
  local iocp = require "iocp" -- luacheck: ignore
  local clock, history, at = iocp.clock, {}, 1
  local function random(most) -- math.random is the process' in some Luas
    seed = (seed * 1103515245 + 12345) % 2147483648
    return math.floor(seed / 65536) % most
  end
  go:add(1)
  while go:get() < 8 do
    go:wait(go:get(), 100)
  end
  go:wake()
  local calls = {
    function() return a:get() end,
    function(x) return a:set(x) end,
    function(x) return a:add(x) end,
    function(x) return a:exchange(x) end,
    function(x, y) return a:compare_exchange(x, y) end,
    function(x) return a:max(x) end,
    function(x) return a:min(x) end,
    function(x) return a:sub(x) end,
  }
  for _ = 1, n do
    local which, x, y = random(8) + 1, random(5) - 2, random(5) - 2
    local began = clock()
    local first, second = calls[which](x, y)
    history[at], history[at + 1], history[at + 2], history[at + 3], history[at + 4] = began, clock(), which, x, y
    history[at + 5], history[at + 6], history[at + 7] = first, second == nil and 0 or second, 0
    at = at + fields
  end
  return history
end

local function model(state, history, at)
  local which, x, y, first, second = history[at], history[at + 1], history[at + 2], history[at + 3], history[at + 4]
  if which == 1 then
    return first == state, state
  elseif which == 2 then
    return true, x
  elseif which == 3 then
    return first == state + x, state + x
  elseif which == 4 then
    return first == state, x
  elseif which == 5 then
    local is = state == x
    return first == is and second == state, is and y or state
  elseif which == 6 then
    return first == math.max(state, x), math.max(state, x)
  elseif which == 7 then
    return first == math.min(state, x), math.min(state, x)
  end
  return first == state - x, state - x
end

describe("random calls of eight threads", function()
  it("have an order that a single number explains", function()
    local a, go, threads = iocp.Atomic(), iocp.Atomic(), {}
    for i = 1, 8 do
      threads[i] = iocp.Thread(random_calls, a, go, i * 7919, support.soaked(1250), linear.FIELDS)
    end
    local histories = support.join_all(threads)
    local ok, where = linear.check(histories, 0, model)
    assert.is_true(ok, where)
  end)

  it("are told from ones that have none", function()
    local right = { { 1, 2, 3, 1, 0, 1, 0, 0, 5, 6, 1, 0, 0, 2, 0, 0 }, { 1, 4, 3, 1, 0, 2, 0, 0 } }
    assert.is_true(linear.check(right, 0, model))
    right[1][14] = 1 -- it gets what the other had added to before
    assert.is_nil(linear.check(right, 0, model))
    local overlapping = { { 1, 9, 3, 1, 0, 2, 0, 0 }, { 2, 3, 3, 1, 0, 1, 0, 0 } }
    assert.is_true(linear.check(overlapping, 0, model))
    overlapping[2][1], overlapping[2][2] = 10, 11 -- it began later, and saw less
    assert.is_nil(linear.check(overlapping, 0, model))
  end)
end)
