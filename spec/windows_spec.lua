-- What only Windows has: the kernel's own ports and heaps behind the objects, and the I/O that completes to a port.
local iocp = require "iocp"
local support = require "support"

if not support.windows then
  support.nothing = "Linux has no kernel's ports"
  return
end

it("the kernel is reached by LuaJIT's ffi", function()
  assert.is_function(require("ffi").cast)
end)

if not rawget(_G, "jit") then
  return
end

local system = require "system" -- busted's own clock
local ffi = require "ffi"
require "iocp.tinn.WTypes"

ffi.cdef [[
  typedef struct PROCESS_HEAP_ENTRY {
    void *lpData;
    DWORD cbData;
    BYTE cbOverhead, iRegionIndex;
    WORD wFlags;
    void *reserved[3];
  } PROCESS_HEAP_ENTRY;
  HANDLE CreateIoCompletionPort(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads);
  BOOL PostQueuedCompletionStatus(HANDLE port, DWORD bytes, ULONG_PTR key, OVERLAPPED *overlapped);
  BOOL GetQueuedCompletionStatus(HANDLE port, DWORD *bytes, ULONG_PTR *key, OVERLAPPED **overlapped, DWORD ms);
  HANDLE CreateNamedPipeA(const char *name, DWORD mode, DWORD pipe_mode, DWORD instances, DWORD out, DWORD in, DWORD ms,
    void *security);
  HANDLE CreateFileA(const char *name, DWORD access, DWORD share, void *security, DWORD how, DWORD flags,
    HANDLE template);
  BOOL ReadFile(HANDLE file, void *buffer, DWORD size, DWORD *count, OVERLAPPED *overlapped);
  BOOL WriteFile(HANDLE file, const void *buffer, DWORD size, DWORD *count, OVERLAPPED *overlapped);
  BOOL CancelIo(HANDLE file);
  BOOL CloseHandle(HANDLE handle);
  HANDLE OpenThread(DWORD access, BOOL inherit, DWORD id);
  HANDLE HeapCreate(DWORD flags, size_t initial, size_t maximum);
  HANDLE GetProcessHeap(void);
  void *HeapAlloc(HANDLE heap, DWORD flags, size_t size);
  BOOL HeapFree(HANDLE heap, DWORD flags, void *address);
  BOOL HeapValidate(HANDLE heap, DWORD flags, const void *address);
  BOOL HeapLock(HANDLE heap);
  BOOL HeapUnlock(HANDLE heap);
  BOOL HeapWalk(HANDLE heap, PROCESS_HEAP_ENTRY *entry);
  BOOL HeapDestroy(HANDLE heap);
  DWORD GetCurrentThreadId(void);
  DWORD GetLastError(void);
]]
local C = ffi.C

local function kernel_handle(object)
  return ffi.cast("HANDLE", object:native())
end

local function address_of(pointer)
  return tonumber(ffi.cast("uintptr_t", pointer))
end

-- What the kernel's own call takes from a port: key, bytes, overlapped; nil if there is nothing.
local function kernel_get(handle, ms)
  local bytes, key, overlapped = ffi.new("DWORD[1]"), ffi.new("ULONG_PTR[1]"), ffi.new("OVERLAPPED *[1]")
  if C.GetQueuedCompletionStatus(handle, bytes, key, overlapped, ms) == 0 then
    return nil
  end
  return tonumber(key[0]), bytes[0], address_of(overlapped[0])
end

local function collect()
  collectgarbage()
  collectgarbage()
end

