-- iocp.tinn: the names of the first article. Its scripts use LuaJIT's ffi, so other Luas have nothing to show here.
local support = require "support"

if not rawget(_G, "jit") then
  describe("iocp.tinn", function()
    it("says that it needs LuaJIT", function()
      package.loaded["iocp.tinn"] = nil
      local ok, message = pcall(require, "iocp.tinn")
      assert.is_false(ok)
      assert.matches("needs LuaJIT", message, 1, true)
    end)
  end)
  return
end

local ffi = require "ffi"

describe("iocp.tinn", function()
  local preloaded = {}
  setup(function()
    for name in pairs(package.preload) do
      preloaded[name] = true
    end
    require "iocp.tinn"
  end)
  teardown(function()
    for name in pairs(package.preload) do
      if not preloaded[name] then
        package.preload[name] = nil
      end
    end
  end)

  it("makes its modules known here and in threads", function()
    local iocp = require "iocp"
    for _, name in ipairs { "IOCompletionPort", "Heap", "TINNThread", "core_synch_l1_2_0", "WTypes" } do
      assert.is_table(require(name))
      assert.same({ true, "table" }, { iocp.Thread("return type(require(...))", name):join() })
    end
  end)

  it("has the base types of 64-bit Windows", function()
    require "WTypes"
    for name, size in pairs { BYTE = 1, WORD = 2, DWORD = 4, UINT = 4, BOOL = 4, LONG = 4, WPARAM = 8, LPARAM = 8,
      ULONG_PTR = 8, HANDLE = 8, HWND = 8, POINT = 8, LARGE_INTEGER = 8, OVERLAPPED = 32 } do
      assert.equal(size, ffi.sizeof(name), name)
    end
    assert.equal(48, ffi.sizeof(require("AMSG").AMSG))
  end)

  it("carries objects as pointer strings", function()
    local TINNThread, IOCompletionPort, Heap = require "TINNThread", require "IOCompletionPort", require "Heap"
    local port = IOCompletionPort()
    local text = TINNThread:CreatePointerString(port:getNativeHandle())
    assert.matches("^0x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x$", text)
    assert.equal(text, TINNThread:PointerToString(TINNThread:StringToPointer(text)))
    assert.equal("0x00007fffffffffff", TINNThread:CreatePointerString(ffi.cast("void *", 0x7fffffffffff)))
    assert.same({ nil, "invalid number" }, { TINNThread:StringToPointer("x") })
    local again = IOCompletionPort:init(TINNThread:StringToPointer(text))
    again:enqueue(7, 8)
    assert.same({ 7, 8 }, { port:dequeue(0) })
    assert.same({ false, "INVALID" }, { Heap(port:getNativeHandle()) })
    assert.same({ false, "INVALID" }, { IOCompletionPort:init(ffi.cast("void *", 16)) })
    assert.is_false((Heap()))
  end)

  it("answers false, err where the original does", function()
    local TINNThread, IOCompletionPort, Heap = require "TINNThread", require "IOCompletionPort", require "Heap"
    local port = IOCompletionPort:create(nil, nil, 2)
    assert.same({ false, 258 }, { port:dequeue(0) }) -- WAIT_TIMEOUT
    assert.same({ false, "no data specified" }, { port:enqueue(nil) })
    assert.equal(port, port:enqueue(ffi.cast("void *", 4096)))
    assert.same({ false, "no code chunk specified" }, { TINNThread {} })
    assert.is_false((TINNThread { CodeChunk = "return return" }))
    assert.same({ false, "INVALID" }, { Heap:create():free(ffi.cast("void *", 4096)) })
    assert.same({ nil, "NOMEM" }, { Heap:create(0, 100):alloc(1000) })
    assert.is_false((TINNThread()))
  end)

  it("has heaps with blobs and entries", function()
    local Heap = require "Heap"
    local heap = Heap:create(0, 1000000)
    local pointer = heap:alloc(100, 8)
    assert.equal(0, ffi.cast("char *", pointer)[99])
    local blob = heap:allocBlob(50)
    assert.same({ 50, 50, true }, { blob.Size, blob:GetSize(), blob:isValid() })
    assert.is_true(blob:reAlloc(60))
    assert.equal(60, blob:GetSize())
    assert.is_true(heap:isValid())
    assert.is_true(heap:lock() and heap:unlock())
    local sizes = {}
    for i, entry in ipairs(heap:entryList()) do
      assert.equal("allocated", entry.Kind)
      sizes[i] = entry.Size
    end
    table.sort(sizes)
    assert.same({ 60, 100 }, sizes)
    assert.is_true(heap:free(pointer))
  end)

  it("frees a blob with its object", function()
    -- In a child, because busted's own ffi.typeof keeps every cdata that it is asked about.
    local code, output = support.child([[
      require "iocp.tinn"
      local heap = require("Heap"):create()
      do
        local blob = heap:allocBlob(50)
        assert(blob:GetSize() == 50 and blob:reAlloc(60) and #heap:entryList() == 1)
      end
      collectgarbage()
      collectgarbage()
      print(#heap:entryList())
    ]])
    assert.same({ 0, "0" }, { code, output })
  end)

  it("has one process heap for all threads", function()
    local Heap, TINNThread = require "Heap", require "TINNThread"
    local heap = Heap:getProcessHeap()
    local pointer = heap:alloc(10)
    local thread = TINNThread { CodeChunk = ([[
      local ffi = require "ffi"
      assert(require("Heap"):getProcessHeap():free(ffi.cast("void *", %s)))
    ]]):format(TINNThread:CreatePointerString(pointer)), CreateSuspended = true }
    assert.same({ false, "the thread has not started" }, { thread:getThreadId() })
    assert.is_true(thread:resume())
    assert.is_true((thread.thread:join(10000)))
    assert.is_true(thread:getThreadId() > 0)
    assert.same({ false, "INVALID" }, { heap:free(pointer) })
    assert.is_nil((heap.heap:destroy()))
  end)

  it("runs the article's program: every message is printed once", function()
    local code, output = support.child([[
      arg = { [0] = "workerthreads.lua", "3" }
      require "iocp.tinn"
      dofile "examples/workerthreads.lua"
      require("iocp").sleep(1000) -- it ends without waiting for its workers
    ]])
    assert.equal(0, code, output)
    local seen, count = {}, 0
    for message in output:gmatch("== AMSG: (%d+)") do
      assert.is_nil(seen[message])
      seen[message], count = true, count + 1
    end
    assert.equal(3000, count)
  end)
end)
