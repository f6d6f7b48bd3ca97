-- LuaJIT's fast path (lua/iocp/jit.lua): that loops with it compile, and that it says what the classic methods say. The
-- other specs run with it and, under IOCP_NOJIT=1, without: then there is nothing to show here.
local support = require "support"

if not rawget(_G, "jit") or os.getenv("IOCP_NOJIT") == "1" then
  describe("the classic methods", function()
    it("are what runs", function()
      assert.equal("C", debug.getinfo(require("iocp").IOCompletionPort().enqueue, "S").what)
    end)
  end)
  return
end

-- Runs `loop`, source of a function of n, port and heap, in a fresh process, a warm-up first. Returns how many traces
-- were made in the warm-up, how many attempts failed after it, and how much garbage a turn made.
local function compiled(loop)
  local code, output = support.child(([[
    local iocp = require "iocp"
    local port, heap = iocp.IOCompletionPort(), iocp.Heap()
    local made, failed = 0, 0
    jit.attach(function(what)
      made = made + (what == "stop" and 1 or 0)
      failed = failed + (what == "abort" and 1 or 0)
    end, "trace")
    local loop = %s
    loop(2000, port, heap)
    local warm = made
    failed = 0
    collectgarbage()
    collectgarbage("stop")
    local before = collectgarbage("count")
    loop(10000, port, heap)
    print(("made=%%d failed=%%d garbage=%%d"):format(warm, failed, (collectgarbage("count") - before) * 1024 / 10000))
  ]]):format(loop), 200)
  assert.equal(0, code, output)
  local made, failed, garbage = output:match("made=(%d+) failed=(%d+) garbage=(%d+)")
  return tonumber(made), tonumber(failed), tonumber(garbage)
end

describe("compiled loops", function()
  local loops = {
    ["the article's"] = [[ function(n, port, heap)
      for i = 1, n do port:enqueue(heap:alloc(48), 48) end
      for i = 1, n do heap:free((port:dequeue())) end
    end ]],
    ["a poll"] = "function(n, port) for i = 1, n do port:dequeue(0) end end",
    ["packets"] = [[ function(n, port)
      for i = 1, n do port:enqueue(i) end
      for key in port:packets() do if key == n then break end end
    end ]],
    ["size and write"] = [[ function(n, port, heap)
      local a = heap:alloc(100)
      for i = 1, n do heap:write(a, "abc", 3) heap:size(a) end
    end ]],
    ["an echo over sockets"] = [[ function(n, port, heap)
      if not connected then
        connected = { require "support.sockets".connection(port) }
      end
      local client, server, open = connected[1], connected[2], require "iocp".Socket.open
      local from, to = heap:alloc(64), heap:alloc(64)
      local number = tonumber(server:handle()) -- the key of the server's packets
      server:receive(to)
      client:send(from, nil, false)
      repeat
        local key, bytes, block = port:dequeue(0) -- no wait, which on Windows is the classic method's
        if key == number then
          local socket = open(key)
          socket:send(block, bytes, false)
          client:receive(from, 64)
        elseif key then
          n = n - 1
          server:receive(to)
          client:send(from, nil, false)
          client:ready("write", false)
        end
      until n == 0
      port:dequeue() -- the server's, and then nothing is under way
    end ]],
    ["reads and writes of a file"] = [[ function(n, port, heap)
      if not file then
        file = assert(require "iocp".File.temporary())
        assert(file:associate(port))
      end
      local from, to, open = heap:alloc(64), heap:alloc(64), require "iocp".File.open
      for i = 1, n / 10 do
        if file:write(from, 64, i % 8 * 64, false) == true then port:dequeue() end
        if file:write("text", i % 8 * 64, false) == true then port:dequeue() end
        if file:read(to, nil, i % 8 * 64, false) == true then port:dequeue() end
        file:read(to, 64, i % 8 * 64)
        open((port:dequeue()))
      end
    end ]],
    ["what goes through a pipe"] = [[ function(n, port, heap)
      if not reader then
        reader, writer = assert(require "iocp".File.pipe())
        assert(reader:associate(port))
        assert(writer:associate(port))
      end
      local from, to = heap:alloc(64), heap:alloc(64)
      for i = 1, n do
        writer:write(from, nil, nil, false)
        reader:read(to)
        port:dequeue()
      end
    end ]],
    ["atomics"] = [[ function(n)
      atomic = atomic or require "iocp".Atomic()
      for i = 1, n do
        atomic:set(i)
        atomic:sub(atomic:add(i) - atomic:get())
        atomic:compare_exchange(2 * i, 0)
      end
    end ]],
    ["batches"] = [[ function(n, port)
      local keys, batch = {}, {}
      for i = 1, 64 do keys[i] = i end
      for i = 1, n / 10 do port:enqueue_many(keys) port:dequeue_many(64, 0, batch) end
    end ]],
  }
  for name, loop in pairs(loops) do
    it("are made of " .. name .. ", without an abort or garbage", function()
      local made, failed, garbage = compiled(loop)
      assert.is_true(made > 0)
      assert.equal(0, failed)
      assert.is_true(garbage < 16, garbage) -- bytes a packet or block: a boxed number would take 16
    end)
  end
end)

