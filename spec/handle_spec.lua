-- Handles: how an object is rebuilt from nothing more than a number, and what becomes of wrong ones.
local iocp = require "iocp"
local support = require "support"

local classes = {
  IOCompletionPort = function() return iocp.IOCompletionPort() end,
  Heap = function() return iocp.Heap() end,
  Thread = function() return iocp.Thread({ body = "", suspended = true }) end,
  Socket = function() return assert(iocp.Socket()) end,
}

for name, create in pairs(classes) do
  local class = iocp[name]

  describe("a handle of " .. name, function()
    it("is a pointer-sized hexadecimal string that opens the same object", function()
      local object = create()
      local handle = object:handle()
      assert.matches("^0x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x$", handle)
      assert.is_true(class.open(handle) == object)
      assert.equal(name == "Socket", rawequal(class.open(handle), object)) -- a packet's key is looked up
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
      for _, wrong in ipairs { 4096, 2 ^ 47, tonumber(object:handle()) } do
        assert.equal("INVALID", select(3, class.adopt(wrong)))
      end
      -- As small numbers the system has sockets of others.
      for _, wrong in ipairs(name ~= "Socket" and { 0, 1, object:native() + 1 } or {}) do
        assert.equal("INVALID", select(3, class.adopt(wrong)))
      end
      assert.has_error(function() class.adopt("0x10") end)
    end)

    it("is not reused, though objects come and go", function()
      local seen = {}
      for _ = 1, support.scaled(20000) do
        local object = create()
        local handle = object:handle()
        assert(not seen[handle], "a handle was given twice")
        seen[handle] = true
        if name == "Socket" then
          object:close() -- else there are more open ones than a process may have, before they are collected
        end
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

describe("tostring", function()
  local function detail(object)
    return (assert(tostring(object):match("^iocp%.%a+: 0x%x+ %((.*)%)$"), tostring(object)))
  end

  it("tells how many packets a port has, or that it is closed", function()
    local port = iocp.IOCompletionPort()
    assert.equal("queued 0", detail(port))
    port:enqueue_many { 1, 2, 3 }
    assert.equal("queued 3", detail(port))
    port:close()
    assert.equal("closed", detail(port))
  end)

  it("tells how many blocks a heap has, or that it is destroyed", function()
    local heap = iocp.Heap()
    assert.equal("blocks 0", detail(heap))
    heap:put("x")
    assert.equal("blocks 1", detail(heap))
    heap:destroy()
    assert.equal("destroyed", detail(heap))
  end)

  it("of a heap does not wait for who keeps it locked", function()
    local heap = iocp.Heap()
    heap:lock()
    local ok, text = assert(iocp.Thread("return tostring(...)", heap)):join(20000)
    heap:unlock()
    assert.is_true(ok, text)
    assert.equal(tostring(heap), text)
  end)

  it("tells a thread's name and how it does", function()
    local name = ("n"):rep(63)
    for _, thread in ipairs { iocp.Thread { body = "", suspended = true, name = name },
      iocp.Thread { body = "", suspended = true }, iocp.Thread { body = "", suspended = true, name = "" } } do
      local prefix = thread:name() == "" and "" or thread:name() .. ", "
      assert.equal(prefix .. "suspended", detail(thread))
      thread:resume()
      thread:join()
      assert.equal(prefix .. "finished", detail(thread))
    end
    local failed = iocp.Thread { body = "error 'x'", name = "parser" }
    failed:join()
    assert.equal("parser, failed", detail(failed))
  end)

  it("tells a pool's name and how busy it is, or that it is closed", function()
    local gate = iocp.IOCompletionPort()
    local pool = iocp.Pool { workers = 1, name = "P" }
    assert.equal("P, workers 1, queued 0, active 0", detail(pool))
    support.occupy(pool, gate)
    pool:submit("")
    assert.equal("P, workers 1, queued 1, active 1", detail(pool))
    pool:shutdown(0)
    assert.equal("P, workers 1, queued 1, active 1, closed", detail(pool))
    gate:enqueue(1)
    pool:shutdown()
    assert.equal("P, closed", detail(pool))
    assert.equal("workers 0, queued 0, active 0", detail(iocp.Pool { workers = 0, name = "" }))
    assert.equal(("n"):rep(63), detail(iocp.Pool { workers = 0, name = ("n"):rep(63) }):match("^n+"))
  end)

  it("tells a task's name and how it does", function()
    local pool = iocp.Pool(1)
    local task = pool:task { name = "T", body = "" }
    assert.equal("T, unscheduled", detail(task))
    task:submit():wait()
    assert.equal("T, completed", detail(task))
    assert.matches("^handle_spec.lua:%d+, cancelled$", (function()
      local cancelled = pool:task(function() end)
      cancelled:cancel()
      return detail(cancelled)
    end)())
    pool:shutdown()
  end)

  it("tells whether a timer is pending", function()
    local timer = iocp.IOCompletionPort():enqueue_after(1e9, 1)
    assert.matches("^iocp.Timer: %d+ %(pending%)$", tostring(timer))
    timer:cancel()
    assert.matches("^iocp.Timer: %d+ %(posted or cancelled%)$", tostring(timer))
  end)

  it("of one class is not for an object of another", function()
    local port, heap = iocp.IOCompletionPort(), iocp.Heap()
    assert.equal("iocp.Heap: " .. heap:handle(), getmetatable(port).__tostring(heap))
    assert.has_error(function() getmetatable(port).__tostring(io.stdout) end)
  end)
end)

if _VERSION >= "Lua 5.4" then
  describe("a variable that is <close>", function()
    local function scope(statements)
      return assert(load("local object <close> = ... " .. statements))
    end

    it("closes its port", function()
      local port = iocp.IOCompletionPort()
      scope("object:enqueue(1)")(port)
      assert.equal("CLOSED", select(3, port:enqueue(1)))
    end)

    it("closes its port when the scope ends by an error, which is the one that arrives", function()
      local port = iocp.IOCompletionPort()
      local ok, message = pcall(scope("error('mine', 0)"), port)
      assert.same({ false, "mine" }, { ok, message })
      assert.is_true(port:stats().closed)
    end)

    it("destroys its heap, but for the process' own", function()
      local heap, own = iocp.Heap(), iocp.Heap.process()
      scope("object:put('x')")(heap)
      assert.equal("INVALID", select(3, heap:put("x")))
      scope("")(own)
      assert.is_true(own:free(own:put("x")))
    end)

    it("finishes what its pool has, and ends it", function()
      local port, pool = iocp.IOCompletionPort(), iocp.Pool(1)
      scope("for i = 1, 5 do object:submit(function(p) p:enqueue(1) end, (select(2, ...))) end")(pool, port)
      assert.equal(5, #port)
      assert.equal("CLOSED", select(3, pool:submit("")))
    end)

    it("cancels what its pool has queued when the scope ends by an error, or in a worker of its own", function()
      local pool, gate = iocp.Pool(1), iocp.IOCompletionPort()
      support.occupy(pool, gate)
      local queued = pool:submit("")
      assert.same({ false, "mine" }, { pcall(scope("error('mine', 0)"), pool) })
      assert.equal("cancelled", queued:status())
      gate:enqueue(1)
      local own = iocp.Pool(1)
      assert.is_true(own:submit(scope(""), own):wait())
      assert.equal("CLOSED", select(3, own:submit("")))
    end)

    it("cancels its timer", function()
      local port = iocp.IOCompletionPort()
      local timer = port:enqueue_after(1e9, 1)
      scope("")(timer)
      assert.is_false(timer:cancel())
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
