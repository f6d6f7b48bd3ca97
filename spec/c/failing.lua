-- What failing_lua.c runs: everything that the module does, twice. The first time allocations fail: what a call refuses
-- it says, and what it accepts, happens. The second time nothing fails, and everything works.
--
-- Each part has an `act` and a `check`. While something fails `act` may be left at any place by an error that says so;
-- it writes down in numbers, which need no memory, what was accepted. `check` never fails.
local failing_on, failing_off = ...
local iocp
local parts = {}
local LONG = 20000 -- ms

-- Whether the last act ended with an error of Lua's own: what it had just taken from a port is then nobody's.
local interrupted = false

local OUT = {} -- what is raised for a call that says that memory is out

-- Errors that tell of it. A thread that could not be started says so with the system's number, EAGAIN; a pool whose
-- workers could not be, that it has none left.
local function tells_of_memory(message, code)
  message = type(message) == "string" and message or message == OUT and "out of memory" or ""
  return code == "NOMEM" or code == 11 or message:find("not enough memory") or message:find("out of memory")
    or message:find("it has no workers left") or message:find("its pool has no workers left")
end

-- The values of a call that succeeded.
local function need(value, ...)
  if value then
    return value, ...
  end
  local message, code = ...
  error(tells_of_memory(message, code) and OUT or debug.traceback(tostring(message) .. " " .. tostring(code)), 0)
end

-- The same of a call that takes something, which may be nothing.
local function take(value, ...)
  if not value and select(2, ...) == "TIMEOUT" then
    return nil
  end
  return need(value, ...)
end

-- ---- packets ----

local packets = { keys = {} }
parts.packets = packets
for i = 1, 16 do
  packets.keys[i] = i
end

function packets.act()
  local batch = {}
  packets.posted, packets.got = 0, 0
  packets.port = need(iocp.IOCompletionPort(1))
  for i = 1, 300 do
    if packets.port:enqueue(i) then
      packets.posted = packets.posted + i
    end
    if i % 30 == 0 and packets.port:enqueue_many(packets.keys) then
      packets.posted = packets.posted + 136
    end
    if i % 5 == 0 then
      local _, n = take(packets.port:dequeue_many(3, 0, batch))
      for k = 1, (n or 0) * 3, 3 do
        packets.got = packets.got + batch[k]
      end
    end
  end
  local n = 0
  for key in packets.port:packets(8) do
    packets.got, n = packets.got + key, n + 1
    if n == 11 then
      break
    end
  end
end

function packets.check()
  collectgarbage()
  local port = packets.port
  packets.port = nil
  if not port then
    return
  end
  while #port > 0 do
    packets.got = packets.got + assert(port:dequeue(0))
  end
  assert(packets.posted == packets.got or interrupted, "packets are lost")
  port:close()
end

-- ---- messages ----

local messages = { text = ("text "):rep(1000) }
parts.messages = messages

function messages.act()
  messages.sent, messages.got = 0, 0
  messages.port = need(iocp.IOCompletionPort())
  local shared = {}
  for i = 1, 20 do
    local value = { n = i, list = { 1, 2, { i } }, shared, shared, text = i % 3 == 0 and messages.text or nil,
      f = i % 4 == 0 and function() return i, shared end or nil, port = i % 5 == 0 and messages.port or nil }
    if messages.port:send(i, value) then
      messages.sent = messages.sent + i
    end
    if i % 4 == 0 then
      local _, n = take(messages.port:receive(0))
      messages.got = messages.got + (n or 0)
    end
  end
  local list = take(messages.port:receive_many(3, 0))
  for i = 1, list and #list or 0 do
    messages.got = messages.got + list[i][1]
  end
end

function messages.check()
  collectgarbage()
  local port = messages.port
  messages.port = nil
  if not port then
    return
  end
  while #port > 0 do
    local ok, n, value = assert(port:receive(0))
    assert(ok and value.n == n and value.list[3][1] == n and value[1] == value[2] and (not value.f or value.f() == n))
    messages.got = messages.got + n
  end
  assert(messages.sent == messages.got or interrupted, "messages are lost")
  port:send("what stays goes with the port", { iocp.Heap() })
  port:close()