describe("the fast path", function()
  -- What calls with all kinds of arguments answer, as text.
  local script = [==[
    local iocp = require "iocp"
    local port, heap, closed, gone = iocp.IOCompletionPort(), iocp.Heap(), iocp.IOCompletionPort(), iocp.Heap()
    closed:close()
    gone:destroy()
    local block = heap:put("0123456789")
    local socket, shut, lost = iocp.Socket(), iocp.Socket(), iocp.Socket.pair()
    shut:close()
    assert(lost:associate(port))
    assert(lost:shutdown("write"))
    local aside, file, ended, pipe = iocp.IOCompletionPort(), iocp.File.temporary(), iocp.File.temporary(), nil
    ended:close()
    assert(file:associate(aside))
    _, pipe = iocp.File.pipe()
    assert(pipe:associate(aside))
    local ffi = require "ffi"
    local odd = { -1, 0.5, 0 / 0, 1 / 0, 2 ^ 53, 2 ^ 32, 0, 3, "3", true, {}, print, heap, port, ffi.new("int[2]"),
      ffi.new("uint64_t", 7), ffi.cast("void *", block) }
    local calls = {
      { "enqueue", port }, { "enqueue", closed }, { "dequeue", closed }, { "enqueue_many", port, { 1, 2 } },
      { "enqueue_many", port, { 1, -2 } }, { "enqueue_many", closed }, { "dequeue_many", closed }, { "size", heap },
      { "size", gone }, { "alloc", gone, 5 }, { "read", heap, block }, { "read", gone },
      { "write", heap, block, "abc" }, { "write", heap, block }, { "write", gone, block, "x" }, { "enqueue", heap },
      { "alloc", port }, { "read", heap, block, 4 }, { "free", heap }, { "free", gone }, { "read", heap },
      { "receive", socket }, { "receive", shut }, { "receive", socket, block }, { "receive", socket, block, 5 },
      { "receive", socket, block, 5, 6 }, { "receive", lost, 16 }, { "receive", port }, { "send", socket },
      { "send", shut }, { "send", socket, "text" }, { "send", lost, "text" }, { "send", lost, block, 5 },
      { "send", lost, "text", false }, { "send", socket, block, 5, 6 }, { "ready", socket }, { "ready", shut },
      { "ready", socket, "read" }, { "ready", lost, "write" }, { "ready", lost, "both" },
      { "ready", lost, "write", false }, { "read", file }, { "read", ended }, { "read", file, block },
      { "read", file, block, 5 }, { "read", file, block, 5, 0 }, { "read", file, block, nil, 2, 9 },
      { "read", file, block, 5, 0, 9 }, { "read", file, block, 5, 0, false, 6 }, { "read", ended, block, 5, 0 },
      { "read", pipe, block, 5 }, { "write", file, "text" }, { "write", file, "text", 7 }, { "write", ended, "x", 0 },
      { "write", file, block, 5, 0 }, { "write", file, block, 5, 0, false, 6 }, { "write", pipe, "text" },
      { "write", pipe, block, 3 }, { "write", ended, block, 5, 0 },
    }
    local function show(name, ...)
      local list = { ... }
      for i = 1, select("#", ...) do
        list[i] = tostring(list[i]):gsub("0x%x+", "an address"):gsub("%d%d%d%d%d%d%d+", "an address")
      end
      print(name, table.concat(list, " | "))
    end
    -- An operation that was begun ends before the next, which may use its block.
    local function settle(object, ok, begun, ...)
      if (object == file or object == pipe) and ok and begun == true then
        aside:dequeue(20000)
      end
      return ok, begun, ...
    end
    for _, call in ipairs(calls) do
      local f = getmetatable(call[2]).__index[call[1]] or getmetatable(port).__index[call[1]]
        or getmetatable(heap).__index[call[1]] or getmetatable(socket).__index[call[1]]
      for i = 0, #odd do
        local value = odd[i]
        if i > 0 then
          local arguments = { unpack(call, 2, #call) }
          arguments[#arguments + 1] = value
          show(call[1] .. " " .. tostring(type(value)), settle(call[2], pcall(f, unpack(arguments))))
        else
          show(call[1], settle(call[2], pcall(f, unpack(call, 2, #call))))
        end
      end
    end
    local b = heap:alloc(8, true)
    show("taken", port:dequeue(0))
    show("zeroed", heap:read(b))
    show("two", port:dequeue_many(2, 0))
    show("collected", pcall(getmetatable(port).__gc, port), pcall(port.enqueue, port, 1))
  ]==]

  it("answers what the classic methods answer", function()
    local code, fast = support.child(script)
    assert.equal(0, code, fast)
    local classic
    code, classic = support.child('os.getenv = function() return "1" end ' .. script)
    assert.equal(0, code, classic)
    local function lines_of(output) -- without the name of the script's file, which is another one each time
      return output:gsub("[^%s]+(:%d+: bad argument)", "%1"):gmatch("[^\n]+")
    end
    local lines = lines_of(fast)
    for line in lines_of(classic) do
      -- A Lua function does not see whether nil was passed or nothing.
      assert.equal((line:gsub("got nothing", "got nil")), lines())
    end
    assert.is_nil(lines())
    assert.is_true(#fast > 10000)
  end)

  it("is what runs", function()
    assert.equal("Lua", debug.getinfo(require("iocp").IOCompletionPort().enqueue, "S").what)
  end)

  if not support.windows then
    it("has one deadline, though a signal interrupts it", function()
      local code, output = support.child([[
        local iocp, ffi = require "iocp", require "ffi"
        ffi.cdef "int abs(int); void (*signal(int, int (*)(int)))(int); int getpid(void);"
        ffi.C.signal(10, ffi.C.abs) -- a handler that does nothing
        local port = iocp.IOCompletionPort()
        for _, name in ipairs { "dequeue", "dequeue_many" } do
          os.execute(("(sleep 0.9; kill -USR1 %d) &"):format(ffi.C.getpid()))
          local started = iocp.clock()
          local _, _, why = port[name](port, name == "dequeue" and 1000 or 5, 1000)
          print(why, iocp.clock() - started >= 1000, iocp.clock() - started < 1700)
        end
      ]])
      assert.same({ 0, "TIMEOUT\ttrue\ttrue\nTIMEOUT\ttrue\ttrue" }, { code, output })
    end)
  end

  it("is not confused by finalizers that use it in the middle of a call", function()
    local code, output = support.child([[
      local iocp = require "iocp"
      jit.off() -- interpreted, every cdata that is looked at is garbage
      local port, other, heap = iocp.IOCompletionPort(), iocp.IOCompletionPort(), iocp.Heap()
      local finalized = 0
      local function garbage()
        getmetatable(newproxy(true)).__gc = function()
          finalized = finalized + 1
          other:enqueue(2 ^ 40 + finalized)
          other:dequeue(0)
          other:enqueue_many { 1, 2, 3 }
          other:dequeue_many(3)
          heap:free(heap:alloc(8))
        end
      end
      -- Each call on a port is a round trip to Wine's server, which on a busy machine takes a tenth of a millisecond.
      for i = 1, os.getenv("IOCP_SPEC_WINE") and 4000 or 20000 do
        garbage()
        port:enqueue(i)
        assert(port:dequeue(0) == i)
        port:enqueue_many { i, i + 1 }
        local batch, n = port:dequeue_many(2, 0)
        assert(n == 2 and batch[1] == i and batch[4] == i + 1)
        local block = heap:alloc(i % 100)
        assert(heap:size(block) == i % 100)
        assert(heap:free(block))
      end
      assert(finalized > 1000 and heap:stats().blocks == 0)
    ]])
    assert.equal(0, code, output)
  end)

  it("leaves tables with metamethods to the classic methods", function()
    local port = require("iocp").IOCompletionPort()
    port:enqueue_many { 1, 2 }
    local batch = setmetatable({}, { __newindex = error })
    assert.equal(2, select(2, port:dequeue_many(2, 0, batch)))
    assert.equal(2, batch[4])
  end)

  it("is refused where C lays out its structs in another way, which leaves threads the classic methods", function()
    local code, output = support.child([[
      local iocp = require "iocp"
      local port = iocp.IOCompletionPort()
      local body = [=[
        local port, name, change = ...
        require "iocp"
        local private = require "iocp.private"
        local open_fast = private.open_fast
        function private.open_fast(max)
          local parts = open_fast(max)
          assert(parts.layout[name])
          parts.layout[name] = parts.layout[name] + change
          return parts
        end
        for _ = 1, 100 do
          port:dequeue(0)
        end
        local kind = debug.getinfo(port.dequeue, "S").what
        package.loaded["iocp.jit.fast"] = nil
        local ok, message = pcall(require, "iocp.jit.fast")
        return kind, ok or message
      ]=]
      for _, name in ipairs { "box", "left.busy", "packet.code", "taken.packets" } do
        print(select(2, iocp.Thread(body, port, name, 0):join()))
        print(select(2, iocp.Thread(body, port, name, 8):join()))
      end
    ]])
    assert.equal(0, code, output)
    local kinds = {}
    for line in output:gmatch("[^\n]+") do
      kinds[#kinds + 1] = line:match("^%a+")
      assert.equal(kinds[#kinds] == "C", line:find(" here, and ", 1, true) ~= nil, line)
    end
    assert.same({ "Lua", "C", "Lua", "C", "Lua", "C", "Lua", "C" }, kinds)
  end)

  it("keeps away where the compiler is off", function()
    local code, output = support.child([[
      jit.off()
      print(debug.getinfo(require("iocp").IOCompletionPort().enqueue, "S").what)
    ]])
    assert.same({ 0, "C" }, { code, output })
  end)
end)

describe("in a thread that requires the module, they", function()
  local function run(body, ...)
    local iocp = require "iocp"
    return { iocp.Thread([[
      local iocp, port = require "iocp", ...
      local methods = package.loaded["iocp.methods"]["iocp.IOCompletionPort"]
      local function is_compiled(name)
        return debug.getinfo(methods[name], "S").source:find("jit[/\\\\]port.lua") ~= nil
      end
    ]] .. body, iocp.IOCompletionPort(), ...):join(10000) }
  end

  it("come when one has been called often, each class's by themselves", function()
    assert.same({ true, false, true, true, false, false }, run [[
      port:enqueue(1)
      local before = is_compiled "enqueue"
      for _ = 1, 100 do port:dequeue(0) end
      return before, is_compiled "enqueue", is_compiled "packets", package.loaded["iocp.jit.heap"] ~= nil,
        package.loaded["iocp.jit.socket"] ~= nil
    ]])
  end)

  it("come for a method that was kept from the first look on, whose loop compiles", function()
    assert.same({ true, true, 0, true }, run [[
      local dequeue, aborts, made = port.dequeue, 0, 0
      jit.attach(function(what)
        made = made + (what == "stop" and 1 or 0)
        aborts = aborts + (what == "abort" and 1 or 0)
      end, "trace")
      local function loop(n) for _ = 1, n do dequeue(port, 0) end end
      loop(1000)
      aborts = 0
      loop(10000)
      return made > 0, aborts, dequeue ~= port.dequeue
    ]])
  end)

  it("cross by name before they come and after", function()
    assert.same({ true, true, true, true }, run [[
      local enqueue = port.enqueue
      local function crosses()
        local has_sent, message = port:send(enqueue)
        local _, got = port:receive(0)
        return (assert(has_sent, message) and got(port, 7)) == true and port:dequeue(0) == 7
      end
      local before = crosses()
      for _ = 1, 100 do port:dequeue(0) end
      return before, crosses(), is_compiled "enqueue"
    ]])
  end)

  it("come for atomics, and for the view of an array with the first look", function()
    assert.same({ true, true, false, true, true, 100 }, run [[
      local atomic, array = iocp.Atomic(), iocp.Array("double", 4)
      local function is_loaded(name) return package.loaded["iocp.jit." .. name] ~= nil end
      atomic:set(0)
      local early = not is_loaded "atomic" and not is_loaded "array"
      local of_tables = type(array:view()) == "table"
      for _ = 1, 100 do atomic:add(1) end
      return early, of_tables, is_loaded "array", is_loaded "atomic", atomic:get()
    ]])
  end)

  it("come for these late in a main state, too", function()
    assert.equal(0, (support.child([[
      local iocp = require "iocp"
      local function is_loaded(name) return package.loaded["iocp.jit." .. name] ~= nil end
      local atomic, array = iocp.Atomic(), iocp.Array("double", 4)
      assert(is_loaded "port" and not is_loaded "atomic" and not is_loaded "array")
      local kept = atomic.add
      for _ = 1, 50 do kept(atomic, 1) end
      assert(is_loaded "atomic" and atomic:get() == 50 and kept(atomic, 1) == 51)
      assert(type(array:view()) == "cdata" and is_loaded "array")
    ]])))
  end)

  it("come by the looks in a port with a capacity, too, which they leave its own methods", function()
    assert.same({ true, true, true, "FULL", 1 }, run [[
      local limited = iocp.IOCompletionPort { capacity = 1, on_full = "refuse" }
      for _ = 1, 100 do limited:dequeue(0) end
      local ok = limited:enqueue(1)
      local _, _, code = limited:enqueue(2)
      return is_compiled "dequeue", ok, code, (limited:dequeue(0))
    ]])
  end)

  it("leave alone what the scheduler has put in their place", function()
    assert.same({ true, true, true, true }, run [[
      port:enqueue(1)
      local run = iocp.run
      local dequeue = methods.dequeue
      for _ = 1, 100 do port:dequeue(0) end
      local got
      run(function()
        iocp.spawn(function() iocp.sleep(1) port:enqueue(5) end)
        got = port:dequeue()
      end)
      return methods.dequeue == dequeue, is_compiled "enqueue", got == 5
    ]])
  end)
end)

describe("in a thread that got its objects without requiring the module, they", function()
  -- What kind of functions the thread finds once it has run `use`.
  local function kinds(use)
    local iocp = require "iocp"
    local port, heap = iocp.IOCompletionPort(), iocp.Heap()
    return { iocp.Thread(([[
      local port, heap = ...
      %s
      return debug.getinfo(port.dequeue, "S").what, debug.getinfo(heap.alloc, "S").what
    ]]):format(use), port, heap):join() }
  end

  it("come with a packets loop", function()
    assert.same({ true, "Lua", "Lua" }, kinds "port:enqueue(5) for key in port:packets() do assert(key == 5) break end")
  end)

  it("come when methods are looked for again and again", function()
    assert.same({ true, "Lua", "Lua" }, kinds "for i = 1, 100 do port:enqueue(i) assert(port:dequeue() == i) end")
    assert.same({ true, "Lua", "Lua" }, kinds "for i = 1, 100 do heap:free(heap:alloc(i)) end")
  end)

  it("do not come for a few calls, or with the compiler off", function()
    assert.same({ true, "C", "C" }, kinds "port:enqueue(5) heap:free(heap:alloc(5))")
    assert.same({ true, "C", "C" }, kinds [[
      for i = 1, 100 do assert(not port.nothing and not heap[i] and port.send) end
    ]])
    assert.same({ true, "C", "C" }, kinds "jit.off() for i = 1, 100 do port:enqueue(i) assert(port:dequeue() == i) end")
  end)

  it("are there at once if it requires the module after all", function()
    assert.same({ true, "Lua", "Lua" }, kinds "require 'iocp'")
    assert.same({ true, "Lua", "Lua" }, kinds [[
      port:enqueue(1)
      require "iocp"
      local dequeue = port.dequeue
      assert(dequeue(port) == 1)
    ]])
  end)

  it("come whatever the script has made of package.path", function()
    assert.same({ true, "Lua", "Lua" }, kinds [[
      package.path = ""
      for i = 1, 100 do port:enqueue(i) assert(port:dequeue() == i) end
    ]])
  end)

  it("stay the classic ones where only iocp.core is to be had", function()
    assert.same({ true, "C", "C" }, kinds [[
      package.loaders = { package.loaders[1] }
      for i = 1, 100 do port:enqueue(i) assert(port:dequeue() == i) end
    ]])
  end)
end)
