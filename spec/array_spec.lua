-- iocp.Array: numbers of one type in memory that threads share.
local iocp = require "iocp"
local support = require "support"

local RANGES = { int8 = { -128, 127 }, uint8 = { 0, 255 }, int16 = { -32768, 32767 }, uint16 = { 0, 65535 },
  int32 = { -2 ^ 31, 2 ^ 31 - 1 }, uint32 = { 0, 2 ^ 32 - 1 }, int64 = { 1 - 2 ^ 53, 2 ^ 53 - 1 } }

describe("an array", function()
  it("begins with zeroes, and keeps what is put there", function()
    local a = iocp.Array("double", 5)
    assert.same({ 0, 0, 0, 0, 0 }, a:list())
    for i = 1, 5 do
      assert.is_true(a:set(i, i / 4))
    end
    assert.equal(0.75, a:get(3))
    assert.equal(5, #a)
    assert.equal("double", a:type())
    assert.same({ 0.25, 0.5, 0.75, 1, 1.25 }, a:list())
    assert.same({ 0.5, 0.75 }, a:list(2, 3))
    assert.same({}, a:list(3, 2))
    assert.matches("^iocp%.Array: 0x%x+ %(5 of double%)$", tostring(a))
  end)

  it("holds the whole range of each type, and refuses what lies outside", function()
    for name, range in pairs(RANGES) do
      local a = iocp.Array(name, 2)
      for _, value in ipairs(range) do
        assert.is_true(a:set(2, value))
        assert.equal(value, a:get(2), name)
        assert.equal(0, a:get(1))
      end
      for _, wrong in ipairs { range[1] - 1, range[2] + 1, 0.5, 0 / 0, 1 / 0, "1", false } do
        if name ~= "int64" or type(wrong) ~= "number" or wrong ~= math.floor(wrong) or wrong == 1 / 0 then
          assert.has_error(function() a:set(2, wrong) end)
          assert.has_error(function() a:fill(wrong) end)
        end
      end
      assert.equal(range[2], a:get(2))
    end
    local f = iocp.Array("float", 1)
    f:set(1, 0.1)
    assert.is_true(math.abs(f:get(1) - 0.1) < 1e-7 and f:get(1) ~= 0.1)
    f:set(1, math.huge)
    assert.equal(math.huge, f:get(1))
    if math.type then
      local a = iocp.Array("int64", 1)
      a:set(1, math.mininteger)
      assert.equal(math.mininteger, a:get(1))
      assert.equal("integer", math.type(a:get(1)))
    end
  end)

  it("is made of a type and a number, and accessed within its bounds", function()
    for _, wrong in ipairs { 0, -1, 1.5, 2 ^ 31, 0 / 0, "5" } do
      assert.has_error(function() iocp.Array("double", wrong) end)
    end
    assert.has_error(function() iocp.Array("double") end)
    assert.has_error(function() iocp.Array("real", 1) end)
    assert.has_error(function() iocp.Array(5, 1) end)
    local a = iocp.Array("int32", 3)
    for _, wrong in ipairs { 0, -1, 4, 1.5, 2 ^ 40, 0 / 0, "1", {} } do
      assert.has_error(function() a:get(wrong) end)
      assert.has_error(function() a:set(wrong, 1) end)
      assert.has_error(function() a:fill(1, wrong) end)
      assert.has_error(function() a:list(wrong) end)
      assert.has_error(function() a:copy(a, wrong) end)
      assert.has_error(function() a:copy(a, 1, 1, wrong) end)
    end
    assert.same({ 0, 0, 0 }, a:list())
    assert.has_error(function() a.get(iocp.Heap(), 1) end)
  end)

  it("is filled and copied", function()
    local a, b = iocp.Array("int16", 6), iocp.Array("int16", 4)
    assert.is_true(a:fill(7))
    assert.is_true(a:fill(-1, 3, 4))
    assert.is_true(a:fill(9, 5, 2)) -- none
    assert.same({ 7, 7, -1, -1, 7, 7 }, a:list())
    assert.is_true(b:copy { 1, 2, 3, 4 })
    assert.is_true(b:copy({ 10, 20, 30 }, 2, 3, 3))
    assert.same({ 1, 2, 20, 30 }, b:list())
    assert.is_true(a:copy(b, 2, 4, 4))
    assert.same({ 7, 7, -1, 2, 20, 30 }, a:list())
    assert.is_true(a:copy(a, 1, 5, 2)) -- over itself
    assert.same({ 7, 7, 7, -1, 2, 20 }, a:list())
    assert.is_true(a:copy {})
    assert.has_error(function() b:copy(a) end) -- too long
    assert.has_error(function() b:copy(a, 1, 2, 4) end)
    assert.has_error(function() b:copy(iocp.Array("int32", 1)) end)
    assert.has_error(function() b:copy { "x" } end)
    assert.has_error(function() b:copy { 1, 2, 3, 4, 5 } end)
    assert.has_error(function() b:copy(5) end)
    assert.same({ 1, 2, 20, 30 }, b:list())
  end)

  it("is seen as a table by its view, within its bounds", function()
    for _, name in ipairs { "double", "float", "int8", "uint16", "int32" } do
      local a = iocp.Array(name, 100)
      local v = a:view()
      for i = 1, 100 do
        v[i] = i
      end
      local sum = 0
      for i = 1, 100 do
        sum = sum + v[i]
      end
      assert.equal(5050, sum)
      assert.equal(100, a:get(100))
      for _, wrong in ipairs { 0, 101, -1, 2 ^ 40, 0 / 0, "x" } do
        local ok, message = pcall(function() return v[wrong] end)
        assert.is_false(ok)
        assert.matches("from 1 to 100", message, 1, true)
        assert.has_error(function() v[wrong] = 1 end)
      end
    end
    assert.has_error(function() iocp.Array("int8", 1).view(5) end)
  end)

  it("is seen in part by a view of a part", function()
    local a = iocp.Array("int16", 10)
    local v = a:view(4, 6)
    v[1], v[3] = 44, 66
    assert.same({ 0, 0, 0, 44, 0, 66, 0, 0, 0, 0 }, a:list())
    a:set(5, 55)
    assert.equal(55, v[2])
    for _, wrong in ipairs { 0, 4, -3 } do
      assert.has_error(function() return v[wrong] end)
      assert.has_error(function() v[wrong] = 1 end)
    end
    assert.equal(66, a:view(6)[1])
    for _, bounds in ipairs { { 0 }, { 11 }, { 1, 11 }, { 6, 5 }, { 1.5 }, { "1" }, { 1, 2.5 } } do
      assert.has_error(function() a:view(bounds[1], bounds[2]) end)
    end
  end)

  it("lives as long as a view of it", function()
    local v = iocp.Array("double", 100000):view()
    v[100000] = 5
    collectgarbage()
    collectgarbage()
    for _ = 1, 100 do
      iocp.Array("double", 100000):fill(1)
    end
    collectgarbage()
    assert.equal(5, v[100000])
  end)

  it("does not cross as a view, which says what does", function()
    local a = iocp.Array("uint8", 10)
    local v = a:view()
    local pool, port, heap, dict = iocp.Pool(1), iocp.IOCompletionPort(), iocp.Heap(), iocp.Dict()
    for _, try in ipairs {
      function() pool:submit(function() v[1] = 1 end) end,
      function() pool:parallel_for(1, 10, function(i) v[i] = i end) end,
      function() iocp.Thread(function() v[1] = 1 end) end,
      function() port:send { v } end,
      function() heap:encode(v) end,
      function() dict:set("v", v) end,
      function() iocp.Frozen { v } end,
    } do
      local ok, message = pcall(try)
      assert.is_false(ok)
      assert.matches("a view of an iocp.Array; send the array, and call view() there", message, 1, true)
    end
    assert.equal(0, a:get(1))
    pool:shutdown()
  end)

  it("crosses as a reference, also before a state has required the module", function()
    local a = iocp.Array("int32", 10)
    local ok, n = iocp.Thread("local a = ... a:set(3, 33) a:view()[4] = 44 return #a", a):join(20000)
    assert.same({ true, 10 }, { ok, n })
    assert.same({ 33, 44 }, a:list(3, 4))
    assert.equal(a, iocp.Array.open(a:handle()))
    local handle = a:handle()
    a = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal("INVALID", (select(3, iocp.Array.open(handle))))
  end)

  it("gives its memory back", function()
    local before = support.resident()
    for _ = 1, support.scaled(50) do
      iocp.Array("double", 500000):fill(1) -- 4 MB each
      collectgarbage()
    end
    assert.is_true(support.resident() - before < 100000)
  end)

  it("is written in place by the workers of a pool", function()
    local n = 1000
    local a, pool = iocp.Array("double", n), iocp.Pool(4)
    assert(pool:parallel_for(1, n, function(i)
      a:set(i, i * i)
    end))
    for i = 1, n do
      assert.equal(i * i, a:get(i))
    end
    pool:shutdown()
  end)
end)
