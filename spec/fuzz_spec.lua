-- Random input: whatever a method is given, the answer is an error or nil, message, code, never a crash or a hang.
local iocp = require "iocp"
local support = require "support"

local seed = tonumber(os.getenv("IOCP_SPEC_SEED")) or os.time()

-- A generator of our own, so that a printed seed repeats a run on every Lua.
local state = seed % 2147483647
local function random(n)
  state = (state * 48271) % 2147483647
  return state % n + 1
end

local objects = {}
local function some_object()
  return objects[random(#objects)]
end

local numbers = { 0, 1, 2, 7, 48, 4096, -1, -0.5, 0.5, 1e-300, 2 ^ 31, 2 ^ 32, 2 ^ 32 - 1, 2 ^ 47, 2 ^ 52,
  2 ^ 53 - 1, 2 ^ 53,
  2 ^ 63, 2 ^ 64, -2 ^ 63, 1e308, 1 / 0, -1 / 0, 0 / 0 }
local strings = { "", "x", "0x0000000000400000", "0xffffffffffffffff", "hard", "return ...", "return", "\0\27",
  ("y"):rep(5000) }
local addresses = {}

local makers = {
  function() return nil end,
  function() return random(2) == 1 end,
  function() return numbers[random(#numbers)] end,
  function() return random(100000) end,
  function() return strings[random(#strings)] end,
  function() return some_object() end,
  function() return some_object():handle() end,
  function() return addresses[random(200)] or 16 end,
  function() return (addresses[random(200)] or 16) + random(64) - 32 end,
  function() return { random(9), 2, 3 } end,
  function() return { some_object(), "x" } end,
  function() return type end,
  function() return io.stdout end,
  function() return coroutine.create(function() end) end,
}

-- What would rightly wait for ever, or run what it is given, is called with care by the specs of its own.
local skipped = { packets = true, walk = true, join = true, resume = true, lock = true }
local waits = { dequeue = 2, dequeue_many = 3, receive = 2, receive_many = 3 }

local function replace(i)
  local kinds = {
    function() return iocp.IOCompletionPort(random(4)) end,
    function() return iocp.Heap(0, random(2) == 1 and 10000000 or 0) end,
    function() return iocp.Thread { body = "", suspended = true } end,
  }
  objects[i] = assert(kinds[random(3)]())
end

local function call(f, ...)
  local results = { pcall(f, ...) }
  if results[1] then
    -- nil alone, or nil with a message and a code.
    if results[2] == nil and #results > 2 then
      assert(type(results[3]) == "string", "a failure without a message")
      assert(type(results[4]) == "string" or type(results[4]) == "number", "a failure without a code")
    end
  else
    assert(type(results[2]) == "string" and #results[2] > 10, "an error that says nothing")
  end
  return results[1] and results[2]
end

local function one_call()
  local object = some_object()
  local methods = getmetatable(object).__index
  local names = {}
  for name in pairs(methods) do
    if not skipped[name] then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  local name = names[random(#names)]
  local arguments, count = {}, random(5) - 1
  for i = 1, count do
    arguments[i] = makers[random(#makers)]()
  end
  if waits[name] then
    arguments[waits[name] - 1] = ({ 0, -1, 0 / 0, "x" })[random(4)] -- a timeout that does not wait, or none at all
    count = math.max(count, waits[name] - 1)
  end
  local self = random(20) == 1 and makers[random(#makers)]() or object
  local result = call(methods[name], self, (unpack or table.unpack)(arguments, 1, count))
  if name == "alloc" or name == "realloc" or name == "put" then
    addresses[random(200)] = type(result) == "number" and result or nil
  end
end

local function one_class_call()
  local class = ({ iocp.IOCompletionPort, iocp.Heap })[random(2)]
  local f = ({ class.open, class.adopt, class })[random(3)]
  local object = call(f, makers[random(#makers)](), makers[random(#makers)]())
  if type(object) == "userdata" and pcall(object.handle, object) then
    objects[random(#objects)] = object
  end
end

describe("random input", function()
  it("never crashes; the seed is " .. ("%d"):format(seed), function()
    for i = 1, 30 do
      replace(i)
    end
    for i = 1, 200 do
      addresses[i] = 0
    end
    for i = 1, support.scaled(150000) do
      if i % 50 == 0 then
        replace(random(#objects))
      end
      if i % 20 == 0 then
        one_class_call()
      else
        one_call()
      end
    end
    print(("\nrandom input: seed %d"):format(seed))
    local port, heap = iocp.IOCompletionPort(), iocp.Heap() -- all still works
    port:enqueue(heap:alloc(48), 48)
    assert.is_true(heap:free((port:dequeue(0))))
    assert.is_true(heap:validate())
  end)

  it("to Thread never crashes", function()
    for _ = 1, support.scaled(2000) do
      call(iocp.Thread, makers[random(#makers)](), makers[random(#makers)](), makers[random(#makers)]())
      call(iocp.Thread, { body = makers[random(#makers)](), name = makers[random(#makers)](), stack = random(2 ^ 20),
        suspended = true })
    end
  end)
end)