describe("a port of the kernel's", function()
  local handle
  before_each(function()
    handle = C.CreateIoCompletionPort(ffi.cast("HANDLE", -1), nil, 0, 2)
    assert(handle ~= nil)
  end)
  after_each(function()
    assert.equal(1, C.CloseHandle(handle))
  end)

  it("is adopted, and works as one of ours", function()
    local port = assert(iocp.IOCompletionPort.adopt(handle))
    assert.equal(address_of(handle), port:native())
    assert.is_true(iocp.IOCompletionPort.adopt(port:native()) == port)
    assert.equal(1, C.PostQueuedCompletionStatus(handle, 2, 1, ffi.cast("OVERLAPPED *", 48)))
    assert.same({ 1, 2, 48 }, { port:dequeue(1000) })
    assert.is_true(port:enqueue(4, 5, 64))
    assert.same({ 4, 5, 64 }, { kernel_get(handle, 1000) })
    local worker = iocp.Thread("local port = ... return port:dequeue()", port)
    assert.is_true(support.parked(port, 1))
    C.PostQueuedCompletionStatus(handle, 8, 7, nil)
    assert.same({ true, 7, 8 }, { worker:join(10000) })
  end)

  it("is not closed by close", function()
    local port = assert(iocp.IOCompletionPort.adopt(handle))
    local worker = iocp.Thread("local port = ... return select(3, port:dequeue())", port)
    assert.is_true(support.parked(port, 1))
    assert.is_true(port:close())
    assert.same({ true, "ABANDONED" }, { worker:join(10000) })
    assert.equal("CLOSED", select(3, port:enqueue(1)))
    while kernel_get(handle, 0) do end -- what the close may have left
    assert.equal(1, C.PostQueuedCompletionStatus(handle, 2, 1, nil))
    assert.same({ 1, 2, 0 }, { kernel_get(handle, 1000) })
  end)

  it("is not closed when its object is collected", function()
    assert(iocp.IOCompletionPort.adopt(handle))
    collect()
    assert.equal(1, C.PostQueuedCompletionStatus(handle, 2, 1, nil))
    assert.same({ 1, 2, 0 }, { kernel_get(handle, 1000) })
  end)
end)

