-- iocp.Frozen: a value in a block that all states read in place.
local iocp = require "iocp"
local support = require "support"

local seed = tonumber(os.getenv("IOCP_SPEC_SEED")) or os.time()
local has_ffi, ffi = pcall(require, "ffi")

local function collect()
  for _ = 1, 3 do
    collectgarbage()
  end
end

local function results(ok, ...)
  if not ok then
    error((...), 0)
  end
  return ...
end

local function in_thread(...)
  return results(iocp.Thread(...):join(support.patience(20000)))
end

-- ---- random values ----

local state
local function random(n)
  state = (state * 48271) % 2147483647
  return state % n + 1
end

local NUMBERS = { 0, 1, -1, 127, 2 ^ 31, 2 ^ 53, -2 ^ 53, 2 ^ 63, 0.5, -0.1, 1e-310, 1e308, 1 / 0, -1 / 0, -0.0, 3.0,
  math.maxinteger or 3, math.mininteger or -3, 7 }

local function text()
  local length = random(8) == 1 and random(300) or random(12) - 1
  return (string.char(random(256) - 1)):rep(length - length % 2) .. (length % 2 == 1 and tostring(random(50)) or "")
end

local function key(made)
  local kind = random(9)
  if kind <= 3 then
    return text()
  elseif kind <= 5 then
    return random(30) - 10
  elseif kind == 6 then
    return random(2) == 1
  elseif kind == 7 then
    return NUMBERS[random(#NUMBERS)]
  elseif kind == 8 then
    return made[random(#made)]
  end
  return random(100) + 0.5
end

local function value(made, depth)
  local kind = random(depth > 2 and 7 or 10)
  if kind == 1 then
    return random(2) == 1
  elseif kind <= 3 then
    return NUMBERS[random(#NUMBERS)]
  elseif kind <= 5 then
    return text()
  elseif kind == 6 then
    return made[random(#made)]
  elseif kind == 7 then
    return random(1000)
  end
  local t = {}
  made[#made + 1] = t
  for i = 1, random(8) - 1 do
    t[i] = value(made, depth + 1)
  end
  for _ = 1, random(8) - 1 do
    t[key(made)] = value(made, depth + 1)
  end
  return t
end

local function random_table(n)
  state = n % 2147483646 + 1
  local made = { {} }
  for _ = 1, random(20) do
    made[1][key(made)] = value(made, 0)
  end
  for i = 1, random(20) do
    made[1][i] = value(made, 0)
  end
  return made[1]
end

local function is_same_number(a, b)
  return a == b and 1 / a == 1 / b and (not math.type or math.type(a) == math.type(b))
end

-- Whether `other` is what `t` is: read by pairs and by keys, with a table there for each here. `pairs_of` reads it.
local function compare(t, other, pairs_of, known)
  if type(t) == "number" then
    return is_same_number(t, other)
  elseif type(t) ~= "table" then
    return rawequal(t, other)
  elseif known[t] then
    return rawequal(known[t], other)
  end
  known[t] = other
  local count = 0
  for k, v in pairs(t) do
    count = count + 1
    if type(k) ~= "table" then
      assert(compare(v, other[k], pairs_of, known), "by a key")
    end
  end
  for k, v in pairs_of(other) do
    count = count - 1
    assert(rawequal(other[k], v) or type(v) == "number" and is_same_number(other[k], v), "by its own key")
  end
  assert((#other == 0 or t[#other] ~= nil) and t[#other + 1] == nil, "its length")
  return count == 0
end

describe("a frozen value", function()
  local function plain()
    local t = { users = {}, list = { 1, 2, 3, "four" }, [1.5] = "half", [true] = false, [-1] = -1, [0] = 0, empty = {},
      long = ("long "):rep(50), [""] = "empty", ["a\0b"] = "\0", big = 2 ^ 60 }
    for i = 1, 100 do
      t.users[i] = { name = "user " .. i, id = i, of = t, tags = t.list }
    end
    t.self, t[t.list] = t, "by a table"
    return t
  end

  it("is read as the table that it was made of", function()
    local t = plain()
    local f = iocp.Frozen(t)
    for _ = 1, 3 do -- on LuaJIT by the classic metamethods, then by compiled ones
      assert.equal("user 42", f.users[42].name)
      assert.equal(42, f.users[42].id)
      assert.equal(4, #f.list)
      assert.equal(100, #f.users)
      assert.equal(0, #f.empty)
      for _, k in ipairs { 1.5, true, -1, 0, "long", "", "a\0b", "big" } do
        assert.equal(t[k], f[k])
      end
      assert.equal("by a table", f[f.list])
      for _, k in ipairs { "none", 1, 2 ^ 70, 0 / 0, false, "user 42", {}, print, io.stdout, iocp.Heap } do
        assert.is_nil(f[k])
      end
      assert.is_nil(f[nil])
      assert.is_nil(f.users[0])
      assert.is_nil(f.users[101])
      assert.is_nil(f.users[1.5])
      for i = 1, 100 do
        assert.equal("user " .. i, f.users[i].name)
      end
    end
  end)

  it("gives the same part for the same table, whichever way it is reached", function()
    local f = iocp.Frozen(plain())
    for _ = 1, 40 do
      assert.is_true(rawequal(f, f.self.self))
      assert.is_true(rawequal(f.users[1].tags, f.list))
      assert.is_true(rawequal(f.users[7].of.users, f.users))
      assert.is_true(f.users == f.self.users)
      assert.is_false(f.users == f.list)
    end
    local other = iocp.Frozen(plain())
    assert.is_false(f == other)
    assert.is_false(f.list == other.list)
    local by_part = { [f.list] = 1, [f.users] = 2 }
    assert.equal(1, by_part[f.users[9].tags])
  end)

  it("is a userdata that says what it is", function()
    local f = iocp.Frozen { a = {} }
    assert.equal("userdata", type(f))
    assert.matches("^iocp%.Frozen: 0x%x+ %(table 1 of 2, in %d+ bytes%)$", tostring(f))
    assert.matches("table 2 of 2", tostring(f.a))
    assert.equal("iocp.Frozen", getmetatable(f))
    local ok, message = pcall(function() iocp.Atomic(f) end)
    assert.is_false(ok)
    assert.matches("iocp%.Frozen", message)
  end)

  it("is iterated by iocp.pairs and iocp.ipairs, as plain tables are, in the order of the elements", function()
    local f = iocp.Frozen(plain())
    for _ = 1, 30 do
      local i = 0
      for k, v in iocp.ipairs(f.users) do
        i = i + 1
        assert.equal(i, k)
        assert.equal(i, v.id)
      end
      assert.equal(100, i)
      i = 0
      for k, v in iocp.pairs(f.users) do
        i = i + 1
        assert.equal(i, k)
        assert.equal("user " .. i, v.name)
      end
      local seen = {}
      for k, v in iocp.pairs(f) do
        assert.equal(f[k], v)
        seen[k] = true
      end
      assert.is_true(seen.users and seen[true] and seen[0] and seen[f.list])
    end
    assert.is_nil((iocp.pairs(f.empty))(f.empty))
    local sum = 0
    for k, v in iocp.pairs { 10, 20, x = 30 } do
      sum = sum + v + (k == "x" and 1 or 0)
    end
    for i, v in iocp.ipairs { 1, 2 } do
      sum = sum + i * v
    end
    assert.equal(66, sum)
    assert.has_error(function() iocp.pairs() end)
    assert.has_error(function() iocp.ipairs() end)
  end)

  it("is iterated by pairs and ipairs where the Lua asks for it", function()
    local f = iocp.Frozen(plain())
    if _VERSION == "Lua 5.1" then
      return -- LuaJIT, too: it knows no such metamethods
    end
    local n = 0
    for k, v in pairs(f) do
      assert.equal(f[k], v)
      n = n + 1
    end
    assert.equal(13, n)
    n = 0
    for i, v in ipairs(f.list) do
      n = n + 1
      assert.equal(f.list[i], v)
    end
    assert.equal(4, n)
  end)

  it("cannot be changed, which an error says", function()
    local f = iocp.Frozen(plain())
    for _ = 1, 40 do
      for _, write in ipairs {
        function() f.users = 1 end,
        function() f.new = 1 end,
        function() f.list[1] = nil end,
        function() f.list[5] = 5 end,
        function() f[f.list] = 5 end,
      } do
        local ok, message = pcall(write)
        assert.is_false(ok)
        assert.matches("frozen_spec.lua:%d+: a frozen value cannot be changed: iocp%.thaw gives a copy", message)
      end
      assert.equal(1, f.list[1])
    end
    assert.has_error(function() rawset(f, "x", 1) end)
    assert.has_error(function() setmetatable(f, {}) end)
    assert.has_error(function() table.insert(f.list, 1) end)
    assert.same({ 1, 2, 3, "four" }, iocp.thaw(f.list))
  end)

  it("is thawed as a copy of its own, with what is shared", function()
    local t = plain()
    local f = iocp.Frozen(t)
    local copy = iocp.thaw(f)
    assert.is_true(compare(t, copy, pairs, {}))
    copy.users[1].name = "another"
    copy.list[5] = 5
    assert.equal(5, #copy.users[3].tags)
    assert.equal("user 1", f.users[1].name)
    assert.equal(4, #f.list)
    assert.is_true(iocp.thaw(f.users)[1].of.users ~= nil)
    assert.is_false(rawequal(iocp.thaw(f.list), iocp.thaw(f.list)))
    for _, other in ipairs { 5, "text", false, t } do
      assert.equal(other, iocp.thaw(other))
    end
    assert.is_nil(iocp.thaw(nil))
    assert.has_error(function() iocp.thaw() end)
  end)

  it("is what it was, whatever becomes of the table", function()
    local t = plain()
    local f = iocp.Frozen(t)
    t.users[1].name, t.list[1], t.new = "x", nil, 1
    assert.equal("user 1", f.users[1].name)
    assert.equal(1, f.list[1])
    assert.is_nil(f.new)
  end)

  it("reads as a plain table and thaws to one, whatever is in it", function()
    for i = 1, support.soaked(100) do
      local t = random_table(seed + i)
      local f = iocp.Frozen(t)
      local told = "seed " .. seed + i
      assert.is_true(compare(t, f, iocp.pairs, {}), told)
      assert.is_true(compare(t, f, iocp.pairs, {}), told)
      local copy = iocp.thaw(f)
      assert.is_true(compare(t, copy, pairs, {}), told)
      assert.is_true(compare(copy, t, pairs, {}), told)
      assert.is_true(compare(copy, iocp.Frozen(copy), iocp.pairs, {}), told)
    end
  end)

  it("is made of a table, or is itself", function()
    local f = iocp.Frozen { 1, { 2 } }
    assert.is_true(rawequal(f, iocp.Frozen(f)))
    assert.is_true(rawequal(f[2], iocp.Frozen(f[2])))
    for _, wrong in ipairs { 5, "text", true, print, iocp.Heap() } do
      local ok, message = pcall(iocp.Frozen, wrong)
      assert.is_false(ok)
      assert.matches("value: expected a table", message)
    end
    assert.has_error(function() iocp.Frozen() end)
  end)

  it("refuses what cannot cross, and says where that was", function()
    local ok, message = pcall(iocp.Frozen, { list = { 1, { thread = coroutine.create(function() end) } } })
    assert.is_false(ok)
    assert.matches("value%.list%[2%]%.thread", message)
    assert.has_error(function() iocp.Frozen { [io.stdout] = 1 } end)
    assert.has_error(function() iocp.Frozen { function() return io.stdout, ok, coroutine.running end,
      setmetatable({}, {}), { { newproxy and newproxy() or io.stdout } } } end)
  end)

  it("refuses what stays in its thread, and says where that was", function()
    local ok, message = pcall(iocp.Frozen, { list = { iocp.Condition() } })
    assert.is_false(ok)
    assert.matches("value%.list%[1%]: table %(iocp%.Condition: it stays in its thread%)", message)
  end)

  it("has deep and long parts without nesting itself", function()
    local t = { depth = 0 }
    local at = t
    for i = 1, 50000 do
      at.next = { depth = i }
      at = at.next
    end
    local f = iocp.Frozen(t)
    local n, part = 0, f
    while part.next do
      n, part = n + 1, part.next
    end
    assert.equal(50000, n)
    assert.equal(50000, part.depth)
    local copy = iocp.thaw(f)
    n = 0
    while copy.next do
      n, copy = n + 1, copy.next
    end
    assert.equal(50000, n)
  end)

  it("has a million entries as it has ten", function()
    local n = support.scaled(1000000)
    local t = { by_name = {}, list = {} }
    for i = 1, n do
      t.by_name["name " .. i], t.list[i] = i, i / 2
    end
    local f = iocp.Frozen(t)
    for i = 1, n, 997 do
      assert.equal(i, f.by_name["name " .. i])
      assert.equal(i / 2, f.list[i])
    end
    assert.is_nil(f.by_name["name 0"])
    assert.equal(n, #f.list)
    local sum, count = 0, 0
    for _, i in iocp.pairs(f.by_name) do
      sum, count = sum + i, count + 1
    end
    assert.equal(n, count)
    assert.equal(n * (n + 1) / 2, sum)
  end)

  it("has no string but the empty one, or none", function()
    local f = iocp.Frozen { "", [""] = { "" } }
    for _ = 1, 100 do
      assert.same({ "", "" }, { f[1], f[""][1] })
      assert.is_nil(f.x)
    end
    assert.same({ "", [""] = { "" } }, iocp.thaw(f))
    assert.is_nil(iocp.Frozen { 1 }[""])
  end)

  it("finds strings that differ in their last byte, and keys that differ in their kind", function()
    local t = { [1] = "number", ["1"] = "string", [true] = "boolean", ["true"] = "text" }
    for i = 0, 255 do
      t[("x"):rep(100) .. string.char(i)] = i
    end
    local f = iocp.Frozen(t)
    for _ = 1, 2 do
      for k, v in pairs(t) do
        assert.equal(v, f[k])
      end
    end
  end)
end)

describe("what is no table in a frozen value", function()
  it("is a copy in each state, as if it had been sent: a function with its upvalues", function()
    local count = 0
    local f = iocp.Frozen { next = function() count = count + 1 return count end, format = string.format }
    assert.equal(string.format, f.format)
    assert.equal(1, f.next())
    assert.equal(2, f.next()) -- the reader remembers it
    assert.equal(0, count)
    assert.equal(1, in_thread(function(frozen) return frozen.next() end, f))
    assert.equal(3, iocp.thaw(f).next())
  end)

  it("is the same object", function()
    local port, atomic = iocp.IOCompletionPort(), iocp.Atomic(5)
    local f = iocp.Frozen { port = port, list = { atomic, port }, [atomic] = "a key" }
    assert.equal(port, f.port)
    assert.equal(port, f.list[2])
    assert.is_true(rawequal(f.port, f.list[2]))
    f.list[1]:add(1)
    assert.equal(6, atomic:get())
    f.port:send("text")
    assert.equal("text", select(2, port:receive(0)))
    for k, v in iocp.pairs(f) do
      assert.equal(v, f[k])
    end
    assert.equal(7, in_thread(function(frozen) return frozen.list[1]:add(1) end, f))
  end)

  it("is another frozen value, by reference", function()
    local inner = iocp.Frozen { x = { 1 } }
    local f = iocp.Frozen { inner = inner, part = inner.x }
    assert.is_true(rawequal(inner, f.inner))
    assert.is_true(rawequal(inner.x, f.part))
    assert.is_true(rawequal(inner, iocp.thaw(f).inner))
    assert.has_error(function() f.inner.x[1] = 2 end)
  end)

  it("is cdata, too", function()
    if not has_ffi then
      return
    end
    local f = iocp.Frozen { ffi.new("int64_t", 2 ^ 40), ffi.new("double[2]", 1, 2) }
    assert.equal(2 ^ 40, tonumber(f[1]))
    assert.equal(2, f[2][1])
  end)

  it("lives as long as the block", function()
    local before = #iocp.threads()
    local heap = iocp.Heap()
    local handle = heap:handle()
    local f = iocp.Frozen { { heap = heap } }
    heap = nil -- luacheck: ignore
    collect()
    assert.is_truthy(iocp.Heap.open(handle))
    f = f[1]
    collect()
    assert.is_truthy(f.heap:alloc(10))
    f = nil -- luacheck: ignore
    collect()
    assert.is_true(support.eventually(function()
      collect()
      return not iocp.Heap.open(handle)
    end))
    assert.equal(before, #iocp.threads())
  end)
end)

describe("the metatable of a table", function()
  local Point = { __index = { sum = function(self) return self.x + self.y end } }
  iocp.register("frozen_spec.Point", Point)

  it("comes back when it is thawed, where it is registered", function()
    local f = iocp.Frozen { setmetatable({ x = 1, y = 2 }, Point), setmetatable({}, { __index = print }) }
    assert.is_nil(f[1].sum)
    assert.equal(1, f[1].x)
    local copy = iocp.thaw(f)
    assert.equal(3, copy[1]:sum())
    assert.is_nil(getmetatable(copy[2]))
    local ok, message = in_thread(function(frozen) return pcall(require "iocp".thaw, frozen) end, f)
    assert.is_false(ok)
    assert.matches("metatable 'frozen_spec%.Point' is not known in this state: iocp%.register it there too", message)
    assert.equal(3, in_thread(function(frozen) return frozen[1].x + frozen[1].y end, f))
  end)
end)

describe("a frozen value that crosses", function()
  it("is the same block for all, as is a part of it", function()
    local f = iocp.Frozen { users = { { name = "a" }, { name = "b" } } }
    local name, is_part, is_write_refused, back = in_thread(function(frozen, part)
      local refused = not pcall(function() frozen.users = 1 end)
      return frozen.users[2].name, rawequal(frozen.users, part), refused, part
    end, f, f.users)
    assert.same({ "b", true, true }, { name, is_part, is_write_refused })
    assert.is_true(rawequal(f.users, back))
    local port = iocp.IOCompletionPort()
    assert(port:send { list = { f.users[1], f, f } })
    local _, message = assert(port:receive(0))
    assert.is_true(rawequal(f.users[1], message.list[1]))
    assert.is_true(rawequal(f, message.list[3]))
    port:close()
  end)

  it("costs the same, however large it is", function()
    local t = {}
    for i = 1, 10000 do
      t[i] = { name = "name " .. i }
    end
    local heap, f = iocp.Heap(), iocp.Frozen(t)
    local address = assert(heap:encode(f[5000]))
    assert.is_true(heap:size(address) <= 64)
    assert.equal("name 5000", heap:decode(address).name)
    assert.is_true(rawequal(f[5000], (heap:decode(address))))
  end)

  it("is gone from a heap with its last reference, since a block of a heap holds none", function()
    local heap = iocp.Heap()
    local address = assert(heap:encode(iocp.Frozen { 1 }))
    collect()
    local gone, message = heap:decode(address)
    assert.is_nil(gone)
    assert.matches("iocp%.Frozen in the block is gone", message)
  end)

  it("outlives who made it", function()
    local f = in_thread(function()
      return require "iocp".Frozen { list = { 1, 2, 3 } }
    end)
    collect()
    assert.equal(3, #f.list)
    local part = f.list
    f = nil -- luacheck: ignore
    collect()
    assert.equal(2, part[2])
  end)

  it("is read by a pool's workers and kept in a dictionary", function()
    local pool, dict = iocp.Pool { workers = 2 }, iocp.Dict()
    local f = iocp.Frozen { factors = { 2, 3, 5 } }
    dict:set("table", f)
    assert.is_true(rawequal(f, (dict:get("table"))))
    local results_of = {}
    for i = 1, 3 do
      results_of[i] = pool:submit(function(frozen, k) return frozen.factors[k] * 10 end, f, i)
    end
    for i, expected in ipairs { 20, 30, 50 } do
      assert.equal(expected, select(2, assert(results_of[i]:wait())))
    end
    pool:close()
  end)
end)

describe("many threads", function()
  it("read the same block at a time, while parts come and go and the block is dropped and made", function()
    local rounds, n = support.scaled(20), 500
    for round = 1, 2 do
      local t = { rows = {}, names = {} }
      for i = 1, n do
        t.rows[i] = { id = i, name = "row " .. i, again = t.names, f = i % 50 == 0 and function() return i end or nil }
        t.names["row " .. i] = t.rows[i]
      end
      local f, threads = iocp.Frozen(t), {}
      for k = 1, 8 do
        threads[k] = assert(iocp.Thread(function(frozen, count, times, step)
          local iocp = require "iocp" -- luacheck: ignore
          local sum = 0
          for _ = 1, times do
            for i = 1, count do
              local at = (i + step * 37) % count + 1
              local row = frozen.rows[at]
              sum = sum + row.id + #row.name + row.again["row " .. at].id + (row.f and row.f() or 0)
            end
            for _, row in iocp.pairs(frozen.names) do
              sum = sum + row.id
            end
            sum = sum + #iocp.thaw(frozen.rows[step]).name
            collectgarbage "step"
          end
          return sum
        end, f, n, rounds, k))
      end
      f = nil -- luacheck: ignore
      collect()
      local expected = 0
      for i = 1, n do
        expected = expected + 3 * i + #("row " .. i) + (i % 50 == 0 and i or 0)
      end
      for k, thread in ipairs(threads) do
        local sum = results(thread:join(support.patience(60000)))
        assert.equal((expected + #("row " .. k)) * rounds, sum, "round " .. round)
      end
    end
  end)
end)

--- What has the finalizer.
local function watched(finalizer)
  if not newproxy then return setmetatable({}, { __gc = finalizer }) end -- luacheck: ignore
  local proxy = newproxy(true) -- luacheck: ignore
  getmetatable(proxy).__gc = finalizer
  return proxy
end

describe("collected together with what a finalizer belongs to", function()
  it("is read there, or the error says so", function()
    local answers = {}
    local function drop()
      local part
      local object = watched(function() -- older than the part, so that the part's is called first
        answers = { { pcall(function() return part.x end) }, { pcall(iocp.thaw, part) } }
      end)
      part = iocp.Frozen { x = object and 1 }
    end
    drop()
    for _ = 1, 3 do collectgarbage() end
    assert.equal(2, #answers)
    for _, answer in ipairs(answers) do
      assert.is_true(answer[1] or answer[2]:find("an object that was not collected", 1, true) ~= nil, answer[2])
    end
  end)
end)

describe("at the end of a state", function()
  it("a finalizer that reads a part finds it or is told, and nothing crashes", function()
    local code = support.child([[
      local iocp = require "iocp"
      local f = iocp.Frozen { list = { { x = 1 } }, f = function() end, heap = iocp.Heap() }
      local function watch(finalizer)
        if newproxy then
          local p = newproxy(true)
          getmetatable(p).__gc = finalizer
          return p
        end
        return setmetatable({}, { __gc = finalizer })
      end
      local part = f.list
      local step = iocp.pairs(f)
      for i = 1, 100 do local _ = f.list[1].x end
      keep = { watch(function()
        for i = 1, 100 do pcall(function() return part[1].x + #part, tostring(part), part == f, iocp.thaw(part) end) end
        pcall(function() for k, v in iocp.pairs(f) do local _ = k, v end end)
        pcall(function() while step() do end end)
        pcall(iocp.IOCompletionPort().send, iocp.IOCompletionPort(), part)
      end) }
    ]])
    assert.equal(0, code)
  end)
end)
