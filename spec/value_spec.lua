-- Values across states: what crosses, how it arrives, what is refused, and that nothing is left behind.
local iocp = require "iocp"
local support = require "support"
local values = require "support.values"

local seed = tonumber(os.getenv("IOCP_SPEC_SEED")) or os.time()
local has_ffi, ffi = pcall(require, "ffi")

local function collect()
  collectgarbage()
  collectgarbage()
end

-- busted's assert returns more than it is given.
local function results(ok, ...)
  if not ok then
    error((...), 0)
  end
  return ...
end

-- The values as they arrive here again.
local function crossed(...)
  local port = iocp.IOCompletionPort()
  results(port:send(...))
  return results(port:receive(0))
end

-- The values as another state has them, sent back.
local function there_and_back(...)
  return results(iocp.Thread(function(...) return ... end, ...):join(10000))
end

describe("a value that crosses", function()
  it("is nil, also in the middle and at the end", function()
    for _, cross in ipairs { crossed, there_and_back } do
      assert.equal(0, select("#", cross()))
      assert.equal(1, select("#", cross(nil)))
      assert.equal(4, select("#", cross(nil, 1, nil, nil)))
      assert.same({ nil, 1, nil, 2 }, { cross(nil, 1, nil, 2) })
    end
  end)

  it("is a boolean or a number, bit for bit", function()
    local numbers = { 0, 1, -1, 127, 128, -128, 2 ^ 31, 2 ^ 53, -2 ^ 53, 2 ^ 53 - 1, 2 ^ 63, 2 ^ 64, 1e308, 5e-324, 0.1,
      1 / 0, -1 / 0, -0.0, 3.0, math.maxinteger or 1, math.mininteger or 1 }
    for _, number in ipairs(numbers) do
      local arrived = there_and_back(number)
      assert.equal(number, arrived)
      assert.equal(1 / number, 1 / arrived)
      if math.type then
        assert.equal(math.type(number), math.type(arrived))
      end
    end
    local nan = there_and_back(0 / 0)
    assert.is_true(nan ~= nan)
    assert.same({ true, false }, { there_and_back(true, false) })
  end)

  it("is a string of any bytes and length", function()
    for length = 0, 300 do
      local text = ("\0\255x"):rep(100):sub(1, length)
      assert.equal(text, (crossed(text)))
    end
    for _, length in ipairs { 1000, 2040, 2048, 4096, 65536, 1048576, 3000000 } do
      local text = ("x"):rep(length - 1) .. "y"
      assert.is_true(text == there_and_back(text))
    end
  end)

  it("is a table with any keys, shared parts and cycles", function()
    local shared = { 1, 2, x = { y = {} } }
    local t = { "a", "b", nil, "d", [0] = 0, [-1] = -1, [1.5] = 1.5, [true] = false, name = shared, other = shared }
    t.self, t[t], t[shared] = t, shared, t
    for _, cross in ipairs { crossed, there_and_back } do
      local arrived, again = cross(t, shared)
      assert.equal(again, arrived.name)
      assert.equal(again, arrived.other)
      assert.equal(arrived, arrived.self)
      assert.equal(again, arrived[arrived])
      assert.equal(arrived, arrived[again])
      assert.same({ "a", "b", nil, "d", 0, -1, 1.5, false },
        { arrived[1], arrived[2], arrived[3], arrived[4], arrived[0], arrived[-1], arrived[1.5], arrived[true] })
      assert.same({ 1, 2, x = { y = {} } }, again)
      assert.are_not.equal(shared, again)
    end
  end)

  it("is a table of a million elements, or keys", function()
    local n = support.scaled(1000000)
    local array, hash = {}, {}
    for i = 1, n do
      array[i], hash["key " .. i] = i, i
    end
    local a, h = crossed(array, hash)
    assert.equal(n, #a)
    for i = 1, n do
      assert(a[i] == i and h["key " .. i] == i)
    end
  end)

  it("is any number of tables with the same keys, whichever of them come again", function()
    for _, count in ipairs { 1, 2, 31, 32, 33, 200, 5000 } do
      local names, rows = {}, {}
      for i = 1, count do
        names[i] = ("key"):rep(i % 25) .. i
      end
      for i = 1, 4 do
        rows[i] = {}
        for j = i, count, i do
          rows[i][names[j]] = { [names[j]] = i, [names[count - j + 1]] = { names[j] } }
        end
      end
      local first, again, last, one = crossed(rows, rows, rows[1], 1)
      assert.same({ rows, rows[1], 1 }, { first, last, one })
      assert.is_true(again == first and last == first[1])
    end
    assert.same({ {}, {}, "x" }, { crossed({}, {}, "x") })
  end)

  it("is any number of tables whose keys come in the same order, or in another, with other keys between", function()
    local rows = {}
    for i = 1, 200 do
      rows[i] = { id = i, x = i, y = { x = i % 3, [""] = i % 7 == 0 or nil }, name = i % 5 > 0 and "n" .. i or nil, i,
        [i] = i, [i + 0.5] = "x", [i % 2 == 0] = "name", [{}] = nil, [("long"):rep(30)] = i % 11 > 0 or nil }
      if i % 3 == 0 then
        rows[i].id = nil
        rows[i].last, rows[i].id = i, -i
      end
    end
    assert.same(rows, (crossed(rows)))
  end)

  it("is a nest of 10,000 tables; one of more than 100,000 is an error", function()
    local function nest(depth)
      local outermost = {}
      local t = outermost
      for _ = 2, depth do
        t[1], t.x = {}, true
        t = t[1]
      end
      t[1] = "innermost"
      return outermost
    end
    for _, depth in ipairs { 31, 32, 33, 34, 100, 10000, 100000 } do
      local t, levels = crossed(nest(depth)), 0
      while type(t) == "table" do
        assert(t.x or levels == depth - 1)
        t, levels = t[1], levels + 1
      end
      assert.same({ "innermost", depth }, { t, levels })
    end
    local ok, message = pcall(crossed, nest(100001))
    assert.is_false(ok)
    assert.matches("cannot send arg 1[1][1]", message, 1, true)
    assert.matches("nested deeper than 100000 levels", message, 1, true)
  end)

  it("is a nest of functions", function()
    local f = function() return "innermost" end
    for _ = 1, 1000 do
      local inner = f
      f = function() return inner end
    end
    local arrived, levels = there_and_back(f), 0
    while type(arrived) == "function" do
      arrived, levels = arrived(), levels + 1
    end
    assert.same({ "innermost", 1001 }, { arrived, levels })
  end)

  it("is a Lua function with copies of its upvalues", function()
    local n, config = 5, { step = 2 }
    local function add()
      n = n + config.step
      return n
    end
    assert.equal(9, select(2, iocp.Thread(function() add() return add() end):join(10000)))
    local arrived = crossed(add)
    assert.equal(7, arrived())
    assert.equal(5, n)
    local function factorial(x) return x < 2 and 1 or x * factorial(x - 1) end
    assert.equal(120, crossed(factorial)(5))
    local deep = { { add = add, config = config } }
    local t = crossed(deep)
    t[1].config.step = 10
    assert.equal(15, t[1].add()) -- the upvalue's table is the table beside it
  end)

  it("is a set of functions that still share their upvalues", function()
    local n = 0
    local function increment() n = n + 1 end
    local function read() return n end
    local i, r = crossed(increment, read)
    i()
    i()
    assert.equal(values.shares_upvalues and 2 or 0, r())
    assert.equal(0, n)
  end)

  it("is a function whose globals are the receiver's, and whose errors say where they are", function()
    rawset(_G, "spec_global", "the sender's")
    local function look() return rawget(_G, "spec_global"), print == _G.print end
    local _, seen, same = iocp.Thread("local f = ... spec_global = 'the thread\\'s' return f()", look):join(10000)
    rawset(_G, "spec_global", nil)
    assert.same({ "the thread's", true }, { seen, same })
    local function fail() error("here") end
    local _, message = pcall((there_and_back(fail)))
    assert.matches("value_spec.lua:%d+: here", message)
  end)

  it("is a C function or module, by its name", function()
    local named = { print, string, string.format, _G, coroutine.wrap, iocp, iocp.Heap, iocp.Thread.open, iocp.sleep }
    local arrived = { crossed(values.unpack(named)) }
    for i, value in ipairs(named) do
      assert.is_true(rawequal(value, arrived[i]))
    end
    local is_same = iocp.Thread(function(p, s, f, g, i, v)
      return p == print and s == string and f == string.format and g == _G and i == require("iocp")
        and v == (table.unpack or unpack)
    end, print, string, string.format, _G, iocp, values.unpack)
    assert.same({ true, true }, { is_same:join(10000) })
    package.loaded["spec.module"] = { f = math.floor, value = {} } -- one that only this state has
    local port = iocp.IOCompletionPort()
    port:send(package.loaded["spec.module"], { package.loaded["spec.module"] })
    local ok, message, code = select(2, iocp.Thread("local port = ... return port:receive(0)", port):join(10000))
    assert.same({ nil, "INVALID" }, { ok, code })
    assert.matches("module 'spec.module'", message, 1, true)
    package.loaded["spec.module"] = nil
  end)

  it("is a module as long as it stands in package.loaded, whatever was sent before", function()
    local M, before = { value = 1 }, {}
    for i = 1, 30 do
      before[i] = { i }
    end
    local function crosses_by_name()
      local t = crossed { before = before, M, print, { M } }
      assert.equal(t[1], t[3][1])
      return t[1] == M
    end
    assert.is_false(crosses_by_name())
    package.loaded["spec.late"] = M
    assert.is_true(crosses_by_name())
    local name = "spec.late"
    for i = 1, 100 do -- one or the other comes to stand where the name before it stood
      package.loaded[name], name = nil, "spec.late" .. i
      package.loaded[name] = M
      assert.is_true(crosses_by_name())
    end
    package.loaded[name], package.loaded["spec.other"] = nil, {}
    assert.is_false(crosses_by_name())
    for i = 1, 100 do -- loaded again, where the last one may have been
      M, package.loaded["spec.other"] = nil, nil
      collect()
      M = { i }
      package.loaded["spec.other"] = M
      assert.is_true(crosses_by_name())
    end
    package.loaded["spec.other"] = function() return M end
    assert.equal(package.loaded["spec.other"], (crossed(package.loaded["spec.other"])))
    package.loaded["spec.other"] = nil
  end)

  it("is a function of any size", function()
    for _, size in ipairs { 100, 2000, 2100, 5000, 100000 } do
      local text = ("x"):rep(size)
      local first, f, last = crossed(1, assert((loadstring or load)("return '" .. text .. "'")), "last")
      assert.same({ 1, text, "last" }, { first, f(), last })
    end
  end)

  it("is a socket, as one more reference: the same userdata in the same state; a closed one is a closed one", function()
    local socket, closed = assert(iocp.Socket()), assert(iocp.Socket())
    local handle, native = socket:handle(), socket:native()
    closed:close()
    local t = crossed { socket, closed, [socket] = 1 }
    assert.is_true(rawequal(t[1], socket) and rawequal(t[2], closed) and t[socket] == 1)
    assert.equal("INVALID", select(3, t[2]:native()))
    local thread = iocp.Thread(function(there, again)
      local class = require("iocp").Socket
      assert(rawequal(there, again) and rawequal(there, class.open(there:handle())))
      return there, there:native()
    end, socket, socket)
    t, socket = nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage() -- now the thread's arguments, or its results, are what keeps it open
    local _, back, same = assert(thread:join())
    assert.same({ handle, native }, { back:handle(), same })
    local heap = iocp.Heap()
    local block = heap:encode(back)
    assert.is_true(rawequal(back, heap:decode(block)))
    back:close()
    assert.matches("the iocp.Socket in the block is gone", select(2, heap:decode(block)), 1, true)
  end)

  it("is a port, heap or thread, as one more reference; a closed port is a closed port", function()
    local port, heap, closed = iocp.IOCompletionPort(), iocp.Heap(), iocp.IOCompletionPort()
    local thread = iocp.Thread { body = "", suspended = true }
    closed:close()
    local t = crossed { port, heap = heap, [thread] = closed, same = port }
    assert.is_true(t[1] == port and t.heap == heap and rawequal(t.same, t[1]))
    local key = next(t, nil)
    for k in pairs(t) do
      key = type(k) == "userdata" and k or key
    end
    assert.is_true(key == thread and t[key] == closed)
    assert.equal("CLOSED", select(3, t[key]:dequeue(0)))
  end)

  it("is lightuserdata", function()
    local upvalue = 1
    local light = debug.upvalueid(function() return upvalue end, 1)
    assert.is_true(light == crossed(light))
    assert.is_true(light == there_and_back { light }[1])
  end)

  it("keeps its metatable if that is registered, under its name", function()
    local Account = { __index = { balance = function(self) return self[1] end } }
    assert.equal(Account, iocp.register("spec.Account", Account))
    local account = setmetatable({ 7 }, Account)
    account.self = account
    local arrived = crossed(account)
    assert.equal(Account, getmetatable(arrived))
    assert.equal(7, arrived:balance())
    assert.equal(arrived, arrived.self)
    assert.is_nil(getmetatable(crossed(setmetatable({}, { __index = {} }))))
    local port = iocp.IOCompletionPort()
    port:send(account)
    port:send(account)
    local thread = iocp.Thread(function()
      local _, message, code = port:receive()
      require("iocp").register("spec.Account", { __index = { balance = function() return "mine" end } })
      local _, mine = port:receive()
      return message, code, mine:balance()
    end)
    local _, message, code, balance = thread:join(10000)
    assert.matches("metatable 'spec.Account' is not known in this state", message, 1, true)
    assert.same({ "INVALID", "mine" }, { code, balance })
    local renamed = iocp.register("spec.Account", {}) -- from now on the name is another's
    assert.is_nil(getmetatable(crossed(account)))
    assert.equal(renamed, getmetatable(crossed(setmetatable({}, renamed))))
    for _, bad in ipairs { { 1, {} }, { "x" }, { "x", 1 }, {} } do
      assert.has_error(function() iocp.register(bad[1], bad[2]) end)
    end
  end)

  it("is read without metamethods", function()
    local called = 0
    local function count() called = called + 1 end
    local t = setmetatable({ 1 }, { __index = count, __len = count, __pairs = count, __eq = count, __newindex = count })
    assert.same({ 1 }, crossed(t))
    assert.equal(0, called)
  end)
end)

describe("a method that crosses by name", function()
  local port, heap, thread, pool = iocp.IOCompletionPort(), iocp.Heap(), iocp.Thread(""), iocp.Pool(1)
  local socket = iocp.Socket()
  local task = pool:submit(function() end)
  task:wait()
  thread:join()
  pool:close()

  it("is any method of any class, kept in a local, also where nothing was required", function()
    local count = 0
    for class, methods in pairs { [port] = "IOCompletionPort", [heap] = "Heap", [thread] = "Thread", [pool] = "Pool",
      [task] = "Task", [socket] = "Socket" } do
      local name = "iocp." .. methods
      for key in pairs(package.loaded["iocp.methods"][name]) do
        local method = class[key]
        assert.equal(method, crossed(method))
        assert.is_true(there_and_back(method) == method, key)
        local _, is_same = iocp.Thread(function() return method == package.loaded["iocp.methods"][name][key] end):join()
        assert.is_true(is_same, key)
        count = count + 1
      end
    end
    assert.is_true(count > 65)
  end)

  it("is a class's function too, in Lua or in C, also where the class is not loaded yet", function()
    local current, open, process = iocp.Pool.current, iocp.Thread.open, iocp.Heap.process
    local _, is_same, found = iocp.Thread(function()
      local got, opened, heap_of = current, open, process
      local i = require "iocp"
      return got == i.Pool.current and opened == i.Thread.open and heap_of == i.Heap.process, got() == nil
    end):join(10000)
    assert.same({ true, true }, { is_same, found })
  end)

  it("is one of a class that its state has met after it sent something", function()
    assert.same({ true, true, true, true, true }, { iocp.Thread([[
      local iocp = require "iocp"
      local port = iocp.IOCompletionPort()
      port:send(print)
      port:receive(0)
      local Heap, adopt, walk = iocp.Heap, iocp.Socket.adopt, iocp.Heap().walk
      assert(port:send(Heap, adopt, walk))
      local ok, a, b, c = port:receive(0)
      return ok, a == Heap, b == adopt, c == walk
    ]]):join(10000) })
  end)

  it("works where it arrives", function()
    local send, enqueue, alloc, wait = port.send, port.enqueue, heap.alloc, task.wait
    assert.same({ true, true, true }, {
      iocp.Thread(function()
        send(port, "by name")
        enqueue(port, 5)
        return heap:validate(alloc(heap, 10)), (wait(task))
      end):join(10000),
    })
    assert.same({ true, "by name" }, { port:receive(0) })
    assert.equal(5, (port:dequeue(0)))
  end)

  it("is none that a script added: that one crosses as what it is", function()
    local methods = package.loaded["iocp.methods"]["iocp.Heap"]
    methods.spec_answer = function() return 42 end
    local answer = heap.spec_answer
    local _, got, known = iocp.Thread(function() return answer(), heap.spec_answer ~= nil end):join(10000)
    methods.spec_answer = nil
    assert.same({ 42, false }, { got, known })
  end)
end)

describe("cdata that crosses", function()
  if not has_ffi then
    return
  end
  pcall(ffi.cdef, "struct iocp_spec_point { int x; double y[2]; }; struct iocp_spec_inner { int *p; };")

  it("is a 64-bit integer", function()
    local a, b = there_and_back(ffi.new("int64_t", -5), ffi.new("uint64_t", -1))
    assert.is_true(a == ffi.new("int64_t", -5) and b == ffi.new("uint64_t", -1))
    assert.is_true(ffi.istype("int64_t", a) and ffi.istype("uint64_t", b))
  end)

  it("is plain data whose type has a name that the other state knows", function()
    local point = ffi.new("struct iocp_spec_point", { 1, { 2, 3 } })
    local arrived, array, same = crossed(point, ffi.new("int[3]", 4, 5, 6), point)
    collect()
    assert.same({ 1, 2, 3, 4, 6 }, { arrived.x, arrived.y[0], arrived.y[1], array[0], array[2] })
    assert.is_true(rawequal(arrived, same))
    point.x = 9
    assert.equal(1, arrived.x)
    local port = iocp.IOCompletionPort()
    port:send(point)
    port:send(point)
    local _, message, code, x = iocp.Thread(function()
      local _, why, what = port:receive()
      require("ffi").cdef "struct iocp_spec_point { int x; double y[2]; };"
      return why, what, select(2, port:receive()).x
    end):join(10000)
    assert.matches("struct iocp_spec_point", message, 1, true)
    assert.same({ "INVALID", 9 }, { code, x })
    port:send(point)
    _, message = iocp.Thread(function()
      require("ffi").cdef "struct iocp_spec_point { int x; };"
      return select(2, port:receive())
    end):join(10000)
    assert.matches("has 4 bytes in this state, and 24 where it comes from", message, 1, true)
  end)

  it("is const or volatile, as it was", function()
    pcall(ffi.cdef, "enum iocp_spec_enum { IOCP_SPEC_A, IOCP_SPEC_B };")
    for _, type in ipairs {
      "int", "bool", "double", "uint64_t", "unsigned char", "char [4]", "int [2][3]",
      "enum iocp_spec_enum", "enum iocp_spec_enum [2]",
      "struct iocp_spec_point", "struct iocp_spec_point [3]", "struct iocp_spec_point [2][3]",
    } do
      for _, qualifiers in ipairs { "", "const ", "volatile ", "const volatile " } do
        local ctype = ffi.typeof(qualifiers .. type)
        local value = ffi.new(ctype)
        local is_array = type:find("[", 1, true)
        if is_array or type:find("struct") then
          ffi.fill(ffi.cast("void *", value), ffi.sizeof(ctype), 1)
        else
          value = ffi.new(ctype, 1)
        end
        local arrived = crossed(value)
        assert.equal(tonumber(ctype), tonumber(ffi.typeof(arrived)))
        if is_array or type:find("struct") then
          assert.equal(("\1"):rep(ffi.sizeof(ctype)), ffi.string(ffi.cast("char *", arrived), ffi.sizeof(ctype)))
        else
          assert.is_true(arrived == value)
        end
      end
    end
  end)

  it("needs a tag, which the error says", function()
    local types = { "struct { int x; }", "union { int x; }", "enum { IOCP_SPEC_C }", "const struct { int y; }[2]" }
    for _, type in ipairs(types) do
      local kind = type:match("%l+ {"):sub(1, -3)
      local ok, message = pcall(crossed, ffi.new(type))
      assert.is_false(ok)
      local text = "cannot send arg 1: cdata %%(.*: %s without a tag, .* declare it as '%s name { ... }'%%)"
      assert.matches(text:format(kind, kind), message)
    end
    pcall(ffi.cdef, "typedef struct { int x; } iocp_spec_tagless; struct iocp_spec_outer { iocp_spec_tagless inner; };")
    assert.has_error(function() crossed(ffi.new("iocp_spec_tagless[2]")) end)
    assert.equal(7, crossed(ffi.new("struct iocp_spec_outer", { { 7 } })).inner.x)
  end)

  it("is nothing else", function()
    for _, value in ipairs { ffi.new("int *"), ffi.typeof("int"), ffi.typeof("struct iocp_spec_point"), ffi.C,
      ffi.new("struct { int x; }"), ffi.cast("void (*)(void)", 0), ffi.new("int *[2]") } do
      local ok, message = pcall(crossed, { value })
      assert.is_false(ok)
      assert.matches("cannot send arg 1[1]: ", message, 1, true)
    end
  end)
end)

describe("a value that cannot cross", function()
  it("is an error that names the path, and nothing is sent", function()
    local port, heap, file = iocp.IOCompletionPort(), iocp.Heap(), io.stdout
    local routine = coroutine.create(function() end)
    local nest = {}
    local inner = nest
    for i = 1, 50 do
      inner["n" .. i] = {}
      inner = inner["n" .. i]
    end
    inner.file = file
    -- Keys that come again have a place of their own from then on.
    local same, late = {}, {}
    for _, outermost in ipairs { same, late } do
      inner = outermost
      for i = 1, 50 do
        local name = (outermost == same or i > 40) and "again" or "n" .. i
        inner[name] = {}
        inner = inner[name]
      end
      inner.file = file
    end
    local again = ".again"
    local cases = {
      { "cannot send arg 2.cfg.sock: userdata (FILE*)", 1, { cfg = { sock = file } } },
      { "cannot send arg 1: thread (a coroutine)", routine },
      { "cannot send arg 1[3]: thread", { 1, 2, routine } },
      { "cannot send arg 1[\"a b\"][-1.5][true]: userdata", { ["a b"] = { [-1.5] = { [true] = file } } } },
      { "cannot send arg 1.t, a key: userdata", { t = { [file] = 1 } } },
      { "cannot send arg 1.t.f.upvalue 'file'.x: userdata", { t = { f = (function()
        local upvalue = { x = file }
        local file = upvalue -- luacheck: ignore
        return function() return file end
      end)() } } },
      { ".n48.n49.n50.file: userdata (FILE*)", nest },
      { again:rep(7) .. ".file: userdata", same },
      { again:rep(7) .. ".file: userdata", late },
      { "cannot send arg 1[4].b.x: userdata", { { a = 1, b = 2 }, { a = 1, b = 2 }, { b = 2 }, { b = { x = file } } } },
      { "cannot send arg 1: function (a C function that is in no loaded module)", getmetatable(file).__gc
        or getmetatable(file).__tostring },
    }
    for _, case in ipairs(cases) do
      for _, f in ipairs { port.send, heap.encode } do
        local ok, message = pcall(f, f == port.send and port or heap, values.unpack(case, 2, 4))
        assert.is_false(ok)
        assert.matches(case[1], message, 1, true)
      end
    end
    assert.equal(0, port:stats().queued)
    assert.equal(0, heap:stats().blocks)
  end)

  it("leaves nothing behind: no reference and no memory", function()
    local heap, port = iocp.Heap(), iocp.IOCompletionPort()
    local handle = iocp.IOCompletionPort():handle()
    for _ = 1, 200 do
      local inner = iocp.IOCompletionPort()
      handle = inner:handle()
      assert.is_false((pcall(heap.encode, heap, inner, ("x"):rep(10000), io.stdout)))
      assert.is_false((pcall(port.send, port, { inner, print, ("x"):rep(10000), coroutine.create(function() end) })))
    end
    collect()
    assert.equal(0, heap:stats().blocks)
    assert.equal("INVALID", select(3, iocp.IOCompletionPort.open(handle)))
  end)

  it("is any of what a scheduler has, which stays in its thread", function()
    local port, handler = iocp.IOCompletionPort(), function() end
    iocp.run(function()
      local stays = {
        Server = assert(iocp.listen("127.0.0.1", 0)),
        Fiber = iocp.spawn(handler),
        Condition = iocp.Condition(),
        Service = assert(iocp.serve { host = "127.0.0.1", workers = 1, handler = handler }),
        Datagram = assert(iocp.datagram("127.0.0.1", 0)),
      }
      stays.Stream = assert(iocp.connect(stays.Server:address()))
      for name, value in pairs(stays) do
        local ok, message = pcall(port.send, port, { value = value })
        assert.is_false(ok)
        local expected = "cannot send arg 1.value: table (iocp.%s: it stays in its thread)"
        assert.matches(expected:format(name), message, 1, true)
      end
      stays.Stream:close()
      stays.Server:close()
      stays.Datagram:close()
      stays.Service:stop()
    end)
    assert.equal(0, port:stats().queued)
  end)
end)

describe("port:receive", function()
  it("times out, and says CLOSED, ABANDONED and CANCELLED, as dequeue does", function()
    local port = iocp.IOCompletionPort()
    assert.equal("TIMEOUT", select(3, port:receive(0)))
    assert.equal("TIMEOUT", select(3, port:receive(2)))
    local thread = iocp.Thread(function() return select(3, port:receive()) end)
    support.parked(port, 1)
    thread:cancel()
    assert.same({ true, "CANCELLED" }, { thread:join(10000) })
    thread = iocp.Thread(function() return select(3, port:receive(1e7)) end)
    support.parked(port, 1)
    port:close()
    assert.same({ true, "ABANDONED" }, { thread:join(10000) })
    assert.equal("CLOSED", select(3, port:receive()))
    assert.equal("CLOSED", select(3, port:send(1)))
    for _, bad in ipairs { -1, 0 / 0, "1", {} } do
      assert.has_error(function() port:receive(bad) end)
    end
  end)

  it("gives back a raw packet whole", function()
    local port = iocp.IOCompletionPort()
    port:enqueue(5, 6, 7)
    local ok, message, code, key, bytes, overlapped = port:receive(0)
    assert.is_nil(ok)
    assert.is_string(message)
    assert.same({ "RAW", 5, 6, 7 }, { code, key, bytes, overlapped })
  end)

  it("takes messages from many threads, in each one's order, once", function()
    local port, senders, n = iocp.IOCompletionPort(), {}, support.scaled(20000)
    for i = 1, 3 do
      senders[i] = iocp.Thread(function()
        for j = 1, n do
          assert(port:send { sender = i, number = j })
        end
      end)
    end
    local receivers = {}
    for i = 1, 2 do
      receivers[i] = iocp.Thread(function()
        local last, count = { 0, 0, 0 }, 0
        for _ = 1, math.huge do
          local ok, message = port:receive()
          if not ok then
            return count
          end
          assert(message.number > last[message.sender], "out of order")
          last[message.sender], count = message.number, count + 1
        end
      end)
    end
    support.join_all(senders)
    assert.is_true(support.eventually(function()
      return port:stats().queued == 0 and port:stats().waiting == 2
    end))
    port:close()
    local counts = support.join_all(receivers)
    assert.equal(3 * n, counts[1] + counts[2])
  end)
end)

describe("a message met by", function()
  it("dequeue comes with its values", function()
    local port = iocp.IOCompletionPort()
    port:send("a", nil, { 1 }, nil)
    local function check(...)
      assert.equal(7, select("#", ...))
      assert.same({ nil, "MESSAGE", "a", nil, { 1 } }, { (...), select(3, ...) })
    end
    check(port:dequeue(0))
  end)

  it("dequeue_many and packets is a key that unpack takes, once", function()
    local port, other = iocp.IOCompletionPort(), iocp.IOCompletionPort()
    port:send(1, nil, { port })
    port:enqueue(7)
    port:send "second"
    local batch, n = port:dequeue_many(10, 0)
    assert.equal(3, n)
    assert.same({ iocp.MESSAGE, 7, iocp.MESSAGE }, { batch[3], batch[4], batch[9] })
    assert.is_true(batch[2] > 0 and batch[8] > 0)
    assert.equal("INVALID", select(3, other:unpack(batch[1])))
    assert.equal("INVALID", select(3, port:unpack(batch[1] + 1)))
    assert.equal("INVALID", select(3, port:unpack(7)))
    local ok, a, b, c = port:unpack(batch[1])
    assert.same({ true, 1, nil }, { ok, a, b })
    assert.is_true(c[1] == port)
    assert.equal("INVALID", select(3, port:unpack(batch[1])))
    assert.same({ true, "second" }, { port:unpack(batch[7]) })
    port:send "third"
    port:send "fourth"
    local key, _, overlapped = port:packets(5)()
    assert.equal(iocp.MESSAGE, overlapped)
    assert.same({ true, "third" }, { port:unpack(key) })
    collect() -- the iterator, which gives back what it did not hand out
    assert.same({ true, "fourth" }, { port:receive(0) })
    assert.has_error(function() port:unpack("x") end)
  end)

  it("unpack in another state is not known there", function()
    local port = iocp.IOCompletionPort()
    port:send(1)
    local batch = port:dequeue_many(1, 0)
    local thread = iocp.Thread("local port, key = ... return select(3, port:unpack(key))", port, batch[1])
    assert.same({ true, "INVALID" }, { thread:join(10000) })
    assert.same({ true, 1 }, { port:unpack(batch[1]) })
  end)

  it("nobody can be made up", function()
    local port = iocp.IOCompletionPort()
    assert.has_error(function() port:enqueue(16, 0, iocp.MESSAGE) end)
    assert.has_error(function() port:enqueue_many({ 16 }, 0, iocp.MESSAGE) end)
    assert.has_error(function() port:enqueue_after(0, 16, 0, iocp.MESSAGE) end)
    assert.equal(0, port:stats().queued)
  end)
end)

describe("messages still queued", function()
  -- A port whose only reference is in a message.
  local function send_one(port)
    local inner = iocp.IOCompletionPort()
    port:send({ inner = inner }, ("x"):rep(3000))
    return inner:handle()
  end

  local function is_gone(handle)
    collect()
    return select(3, iocp.IOCompletionPort.open(handle)) == "INVALID"
  end

  it("keep what they hold, until received or dropped", function()
    local port = iocp.IOCompletionPort()
    local handle = send_one(port)
    assert.is_false(is_gone(handle))
    local function receive() assert.is_true((port:receive(0))) end
    receive()
    assert.is_true(is_gone(handle))
  end)

  it("when the port closes release it", function()
    local port = iocp.IOCompletionPort()
    local handles = { send_one(port), send_one(port), send_one(port) }
    port:close()
    for _, handle in ipairs(handles) do
      assert.is_true(is_gone(handle))
    end
  end)

  it("when the port's last reference goes release it", function()
    local port = iocp.IOCompletionPort()
    local handle, own = send_one(port), port:handle()
    port:send(port) -- itself: no reason to live on
    port = nil -- luacheck: ignore
    assert.is_true(is_gone(handle))
    assert.is_true(is_gone(own))
  end)

  it("taken as packets and forgotten release it with the state that took them", function()
    local port = iocp.IOCompletionPort()
    local handle = send_one(port)
    assert(iocp.Thread("local port = ... port:dequeue_many(1)", port):join(10000))
    assert.is_true(is_gone(handle))
  end)

  it("that cannot be decoded are dropped, and release it", function()
    local port, inner = iocp.IOCompletionPort(), iocp.IOCompletionPort()
    local handle = inner:handle()
    port:send(inner, setmetatable({}, iocp.register("spec.Unknown", {})))
    inner = nil -- luacheck: ignore
    assert.same({ true, "INVALID" },
      { iocp.Thread("local port = ... return (select(3, port:receive()))", port):join(10000) })
    assert.is_true(is_gone(handle))
    assert.equal(0, #port:handle() - 18)
  end)

  it("race a close without being lost or kept", function()
    for _ = 1, support.scaled(300) do
      local port, inner = iocp.IOCompletionPort(), iocp.IOCompletionPort()
      local handle = inner:handle()
      local sender = iocp.Thread(function()
        while port:send(inner, "x") do end -- luacheck: ignore
      end)
      local receiver = iocp.Thread(function()
        while port:receive() do end -- luacheck: ignore
      end)
      port:receive(1)
      port:close()
      support.join_all { sender, receiver }
      inner, sender, receiver = nil, nil, nil -- luacheck: ignore
      assert.is_true(support.eventually(function() return is_gone(handle) end))
    end
  end)
end)

describe("heap:encode", function()
  it("makes a block that decode reads again and again", function()
    local heap, port = iocp.Heap(), iocp.IOCompletionPort()
    local address, size = heap:encode({ 1, x = "y" }, nil, port, string.format)
    assert.equal(size, heap:size(address))
    for _ = 1, 3 do
      local t, none, p, f = heap:decode(address)
      assert.same({ 1, x = "y" }, t)
      assert.is_nil(none)
      assert.is_true(p == port and f == string.format)
    end
    assert.equal(4, select("#", heap:decode(address)))
    local _, here = iocp.Thread("local heap, address = ... return heap:decode(address)", heap, address):join(10000)
    assert.same({ 1, x = "y" }, here)
    assert.is_true(heap:free(address))
    assert.equal("INVALID", select(3, heap:decode(address)))
  end)

  it("takes at most 48 bytes for a small message", function()
    local _, size = iocp.Heap():encode { id = 1, name = "job", args = { 1, 2, 3 } }
    assert.is_true(size <= 48, size)
    local port = iocp.IOCompletionPort()
    port:send { id = 1, name = "job", args = { 1, 2, 3 } }
    assert.is_true(port:dequeue_many(1, 0)[2] <= 48)
    local records = {}
    for i = 1, 100 do
      records[i] = { identification = i, description = "x" }
    end
    _, size = iocp.Heap():encode(records)
    assert.is_true(size < 100 * 16, size) -- names are written once
  end)

  it("holds no references: what is gone is INVALID, by its kind", function()
    local heap, port = iocp.Heap(), iocp.IOCompletionPort()
    local address, handle = heap:encode(port), port:handle()
    port = nil -- luacheck: ignore
    collect()
    assert.equal("INVALID", select(3, iocp.IOCompletionPort.open(handle)))
    local value, message, code = heap:decode(address)
    assert.same({ nil, "INVALID" }, { value, code })
    assert.matches("the iocp.IOCompletionPort in the block is gone", message, 1, true)
  end)

  it("says NOMEM where the heap is full, and INVALID where it is destroyed", function()
    local heap = iocp.Heap(0, 100000)
    assert.equal("NOMEM", select(3, heap:encode(("x"):rep(200000))))
    assert.equal(0, heap:stats().blocks)
    local address = heap:encode(1)
    heap:destroy()
    assert.equal("INVALID", select(3, heap:encode(1)))
    assert.equal("INVALID", select(3, heap:decode(address)))
  end)

  it("refuses what it did not write", function()
    local heap = iocp.Heap()
    for _, address in ipairs { heap:alloc(0), heap:alloc(1), heap:alloc(100, true), heap:put("\1\0\1\5"),
      heap:put(("\1\4"):rep(20)), 16 } do
      local value, message, code = heap:decode(address)
      assert.same({ nil, "INVALID" }, { value, code })
      assert.is_string(message)
    end
  end)

  it("writes blocks that are known to be damaged, wherever they are", function()
    local heap, n = iocp.Heap(), support.scaled(100000)
    local state = seed % 2147483646 + 1
    local function random(limit)
      state = (state * 48271) % 2147483647
      return state % limit + 1
    end
    local content
    for i = 1, n do
      if i % 20 == 1 then
        local list, count = values.random(seed + i)
        local address = heap:encode(values.unpack(list, 1, count))
        content = heap:read(address)
        heap:free(address)
      end
      local damaged = content
      for _ = 1, random(3) do
        local at = random(#content)
        damaged = damaged:sub(1, at - 1) .. string.char(random(256) - 1) .. damaged:sub(at + 1)
      end
      if random(4) == 1 then
        damaged = damaged:sub(1, random(#damaged))
      end
      if damaged ~= content then
        local address = heap:put(damaged)
        local value, _, code = heap:decode(address)
        if value ~= nil or code ~= "INVALID" then
          error(("seed %d, block %d was not refused"):format(seed, i))
        end
        heap:free(address)
      end
    end
    assert.equal(0, heap:stats().blocks)
  end)
end)

describe("random values", function()
  it("arrive in another state as they were; the seed is " .. ("%d"):format(seed), function()
    local n, port = support.soaked(5000), iocp.IOCompletionPort()
    local checker = iocp.Thread(function()
      local mine = require "support.values"
      local function check(i, count, ok, ...)
        if not ok then
          return false, (...)
        end
        local expected, number = mine.random(seed + i)
        if select("#", ...) ~= number or number ~= count then
          return false, "number of values"
        end
        return mine.same(expected, { ... }, number)
      end
      for i = 1, n do
        local same, where = check(i, select(2, port:receive()), port:receive())
        if not same then
          error(("seed %d, value %d: %s"):format(seed, i, where))
        end
      end
      return n
    end)
    for i = 1, n do
      local list, count = values.random(seed + i)
      port:send(count)
      port:send(values.unpack(list, 1, count))
      if port:stats().queued > 1000 then
        iocp.sleep(1)
      end
      if i % 100 == 0 and checker:status() ~= "running" then
        break
      end
    end
    local ok, result = checker:join(120000)
    assert.is_true(ok, result)
    assert.equal(n, result)
  end)
end)