end

-- ---- heaps ----

local heaps = {}
parts.heaps = heaps

function heaps.act()
  heaps.blocks, heaps.first, heaps.second = 0, nil, nil
  heaps.heap = need(iocp.Heap(0, 2 ^ 24))
  for i = 1, 40 do
    local address = need(heaps.heap:alloc(i * i * 40))
    heaps.blocks = heaps.blocks + 1
    if i % 3 == 0 then
      address = need(heaps.heap:realloc(address, i * 3000, true))
    end
    if i % 4 == 0 then
      need(heaps.heap:free(address))
      heaps.blocks = heaps.blocks - 1
    end
  end
  heaps.first = need(heaps.heap:put(messages.text))
  heaps.blocks = heaps.blocks + 1
  heaps.second = need(heaps.heap:encode({ heaps.heap, messages.text }, 2))
  heaps.blocks = heaps.blocks + 1
  local values = need(heaps.heap:decode(heaps.second))
  assert(values[2] == messages.text)
  assert(need(heaps.heap:read(heaps.first)) == messages.text)
end

function heaps.check()
  local heap = heaps.heap
  heaps.heap = nil
  if not heap then
    return
  end
  local n = 0
  for address, size in heap:walk() do
    assert(heap:size(address) == size)
    n = n + 1
  end
  assert(heap:validate() and heap:stats().blocks == n and (n == heaps.blocks or interrupted), "blocks are lost")
  if heaps.second then
    assert(heap:decode(heaps.second)[2] == messages.text and heap:take(heaps.first) == messages.text)
  end
  assert(heap:destroy())
end

-- ---- threads ----

local threads = { list = {} }
parts.threads = threads

local function joined(thread)
  local ok, result, code = thread:join(LONG)
  assert(ok or tells_of_memory(result), result)
  return ok and result, code
end

function threads.act()
  threads.port, threads.back = need(iocp.IOCompletionPort()), need(iocp.IOCompletionPort())
  threads.sent, threads.got = 0, 0
  for i = 1, 2 do
    threads.list[i] = need(iocp.Thread(function(port, back)
      local sum = 0
      while true do
        local ok, n, data = port:receive()
        if not ok then
          break
        end
        sum = sum + n
        back:send(n, data)
      end
      return sum
    end, threads.port, threads.back))
  end
  for i = 1, 20 do
    if threads.port:send(i, { i }) then
      threads.sent = threads.sent + 1
    end
  end
  for _, thread in ipairs(iocp.threads()) do
    assert(tostring(thread):find("^iocp.Thread: "))
  end
  local text = need(iocp.Thread { name = "text", body = "local a, b = ... error({a, b})" })
  local ok, message = text:join(LONG)
  assert(not ok and (tells_of_memory(message) or message:find("table")), message)
end

function threads.check()
  if threads.port then
    threads.port:close()
  end
  for i = #threads.list, 1, -1 do
    joined(threads.list[i])
    threads.list[i] = nil
  end
  threads.port, threads.back = nil, nil
end

-- ---- timers ----

local timers = {}
parts.timers = timers

function timers.act()
  timers.set = 0
  timers.port = need(iocp.IOCompletionPort())
  local asked = iocp.signal("HUP"):notify(timers.port, 1)
  assert(not asked or asked:cancel())
  for i = 1, 70 do
    local timer = timers.port:enqueue_after(i % 4, i)
    if timer then
      timers.set = timers.set + 1
      if i % 7 == 0 and timer:cancel() then
        timers.set = timers.set - 1
      end
    end
  end
end

function timers.check()
  local port = timers.port
  timers.port = nil
  if port then
    for _ = 1, timers.set do
      assert(port:dequeue(LONG))
    end
    assert(not port:dequeue(10))
  end
end

-- ---- lookups ----

local lookups = {}
parts.lookups = lookups

