-- Handles: how an object is rebuilt from nothing more than a number, and what becomes of wrong ones.
local iocp = require "iocp"
local support = require "support"

local classes = {
  IOCompletionPort = function() return iocp.IOCompletionPort() end,
  Heap = function() return iocp.Heap() end,
  Thread = function() return iocp.Thread({ body = "", suspended = true }) end,
}

for name, create in pairs(classes) do
  local class = iocp[name]

  describe("a handle of " .. name, function()
    it("is a pointer-sized hexadecimal string that opens the same object", function()
      local object = create()
      local handle = object:handle()
      assert.matches("^0x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x$", handle)
      assert.is_true(class.open(handle) == object)
      assert.equal(handle, class.open(handle):handle())
      assert.matches(handle, tostring(object), 1, true)
    end)

    it("is also a number", function()
      local object = create()
      assert.is_true(class.open(tonumber(object:handle())) == object)
      assert.is_true(tonumber(object:handle()) < 2 ^ 53)
    end)

    it("stands for the object in generated code", function()
      local object = create()
      local text = ("local class = ... return tostring(require('iocp')[class].open(%s))"):format(object:handle())
      assert.same({ true, tostring(object) }, { iocp.Thread(text, name):join() })
    end)

    it("of another kind, stale or made up is refused", function()
      local other = name == "Heap" and iocp.IOCompletionPort() or iocp.Heap()
      local stale = create():handle()
      collectgarbage()
      collectgarbage()
      for _, wrong in ipairs { other:handle(), stale, "0x0000000000000000", "0x00000000004fffff", "0xffffffffffffffff",
        "0x10000000000000000", "0x", "", "x", "0x12z", " 0x0000000000400000", "-0x1", "nonsense", "0x00\0", 0, -1, 0.5,
        0 / 0, 1 / 0, 2 ^ 53, 2 ^ 64, tonumber(other:handle()) } do
        local object, message, code = class.open(wrong)
        assert.is_nil(object)
        assert.is_string(message)
        assert.equal("INVALID", code)
      end
      for _, wrong in ipairs { true, {}, print } do
        local ok, message = pcall(class.open, wrong)
        assert.is_false(ok)
        assert.matches("handle: expected a handle", message, 1, true)
      end
      assert.has_error(function() class.open() end)
    end)

    it("adopts what native gave, and nothing else", function()
      local object = create()
      assert.is_true(class.adopt(object:native()) == object)
      for _, wrong in ipairs { 0, 1, 4096, object:native() + 1, 2 ^ 47, tonumber(object:handle()) } do
        assert.equal("INVALID", select(3, class.adopt(wrong)))
      end
      assert.has_error(function() class.adopt("0x10") end)
    end)

    it("is not reused, though objects come and go", function()
      local seen = {}
      for _ = 1, support.scaled(20000) do
        local handle = create():handle()
        assert(not seen[handle], "a handle was given twice")
        seen[handle] = true
      end
    end)
  end)

  describe("a userdata of " .. name, function()
    it("equals another reference to the same object only", function()
      local a, b = create(), create()
      assert.is_true(class.open(a:handle()) == a)
      assert.is_false(a == b)
    end)

    it("is refused where another kind, or something else, is needed", function()
      local object = create()
      local methods = getmetatable(object).__index
      for method, f in pairs(methods) do
        for _, wrong in ipairs { 1, "x", true, {}, io.stdout, print } do
          local ok, message = pcall(f, wrong)
          assert.is_false(ok)
          assert.matches("self: expected", message, 1, true, method)
        end
        assert.has_error(function() f() end)
      end
    end)

    it("that was collected by hand is refused, not used", function()
      local object = create()
      local metatable = getmetatable(object)
      metatable.__gc(object)
      metatable.__gc(object)
      metatable.__gc(5)
      assert.matches("collected", tostring(object))
      local ok, message = pcall(object.handle, object)
      assert.is_false(ok)
      assert.matches("an object that was not collected", message, 1, true)
    end)
  end)
end

if rawget(_G, "jit") then
  describe("LuaJIT's cdata", function()
    it("is looked into from when a state first meets one, whether it has required the module or not", function()
      local port = iocp.IOCompletionPort()
      for _, start in ipairs { "", "require 'iocp'" } do
        local thread = iocp.Thread(start .. [[
          local port = ...
          local ffi, before = require "ffi", package.loaded["iocp.cdata"]
          port:enqueue(ffi.cast("void *", 4096))
          return before, type(package.loaded["iocp.cdata"]), (port:dequeue(0))
        ]], port)
        assert.same({ true, nil, "table", 4096 }, { thread:join() })
      end
    end)

    local ffi = require "ffi"

    it("pointers and 64-bit integers are handles", function()
      local heap = iocp.Heap()
      local number = tonumber(heap:handle())
      assert.is_true(iocp.Heap.open(ffi.cast("void *", number)) == heap)
      assert.is_true(iocp.Heap.open(ffi.cast("uint64_t", number)) == heap)
      assert.equal("INVALID", select(3, iocp.Heap.open(ffi.cast("void *", -1))))
      assert.equal("INVALID", select(3, iocp.Heap.open(ffi.new("int[2]"))))
    end)

    it("pointers and 64-bit integers are addresses and keys", function()
      local heap, port = iocp.Heap(), iocp.IOCompletionPort()
      local address = heap:alloc(16)
      local pointer = ffi.cast("struct { int x, y; } *", address)
      pointer.x, pointer.y = 1, 2
      assert.equal(16, heap:size(pointer))
      port:enqueue(pointer, 16, ffi.new("int64_t", 5))
      assert.same({ address, 16, 5 }, { port:dequeue(0) })
      local types = { "const uint64_t", "volatile int64_t", "void *const", "const void *", "void (*const)(void)" }
      for _, type in ipairs(types) do
        port:enqueue(ffi.cast(type, pointer))
        assert.equal(address, (port:dequeue(0)))
      end
      assert.is_true(heap:free(ffi.cast("void *", address)))
    end)

    it("of other kinds are refused, so that no collected memory is handed out", function()
      local port = iocp.IOCompletionPort()
      for _, wrong in ipairs { ffi.new("int[4]"), ffi.new("struct { int x; }"), ffi.new("double", 1),
        ffi.new("int64_t", -1), ffi.new("uint64_t", 2 ^ 53) } do
        local ok, message = pcall(port.enqueue, port, wrong)
        assert.is_false(ok)
        assert.matches("key: expected an address", message, 1, true)
      end
      assert.equal(0, #port)
    end)
  end)
end

describe("a native handle", function()
  it("of a port that was closed, or a heap that was destroyed, is given to nobody", function()
    local port, heap = iocp.IOCompletionPort(), iocp.Heap()
    assert.is_truthy(port:native() and heap:native())
    port:close()
    heap:destroy()
    for object, expected in pairs { [port] = "CLOSED", [heap] = "INVALID" } do
      local native, message, code = object:native()
      assert.is_nil(native)
      assert.is_string(message)
      assert.equal(expected, code)
    end
  end)

  it("of the process' own heap is one object's, however many threads ask at once", function()
    local threads = {}
    for i = 1, 3 do
      threads[i] = iocp.Thread([[
        local iocp = require "iocp"
        local process, drop = iocp.Heap.process, getmetatable(iocp.Heap()).__gc
        for _ = 1, ... do
          local one, same = process(), process()
          assert(one == same)
          drop(one)
          drop(same)
        end
      ]], math.max(5000, support.scaled(20000)))
    end
    support.join_all(threads)
  end)
end)