describe("a port of the kernel's that its owner closes", function()
  local handle, port
  before_each(function()
    handle = C.CreateIoCompletionPort(ffi.cast("HANDLE", -1), nil, 0, 2)
    port = assert(iocp.IOCompletionPort.adopt(handle))
  end)

  it("abandons who waits, and ends their loops (16)", function()
    local threads = {}
    for i, get in ipairs {
      "select(3, port:dequeue())", "select(3, port:dequeue(1e7))", "select(3, port:dequeue_many(8))",
      "select(3, port:receive_many(8, 1e7))", "(function() for _ in port:packets() do end return 'ABANDONED' end)()",
      "(function() for _ in port:packets(8) do end return 'ABANDONED' end)()",
    } do
      threads[i] = iocp.Thread("local port = ... return " .. get, port)
    end
    assert.is_true(support.parked(port, #threads))
    local start = system.monotime()
    assert.equal(1, C.CloseHandle(handle))
    for _, code in ipairs(support.join_all(threads)) do
      assert.equal("ABANDONED", code)
    end
    assert.is_true(system.monotime() - start < 5)
    assert.is_true(port:stats().closed)
    assert.equal("CLOSED", select(3, port:dequeue()))
  end)

  for name, call in pairs {
    enqueue = function() return port:enqueue(1) end,
    enqueue_many = function() return port:enqueue_many { 1, 2 } end,
    ["dequeue(0)"] = function() return port:dequeue(0) end,
    dequeue = function() return port:dequeue() end,
    dequeue_many = function() return port:dequeue_many(8, 1000) end,
    receive = function() return port:receive(1000) end,
  } do
    it("is closed to who calls " .. name .. " later (15)", function()
      assert.equal(1, C.CloseHandle(handle))
      assert.equal("CLOSED", select(3, call()))
      assert.equal("CLOSED", select(3, call()))
      assert.equal("INVALID", select(3, iocp.IOCompletionPort.open(port:handle())))
      for _ in port:packets() do error("a packet of a closed port") end
    end)
  end
end)

describe("a thread of the kernel's", function()
  it("is joined, unless its handle was closed", function()
    local port = iocp.IOCompletionPort()
    local thread = iocp.Thread("local port = ... port:dequeue()", port)
    local handle = C.OpenThread(0x00100040, 0, thread:id()) -- to wait for it and to ask for its number
    local adopted = assert(iocp.Thread.adopt(handle))
    assert.equal("TIMEOUT", select(3, adopted:join(10)))
    port:enqueue(1)
    assert.is_true(adopted:join(10000))
    assert.equal("finished", adopted:status())
    assert.equal(1, C.CloseHandle(handle))
    assert.equal("INVALID", select(3, adopted:join(10000)))
  end)

  it("tells a port of its end, also if its handle was closed meanwhile", function()
    local gate, port = iocp.IOCompletionPort(), iocp.IOCompletionPort()
    local thread = iocp.Thread("local gate = ... gate:dequeue()", gate)
    local handle = C.OpenThread(0x00100040, 0, thread:id())
    local adopted = assert(iocp.Thread.adopt(handle))
    assert(adopted:notify(port, 1))
    local second = assert(adopted:notify(port, 2))
    assert.is_true(second:cancel())
    assert.is_nil((port:dequeue(10)))
    assert.equal(1, C.CloseHandle(handle))
    gate:enqueue(1)
    assert.equal(1, (port:dequeue(10000)))
    assert(adopted:notify(port, 3))
    assert.equal(3, (port:dequeue(0)))
  end)
end)

describe("a port of ours", function()
  it("is the kernel's by its native handle", function()
    local port = iocp.IOCompletionPort()
    local handle = kernel_handle(port)
    assert.equal(1, C.PostQueuedCompletionStatus(handle, 4294967295, 1, ffi.cast("OVERLAPPED *", 16)))
    assert.same({ 1, 4294967295, 16 }, { port:dequeue(1000) })
    port:enqueue(2 ^ 53 - 1, 3)
    assert.same({ 2 ^ 53 - 1, 3, 0 }, { kernel_get(handle, 1000) })
    assert.is_nil(kernel_get(handle, 0))
  end)

  it("that is closed sends 8 parked threads away within a second (16)", function()
    local port, threads = iocp.IOCompletionPort(), {}
    for i = 1, 8 do
      threads[i] = iocp.Thread("local port, ms = ... return select(3, port:dequeue(ms))", port,
        i % 2 == 0 and 1e7 or nil)
    end
    assert.is_true(support.parked(port, 8))
    local start = system.monotime()
    port:close()
    for _, code in ipairs(support.join_all(threads)) do
      assert.equal("ABANDONED", code)
    end
    assert.is_true(system.monotime() - start < 1)
  end)
end)

describe("I/O that completes to a port", function()
  local port, server, client, buffer, overlapped
  before_each(function()
    port = iocp.IOCompletionPort()
    local name = ("\\\\.\\pipe\\iocp-spec-%d-%s"):format(C.GetCurrentThreadId(), port:handle())
    server = C.CreateNamedPipeA(name, 0x40000003, 0, 1, 4096, 4096, 0, nil) -- duplex, overlapped
    client = C.CreateFileA(name, 0xC0000000, 0, nil, 3, 0, nil)
    assert(address_of(server) < 2 ^ 52 and address_of(client) < 2 ^ 52)
    assert(C.CreateIoCompletionPort(server, kernel_handle(port), 77, 0) ~= nil)
    buffer, overlapped = ffi.new("char[100]"), ffi.new("OVERLAPPED[1]")
    assert.equal(0, C.ReadFile(server, buffer, 100, nil, overlapped))
    assert.equal(997, C.GetLastError()) -- it is under way
  end)
  after_each(function()
    C.CloseHandle(server)
    C.CloseHandle(client)
  end)

  it("brings the key of its file, the bytes and its overlapped", function()
    assert.equal("TIMEOUT", select(3, port:dequeue(0)))
    assert.equal(1, C.WriteFile(client, "hello", 5, ffi.new("DWORD[1]"), nil))
    assert.same({ 77, 5, address_of(overlapped) }, { port:dequeue(10000) })
    assert.equal("hello", ffi.string(buffer, 5))
  end)

  it("and fails brings POSIX' name for why with them (10)", function()
    assert.equal(1, C.CancelIo(server))
    local key, message, code, file_key, bytes, address = port:dequeue(10000)
    assert.is_nil(key)
    assert.is_string(message)
    assert.same({ "ECANCELED", 77, 0, address_of(overlapped) }, { code, file_key, bytes, address })
    assert.equal("TIMEOUT", select(3, port:dequeue(0)))
  end)

  it("that failed is put back with POSIX' name for why", function()
    port:enqueue(1)
    local taken = port:packets(2)
    assert.equal(1, (taken()))
    port:enqueue(2)
    assert.equal(1, C.CancelIo(server))
    assert.equal(2, (taken())) -- and has the other
    taken = nil
    collect()
    assert.same({ "ECANCELED", 77, 0, address_of(overlapped) }, { select(3, port:dequeue(10000)) })
    assert.is_nil(taken)
  end)

  it("wakes a parked thread", function()
    local worker = iocp.Thread("local port = ... return port:dequeue()", port)
    assert.is_true(support.parked(port, 1))
    C.WriteFile(client, "hello", 5, ffi.new("DWORD[1]"), nil)
    assert.same({ true, 77, 5, address_of(overlapped) }, { worker:join(10000) })
  end)
end)

describe("I/O that fails after a part was transferred", function()
  local port, server, client, buffer, overlapped
  before_each(function()
    port = iocp.IOCompletionPort()
    local name = ("\\\\.\\pipe\\iocp-spec-messages-%d-%s"):format(C.GetCurrentThreadId(), port:handle())
    server = C.CreateNamedPipeA(name, 0x40000003, 6, 1, 4096, 4096, 0, nil) -- duplex, overlapped; whole messages
    client = C.CreateFileA(name, 0xC0000000, 0, nil, 3, 0, nil)
    assert(C.CreateIoCompletionPort(server, kernel_handle(port), 77, 0) ~= nil)
    buffer, overlapped = ffi.new("char[4]"), ffi.new("OVERLAPPED[1]")
    C.ReadFile(server, buffer, 4, nil, overlapped)
    assert.equal(1, C.WriteFile(client, "hello", 5, ffi.new("DWORD[1]"), nil))
  end)
  after_each(function()
    assert.equal("hell", ffi.string(buffer, 4))
    C.CloseHandle(server)
    C.CloseHandle(client)
  end)

  it("says so from dequeue (43)", function()
    local key, message, code, file_key, bytes, address = port:dequeue(10000)
    assert.is_nil(key)
    assert.is_string(message)
    assert.same({ "EMSGSIZE", 77, 4, address_of(overlapped) }, { code, file_key, bytes, address })
  end)

  it("says so from receive (43)", function()
    local key, _, code, file_key, bytes, address = port:receive(10000)
    assert.same({ false, "EMSGSIZE", 77, 4, address_of(overlapped) }, { key or false, code, file_key, bytes, address })
  end)

  it("says so in a batch (43)", function()
    local batch, n = port:dequeue_many(8, 10000)
    assert.same({ 77, -(4 * 65536 + iocp.E.EMSGSIZE), address_of(overlapped), 1 }, { batch[1], batch[2], batch[3], n })
    local name, text, transferred = iocp.describe(batch[2])
    assert.same({ "EMSGSIZE", "string", 4 }, { name, type(text), transferred })
  end)

  for _, batch in ipairs { 1, 8 } do
    it(("says so in a loop of packets(%d) (43)"):format(batch), function()
      local next_packet, state = port:packets(batch)
      assert.same({ 77, -(4 * 65536 + iocp.E.EMSGSIZE), address_of(overlapped) }, { next_packet(state) })
    end)
  end
end)

describe("a callback that the host queues as an asynchronous procedure call", function()
  -- What a fresh process prints that runs a script, which knows `call`: queues a call of f for its own thread.
  local function printed(script)
    local code, output = support.child([[
      local iocp, ffi = require "iocp", require "ffi"
      ffi.cdef "typedef void (__stdcall *call)(uintptr_t);"
      ffi.cdef "unsigned QueueUserAPC(call f, void *thread, uintptr_t); void *GetCurrentThread(void);"
      local ran = 0
      local function call(f)
        assert(ffi.C.QueueUserAPC(f, ffi.C.GetCurrentThread(), 0) ~= 0)
      end
    ]] .. script)
    assert.equal(0, code, output)
    return output
  end

  for how, get in pairs {
    dequeue = "port:dequeue()",
    ["a timed dequeue"] = "port:dequeue(10000)",
    dequeue_many = "port:dequeue_many(3, nil, batch)",
    packets = "next_packet(port)",
  } do
    it("runs in a compiled loop of " .. how .. " that waits", function()
      assert.equal("15", printed(([[
        local port, batch = iocp.IOCompletionPort(), {}
        local next_packet = port:packets()
        local post = ffi.cast("call", function() ran = ran + 1 port:enqueue(1) end)
        for i = 1, 20 do
          if i > 5 then call(post) else port:enqueue(1) end
          for j = 1, 200 do assert(%s) port:enqueue(j) end
          port:dequeue(0)
        end
        print(ran)
      ]]):format(get)))
    end)
  end

  it("does not run in one of a heap that waits for its lock, but in the next wait", function()
    assert.equal("0 15", printed([[
      local heap, lock, locked = iocp.Heap(), iocp.IOCompletionPort(), iocp.IOCompletionPort()
      local holder = iocp.Thread(function(heap, lock, locked)
        for _ in lock:packets() do
          heap:lock()
          locked:enqueue(1)
          require("iocp").sleep(20)
          heap:unlock()
        end
      end, heap, lock, locked)
      local count = ffi.cast("call", function() ran = ran + 1 end)
      local address, early = heap:alloc(8), 0
      for i = 1, 20 do
        if i > 5 then
          lock:enqueue(1)
          locked:dequeue()
          call(count)
        end
        local before = ran
        for _ = 1, 200 do heap:free(heap:alloc(8)) heap:write(address, "x") heap:size(address) end
        early = early + ran - before
      end
      iocp.sleep(1)
      lock:close()
      holder:join()
      print(("%d %d"):format(early, ran))
    ]]))
  end)
end)

describe("a heap of the kernel's", function()
  it("is adopted, works as one of ours, and is not destroyed when its object is collected", function()
    local handle = C.HeapCreate(0, 0, 0)
    do
      local heap = assert(iocp.Heap.adopt(handle))
      assert.equal(address_of(handle), heap:native())
      local address = heap:put("content")
      assert.equal(1, C.HeapValidate(handle, 0, ffi.cast("void *", address)))
      assert.equal("content", heap:read(address))
      assert.is_true(heap:free(address))
      assert.equal("INVALID", select(3, heap:free(address)))
      heap:put("left behind")
    end
    collect()
    assert.equal(1, C.HeapValidate(handle, 0, nil))
    local block = C.HeapAlloc(handle, 0, 100)
    assert.equal(1, C.HeapFree(handle, 0, block))
    assert.equal(1, C.HeapDestroy(handle))
  end)

  it("that is the process' own is adopted too", function()
    local heap = assert(iocp.Heap.adopt(C.GetProcessHeap()))
    local address = assert(heap:alloc(100))
    assert.equal(100, heap:size(address))
    assert.is_true(heap:free(address))
    assert.equal(address_of(C.GetProcessHeap()), iocp.Heap.process():native())
  end)
end)

describe("the process' own heap, locked", function()
  it("is so to who comes through this module, not to the C library's malloc", function()
    local code, output = support.child([[
      local iocp, ffi = require "iocp", require "ffi"
      ffi.cdef "void *malloc(size_t); void free(void *);"
      local locked, unlock = iocp.IOCompletionPort(), iocp.IOCompletionPort()
      local holder = iocp.Thread(function(locked, unlock)
        local heap = require("iocp").Heap.process()
        assert(heap:lock())
        locked:enqueue(1)
        unlock:dequeue()
        assert(heap:unlock())
      end, locked, unlock)
      locked:dequeue()
      local other = iocp.Thread(function()
        local heap = require("iocp").Heap.process()
        return heap:free(heap:alloc(100))
      end)
      for i = 1, 100 do ffi.C.free(ffi.C.malloc(i)) end
      print(select(3, other:join(100)))
      unlock:enqueue(1)
      print(other:join(10000))
      print(holder:join(10000))
    ]])
    assert.equal(0, code, output)
    assert.equal("TIMEOUT\ntrue\ttrue\ntrue", output)
  end)

  it("can be walked, which is not disturbed", function()
    local heap = iocp.Heap.process()
    local address, found = heap:alloc(100), 0
    for block, size in heap:walk() do
      found = found + (block == address and size == 100 and 1 or 0)
    end
    assert.equal(1, found)
    assert.is_true(heap:validate())
    assert.is_true(heap:free(address))
  end)
end)

describe("the library", function()
  it("stays loaded once a thread has waited in it: Ctrl-C is told to it from then on", function()
    ffi.cdef [[
      void *LoadLibraryA(const char *), *GetModuleHandleA(const char *), *GetProcAddress(void *, const char *);
      int FreeLibrary(void *);
    ]]
    local name = support.temporary():gsub("%.%w+$", "") .. ".dll"
    local from = assert(io.open(package.searchpath("iocp.core", package.cpath), "rb"))
    local to = assert(io.open(name, "wb"))
    to:write(from:read("*a"))
    to:close()
    from:close()
    local library = C.LoadLibraryA(name)
    assert(library ~= nil)
    assert.equal(0, ffi.cast("int (*)(double)", C.GetProcAddress(library, "iocp_sleep"))(0))
    assert.equal(1, C.FreeLibrary(library))
    assert.is_true(C.GetModuleHandleA(name) ~= nil)
  end)
end)

describe("a console", function()
  it("need not understand control sequences for a bar to be drawn on it", function()
    local code, output = support.child([[
      local iocp, ffi = require "iocp", require "ffi"
      ffi.cdef "void *CreateFileA(const char *, unsigned, unsigned, void *, unsigned, unsigned, void *);"
      ffi.cdef "int SetStdHandle(unsigned, void *); int GetConsoleMode(void *, unsigned *);"
      ffi.cdef "int SetConsoleMode(void *, unsigned);"
      local console, mode = ffi.C.CreateFileA("CONOUT$", 0xC0000000, 3, nil, 3, 0, nil), ffi.new("unsigned[1]")
      assert(ffi.C.SetStdHandle(-12, console) ~= 0)
      assert(ffi.C.SetConsoleMode(console, 3) ~= 0)
      local pool = iocp.Pool(1)
      pool:map({ 1 }, function(x) return x end, { progress = true })
      pool:shutdown()
      assert(ffi.C.GetConsoleMode(console, mode) ~= 0)
      print("mode " .. mode[0])
    ]])
    assert.equal(0, code, output)
    assert.matches("%[#+%] iocp pool 100 %% 1/1, [^\27]*mode 3$", output)
  end)
end)

describe("a heap of ours", function()
  -- How many blocks of 48 bytes the kernel's own walk finds in use. Larger ones may be what it cuts small blocks from.
  local function busy(handle)
    local entry, n = ffi.new("PROCESS_HEAP_ENTRY[1]"), 0
    assert.equal(1, C.HeapLock(handle))
    while C.HeapWalk(handle, entry) ~= 0 do
      if entry[0].wFlags % 8 >= 4 and entry[0].cbData >= 48 and entry[0].cbData < 64 then
        n = n + 1
      end
    end
    assert.equal(259, C.GetLastError()) -- no more entries
    assert.equal(1, C.HeapUnlock(handle))
    return n
  end

  it("has no more blocks than before after 100,000 messages through 4 workers (35)", function()
    local port, heap, workers, count = iocp.IOCompletionPort(), iocp.Heap(), {}, support.scaled(100000)
    local before = busy(kernel_handle(heap))
    for i = 1, 4 do
      workers[i] = iocp.Thread([[
        local port, heap = ...
        local n = 0
        for key in port:packets() do
          assert(heap:free(key))
          n = n + 1
        end
        return n
      ]], port, heap)
    end
    for _ = 1, count do
      port:enqueue(assert(heap:alloc(48)), 48)
    end
    assert.is_true(support.eventually(function() return port:stats().queued == 0 end))
    assert.is_true(support.parked(port, 4))
    port:close()
    local total = 0
    for _, n in ipairs(support.join_all(workers)) do
      total = total + n
    end
    assert.equal(count, total)
    assert.equal(0, heap:stats().blocks)
    assert.equal(before, busy(kernel_handle(heap)))
    local address = heap:alloc(48)
    assert.equal(before + 1, busy(kernel_handle(heap)))
    heap:free(address)
  end)
end)

describe("a thread's name", function()
  it("is UTF-8 here and UTF-16 in the kernel", function()
    local thread = iocp.Thread({ name = "wörker →", body = "return require('support').thread_name()" })
    local ok, shown = thread:join(10000)
    assert.is_true(ok, shown)
    assert.equal("wörker →", shown or "wörker →") -- Windows 7 and 8 have no names
    assert.equal("wörker →", thread:name())
  end)
end)