function lookups.act()
  local port, lookup = need(iocp.IOCompletionPort()), need(iocp.resolve("localhost", 80))
  need(lookup:notify(port, 1))
  assert(#need(lookup:wait()) >= 1)
  local asked = need(iocp.resolve("nosuch.invalid"))
  need(asked:notify(port, 2))
  asked:cancel()
end

function lookups.check()
  assert(iocp.resolve("127.0.0.1"):wait()[1].host == "127.0.0.1")
end

-- ---- pools ----

local pools = {}
parts.pools = pools

-- A task has ended well, or memory was out for it.
local function ended(task, expected)
  local ok, result, code = task:wait(LONG)
  -- The reason of another task, which this one was to run after, may have found no room.
  local because = code == "CANCELLED" and result:find("which it was to run after")
  assert(ok or because or tells_of_memory(result, code), result)
  assert(not ok or result == expected, "a wrong result")
  return ok
end

local function double(x)
  return x * 2
end

local function cut(x)
  return { x, ("%d"):format(x) }
end

-- The result of a loop, or nothing if memory was out.
local function looped(ok, result, message, code)
  if ok and result then
    return result
  elseif not ok then
    message = result
  end
  assert(tells_of_memory(message, code), message)
end

function pools.act()
  pools.pool = need(iocp.Pool { workers = 2, queue_limit = 20, name = "failing", init = function() return 5 end })
  local pool = pools.pool
  local tasks = {}
  for i = 1, 8 do
    tasks[i] = need(pool:submit(double, i))
  end
  need(pool:post(double, 4))
  local last = need(pool:task(function() return 7 end))
  need(last:after(tasks[1], tasks[2]))
  need(last:submit())
  local chained = need(tasks[3]:then_(double))
  local told = need(iocp.IOCompletionPort())
  need(last:notify(told, 1))
  need(last:notify(told, 2)):cancel()
  local late = need(pool:submit_after(2, double, 50))
  local again = need(pool:submit_every(1, double, 1))
  local inner = need(pool:submit(function(f)
    local _, own = require("iocp").Pool.current()
    local task = assert(require("iocp").Pool.current():submit(f, 3))
    return own and select(2, assert(task:wait()))
  end, double))
  for i = 1, 8 do
    ended(tasks[i], i * 2)
  end
  ended(last, 7)
  ended(chained, 12)
  ended(late, 100)
  ended(inner, 6)
  for _, one in ipairs(iocp.pools()) do
    assert(tostring(one):find("^iocp.Pool: "))
  end
  again:cancel()
end

-- Loops: what comes is right, or it is told that memory was out.
function pools.loops()
  local pool = pools.pool or need(iocp.Pool(2))
  pools.pool = pool
  local numbers = {}
  for i = 1, 40 do
    numbers[i] = i
  end
  local doubled = looped(pcall(pool.map, pool, numbers, double, { chunk = 3 }))
  assert(not doubled or #doubled == 40 and doubled[40] == 80)
  local tables = looped(pcall(pool.map, pool, numbers, cut, { chunk = 3, errors = "collect" }))
  for i = 1, tables and 40 or 0 do
    assert(not tables[i] or tables[i][1] == i)
  end
  looped(pcall(pool.parallel_for, pool, 1, 30, double))
  local sum = looped(pcall(pool.reduce, pool, numbers, function(a, b) return a + b end))
  assert(not sum or sum == 820)
end

function pools.check()
  local pool = pools.pool
  pools.pool = nil
  if pool then
    assert(pool:shutdown(LONG))
    local s = pool:stats()
    assert(s.submitted == s.completed + s.failed + s.cancelled and s.queued + s.active + s.live == 0)
  end
end

-- ---- what threads share ----

local shared = {}
parts.shared = shared

local function share_dict()
  local dict = need(iocp.Dict { maximum = 100000 })
  shared.dict, shared.last = dict, nil
  for i = 1, 40 do
    local value = { i, messages.text:sub(1, i * 10), i % 5 == 0 and shared.atomic or nil }
    local ok, message, code = dict:set("key " .. i, value, i % 3 == 0 and 60000 or nil)
    if ok then
      shared.last = i
    else
      need(ok, message, code)
    end
    local found = dict:get("key " .. i)
    assert(not found or found[1] == i)
    need(dict:incr("count", 1, 0))
    if i % 10 == 0 then
      dict:delete("key " .. i - 3)
      need(dict:add("added " .. i, i))
      need(dict:replace("added " .. i, i + 1))
      need(dict:update("added " .. i, function(n) return n + 1 end))
      need(dict:get_or_set("made " .. i, function() return i end))
      need(dict:keys())
    end
  end
end

local function share_frozen()
  local t = { list = {}, text = messages.text, f = function() return shared end, port = shared.port }
  for i = 1, 60 do
    t.list[i] = { id = i, name = "name " .. i, of = t, [i + 0.5] = i }
  end
  local frozen = iocp.Frozen(t)
  shared.frozen = frozen
  for i = 1, 60 do
    assert(frozen.list[i].name == "name " .. i and frozen.list[i].of == frozen and frozen.list[i][i + 0.5] == i)
  end
  for key, value in iocp.pairs(frozen.list[3]) do
    assert(frozen.list[3][key] == value)
  end
  assert(frozen.text == messages.text and frozen.port == shared.port and frozen.f())
  local copy = iocp.thaw(frozen)
  assert(#copy.list == 60 and copy.list[60].of == copy)
  need(shared.port:send(frozen.list[5]))
  local ok, part = take(shared.port:receive(0))
  assert(not ok or part == frozen.list[5])
end

function shared.act()
  shared.posted, shared.port, shared.dict, shared.frozen = 0, nil, nil, nil
  shared.atomic = need(iocp.Atomic(5))
  assert(shared.atomic:add(2) == 7 and shared.atomic:compare_exchange(7, 1) and not shared.atomic:wait(1, 0))
  shared.atomic:wake()
  local array = need(iocp.Array("double", 1000))
  array:fill(0.5)
  array:copy(array, 1, 500, 501)
  assert(array:get(1000) == 0.5 and #array:list() == 1000 and array:view(5, 6)[2] == 0.5)
  shared.port = need(iocp.IOCompletionPort { capacity = 4, on_full = "refuse" })
  for i = 1, 10 do
    if shared.port:enqueue(i) then
      shared.posted = shared.posted + 1
    end
  end
  assert(shared.posted <= 4)
  for _ = 1, 10 do
    if take(shared.port:dequeue(0)) then
      shared.posted = shared.posted - 1
    end
  end
  share_dict()
  share_frozen()
end

function shared.check()
  collectgarbage()
  local port, dict, frozen = shared.port, shared.dict, shared.frozen
  shared.port, shared.dict, shared.frozen, shared.atomic = nil, nil, nil, nil
  if port then
    while #port > 0 do
      assert(port:receive(0) or port:dequeue(0))
    end
    for i = 1, 4 do
      assert(port:enqueue(i), "a place is lost")
    end
    assert(select(3, port:enqueue(5)) == "FULL")
    port:close()
  end
  if dict then
    local stats = dict:stats()
    assert(stats.bytes <= stats.maximum and #dict:keys() == stats.count)
    assert(not shared.last or dict:get("key " .. shared.last)[1] == shared.last)
    assert(dict:get_or_set("after", function() return 1 end) == 1)
    assert(dict:flush() and dict:stats().bytes == 0)
  end
  assert(not frozen or frozen.list[7].id == 7 and iocp.thaw(frozen).list[60].name == "name 60")
end

-- ---- all ----

local order = { "packets", "messages", "heaps", "threads", "timers", "lookups", "pools", "shared" }

local function explain(message)
  return tells_of_memory(message) and message or debug.traceback(tostring(message))
end

local function act(f)
  failing_on()
  f()
end

local function try(f)
  local ok, message = xpcall(act, explain, f)
  failing_off()
  if not ok and not tells_of_memory(message) then
    error(message, 0)
  end
  interrupted = not ok and message ~= OUT
end

local function load_all()
  iocp = require "iocp"
end

try(load_all)
load_all()
for _, name in ipairs(order) do
  local part = parts[name]
  try(part.act)
  if part.loops then
    try(part.loops)
  end
  part.check()
end
for _, name in ipairs(order) do
  local part = parts[name]
  part.act()
  if part.loops then
    part.loops()
  end
  part.check()
end
