-- What wrong use is told: what is wrong, and what to do.
local iocp = require "iocp"
local support = require "support"

describe("a message says", function()
  local pool, port, heap
  setup(function()
    pool, port, heap = iocp.Pool(1), iocp.IOCompletionPort(), iocp.Heap()
  end)
  teardown(function()
    pool:close()
  end)

  local function message_of(f)
    local ok, message = pcall(f)
    assert.is_false(ok)
    assert.matches("messages_spec.lua:%d+: ", message)
    return message
  end

  it("that a method wants a colon", function()
    local list, f = { 1 }, function() end
    for _, wrong in ipairs {
      function() pool.shutdown() end,
      function() pool.shutdown(100) end,
      function() pool.map(list, f) end,
      function() pool.parallel_for(1, 2, f) end,
      function() pool.reduce(list, f) end,
      function() pool.trace("x") end,
      function() pool.submit(f) end,
      function() pool.post(f) end,
      function() pool.submit_after(5, f) end,
      function() pool.submit_every(5, f) end,
      function() pool.stats() end,
      function() pool.close() end,
      function() port.send("x") end,
      function() port.receive() end,
      function() port.dequeue(5) end,
      function() port.packets() end,
      function() heap.alloc(8) end,
      function() heap.put("x") end,
      function() iocp.Thread("").join(5) end,
      function() pool:submit("").wait() end,
    } do
      assert.matches("methods are called with a colon", message_of(wrong), 1, true)
    end
    local message = message_of(function() heap.alloc(port) end)
    assert.matches("self: expected iocp.Heap, got iocp.IOCompletionPort)", message, 1, true)
  end)

  it("that a function of the module wants a dot", function()
    for _, wrong in ipairs {
      function() iocp:Pool(4) end,
      function() iocp:Pool() end,
      function() iocp:Thread("return 1") end,
      function() iocp:Thread({ body = "" }) end,
      function() iocp:Heap() end,
      function() iocp:IOCompletionPort(2) end,
      function() iocp.Heap:open(heap:handle()) end,
      function() iocp.IOCompletionPort:adopt(port:native()) end,
      function() iocp:sleep(5) end,
      function() iocp:blocking(print) end,
      function() iocp:register("x", {}) end,
    } do
      assert.matches("called with a dot", message_of(wrong), 1, true)
    end
  end)

  it("that nil is for ever only where it is", function()
    for _, wrong in ipairs {
      function() iocp.sleep("x") end,
      function() iocp.sleep() end,
      function() port:enqueue_after(-1, 1) end,
      function() port:enqueue_after(nil, 1) end,
    } do
      assert.matches("ms: expected milliseconds, a number from 0 on, got ", message_of(wrong), 1, true)
    end
    assert.matches("or nil for ever, got string", message_of(function() port:dequeue("x") end), 1, true)
  end)

  -- Rows of a mistake, and of what its message has.
  local function told(rows)
    for _, row in ipairs(rows) do
      local message = message_of(row[1])
      for i = 2, #row do
        assert.matches(row[i], message, 1, true)
      end
    end
  end

  it("what came, and to which method", function()
    local thread = iocp.Thread { body = "", suspended = true }
    told {
      { function() iocp.Pool { on_error = "Log" } end, '"raise" or a function, got string "Log")' },
      { function() thread:cancel("Hard") end, '(how: expected "hard" or nil, got string "Hard")' },
      { function() pool:task(""):cancel("Hard") end, '(how: expected "hard" or nil, got string "Hard")' },
      { function() iocp.Thread { stack = "1M" } end, '(stack: expected a number of bytes from 262144', 'string "1M")' },
      { function() iocp.Thread { stack = 1 } end, "(stack: expected a number of bytes from 262144 on", "got 1)" },
      { function() iocp.Pool { stack = 1 } end, "'stack' to 'Pool' (expected a number of bytes from", "got 1)" },
      { function() port:enqueue(("x"):rep(50)) end, 'got string "' .. ("x"):rep(40) .. '"...; port:send' },
      { function() port:enqueue(-1) end, "key: expected an address or integer from 0 to ", "got -1)" },
      { function() pool:map(1, print) end, "bad argument 'list' to 'map' (expected a table", "got 1)" },
      { function() pool:reduce("x", print) end, "'list' to 'reduce' (expected a table", 'got string "x")' },
      { function() pool:map({}, 5) end, "'f' to 'map' (expected a function, a chunk,", "or a table, got 5)" },
      { function() pool:map({}, "x = = 1") end, "bad argument 'f' to 'map' ([string \"x = = 1\"]:1: " },
      { function() pool:map({}, print, { errors = "all" }) end, "'errors' to 'map' (expected", 'got string "all")' },
      { function() pool:map({}, print, true) end, "'options' to 'map' (expected a table, got boolean)" },
      { function() pool:parallel_for(1, 10) end, "'f' to 'parallel_for' (expected a function, a chunk,", "got nil)" },
      { function() pool:parallel_for(1, math.huge, print) end, "numbers that bound a loop", "1, inf, 1" },
      { function() pool:submit(1) end, 'a function, a chunk, "module:function" or a table, got 1)' },
    }
  end)

  it("which numbers are taken", function()
    told {
      { function() port:receive_many(0) end, "max", "expected an integer from 1 to 16384, got 0)" },
      { function() port:receive_many(16385) end, "max", "expected an integer from 1 to 16384, got 16385)" },
      { function() port:dequeue_many(0) end, "max", "expected an integer from 1 to 715827882, got 0)" },
      { function() port:dequeue_many("x") end, "max", "expected an integer from 1 to 715827882, got string \"x\")" },
      { function() pool:workers(-1) end, "n: expected an integer from 0 to 100000, got -1)" },
    }
  end)

  it("which options there are", function()
    told {
      { function() iocp.Thread { bdy = "" } end, "'bdy' is none of affinity, body, name, priority, stack, suspended" },
      { function() iocp.Pool { worker = 1 } end, "'worker' is none of workers, idle, concurrency, name" },
      { function() pool:map({}, print, { chunks = 1 }) end, "'chunks' is none of chunk, errors, progress, timeout" },
      { function() pool:submit { bdy = "" } end, "'bdy' is none of body, name, worker" },
    }
  end)

  it("what is written otherwise", function()
    told {
      { function() pool:submit("string.upper", "x") end, 'a function of a module is written "string:upper")' },
      { function() pool:submit { body = "string.upper" } end, 'a function of a module is written "string:upper")' },
      { function() pool:submit("x = = 1") end, "bad argument 'f' to 'submit' ([string \"x = = 1\"]:1: " },
      { function() iocp.Thread("x = = 1") end, "(body: [string \"x = = 1\"]:1: " },
      { function() pool:submit(pool:task("")) end, "a task is submitted by task:submit()" },
      { function() pool:submit(port) end, "f: expected a function, got iocp.IOCompletionPort)" },
      { function() pool:submit(setmetatable({}, { __call = print })) end, "pass a function that calls it" },
      { function() pool:submit(setmetatable({}, { __metatable = 5 })) end, "body: expected a function or a string" },
      { function() local t = pool:task("") t:submit() t:submit() end, "the task was submitted before" },
      { function() pool:task(""):after(nil) end, "task: expected iocp.Task, got nil" },
    }
  end)

  it("what would have no effect", function()
    told {
      { function() pool:map({ a = 1 }, print) end,
        "a table with items from 1 on, or an iterator, got table; it has no item 1)" },
      { function() iocp.Thread { name = ("x"):rep(64) } end, "name: expected a string of at most 63 bytes" },
      { function() iocp.Pool { name = ("x"):rep(64) } end, "'name' to 'Pool' (expected a string of at most 63 bytes" },
      { function() iocp.Pool { queue_wait = 1 } end, "'queue_wait'", "nil without a queue_limit" },
      { function() iocp.Pool { logger = print } end, "'logger'", 'nil without on_error = "log"' },
      { function() iocp.Pool { idle = 1 } end, "'idle'", "nil without workers = { least, most }" },
      { function() iocp.Pool.named("odd", { queue_wait = 1 }) end, "'queue_wait'", "nil without a queue_limit" },
    }
  end)

  it("where a list has a hole, however long it is", function()
    local holes = {
      { 2, { 1, nil, 3 } }, { 2, { "a", nil, "c", nil } }, { 3, { [1] = 1, [2] = 2, [4] = 4 } }, { 1, { nil, 2 } },
      { 4, { [1] = 1, [2] = 2, [3] = 3, [10] = 4 } },
    }
    for _, what in ipairs { "number", "string" } do
      for hole, last in pairs { [4000] = 5000, [5001] = 6000, [9999] = 10000 } do
        local list = {}
        for i = 1, last == 10000 and last or 5000 do
          list[i] = what == "number" and i or "item"
        end
        list[hole], list[last] = nil, list[1]
        holes[#holes + 1] = { hole, list }
      end
    end
    for _, row in ipairs(holes) do
      local list = row[2]
      told {
        { function() pool:map(list, function() end) end, "bad argument 'list' to 'map' (expected a table with items "
          .. "from 1 on and no holes, got table; item " .. row[1] .. " is nil, and others come behind it)" },
        { function() pool:reduce(list, function(a) return a end) end, "bad argument 'list' to 'reduce' (",
          "; item " .. row[1] .. " is nil" },
      }
    end
    assert.same({ "1", "2" }, pool:map({ "1", "2", n = 2 }, function(x) return x end)) -- as table.pack makes them
    local proxy = setmetatable({}, { __len = function() return 2 end, __index = function(_, i) return i * 10 end })
    if #proxy == 2 then -- from Lua 5.2 on
      assert.same({ 10, 20 }, pool:map(proxy, function(x) return x end))
    end
  end)

  it("what init failed with, where that is no text", function()
    local broken = iocp.Pool { workers = 1, on_error = function() end, init = function() error({}) end }
    assert.is_true(support.eventually(function()
      local task, message = broken:submit("")
      return not task and message:find("it has no workers left; pool:last_error() says why", 1, true)
    end))
    assert.matches("died: (error object is a table value)\nstack traceback:", broken:last_error(), 1, true)
  end)

  it("nothing of a method that is an upvalue: it crosses", function()
    local send, inbox = port.send, iocp.IOCompletionPort()
    assert.same({ true, true }, { pool:submit(function(to) return send(to, 5) end, inbox):wait() })
    assert.same({ true, 5 }, { inbox:receive() })
  end)

  it("which method changes an object", function()
    local array, dict = iocp.Array("double", 1), iocp.Dict()
    told {
      { function() return array[1] .. "" end, "iocp.Array has no field 1; its method get, or view(), reads elements" },
      { function() array[1] = 5 end, "iocp.Array has no fields to assign to; its method set does that" },
      { function() dict.name = 5 end, "iocp.Dict has no fields to assign to; its method set does that" },
      { function() pool.workers = 5 end, "iocp.Pool has no fields to assign to" },
    }
  end)

  it("which argument of a server or a client is none", function()
    local port_of = "expected a port's number, from 0 to 65535, or a service's name, got 80800)"
    local host = 'a host\'s name or address without scheme:// and port, or a path, got string "localhost:80")'
    told {
      { function() iocp.Thread() end, "a string chunk, a function or a table of options, got nothing)" },
      { function() iocp.serve(8080, print) end,
        "a table: { port = 8080, handler = function(client) ... end }, got 8080)" },
      { function() iocp.serve { port = 80800, handler = print } end, "'port' to 'serve'", port_of },
      { function() iocp.serve { host = "localhost:80", handler = print } end, "'host' to 'serve'", host },
      { function() iocp.listen("localhost", 80800) end, "'port' to 'listen'", port_of },
      { function() iocp.listen("localhost:80") end, "'host' to 'listen'", host },
      { function() iocp.connect("localhost", 80800) end, "'port' to 'connect'", port_of },
      { function() iocp.connect("localhost:80", 80) end, "'host' to 'connect'", host },
    }
  end)

  it("what is to be said instead", function()
    local text = "expected an address or integer, got string \"hello\"; "
    told {
      { function() iocp.File.temporary():read("hello") end, text .. "iocp.open_file(file) reads text)" },
      { function() port:enqueue("hello") end, text .. "port:send posts values)" },
      { function() pool:submit { print, timeout = 5 } end, "([1] is none of body,", "; the function is body =)" },
      { function() iocp.Thread { print } end, "options: [1] is none of affinity,", "; the function is body =)" },
      { function() iocp.Dict { max = 5 } end, "options: 'max' is none of maximum)" },
      { function() iocp.connect("http://localhost/", 80) end, "without scheme:// and port, or a path, got string" },
      { function() pool:map(pairs { 1 }, nil) end, "it is the first of what pairs(list) gives: pass the list)" },
    }
    local hint = "base out of range%)? %(f is called with an item and its index: say index = false%)\n"
    local _, message = pcall(pool.map, pool, { "10" }, tonumber)
    assert.matches(hint, message)
    _, message = pcall(function() return pool:imap({ "10" }, tonumber)() end)
    assert.matches(hint, message)
    assert.same({ 10 }, pool:map({ "10" }, tonumber, { index = false }))
  end)

  it("what was not found, and where it was looked for", function()
    local program = "iocp-has-no-such-program  -l"
    local _, message = iocp.Process { program }
    assert.matches('(there is no shell: {"iocp-has-no-such-program", "-l"})', message, 1, true)
    _, message = iocp.connect("127.0.0.1", "iocp-has-no-such-service")
    assert.matches("iocp-has-no-such-service", message, 1, true)
    _, message = pool:submit(function() return require "iocp_spec.no_such_module" end):wait()
    assert.matches("\n\t(a worker or thread has the package.path of when it was made)", message, 1, true)
  end)

  it("what a task is in that does not end", function()
    local own = iocp.Pool(1)
    local task = own:submit { body = function(blocking) blocking() end, timeout = 1 }
    assert.is_nil((task:wait()))
    own:close()
    local gate, stop = iocp.IOCompletionPort(), iocp.Atomic()
    own = iocp.Pool(1)
    repeat -- it may time out before it begins
      task = own:submit({ body = function(to, its_stop)
        to:send("begun")
        while its_stop:get() == 0 do end -- luacheck: ignore
      end, timeout = 100 }, gate, stop)
    until gate:receive(2000)
    iocp.sleep(200)
    local _, message, code = task:wait(1)
    assert.equal("TIMEOUT", code)
    assert.matches("a call of C that nothing interrupts (os.execute, a library): run that as an iocp.Process",
      message, 1, true)
    assert.equal(rawget(_G, "jit") ~= nil, message:find("jit = false", 1, true) ~= nil)
    stop:set(1)
    own:close()
  end)

  it("how many connections a service cut off", function()
    local service = iocp.serve { host = "127.0.0.1", workers = 1, handler = function(client) client:read() end }
    local client = assert(iocp.connect(service:address()))
    assert.is_true(support.eventually(function() return service:stats().connections == 1 end))
    assert.same({ nil, "stopped; 1 connection was cancelled after 20 ms", "TIMEOUT" }, { service:stop(20) })
    client:close()
  end)

  it("that imap gives an iterator", function()
    local results = pool:imap({ 1 }, function(x) return x end)
    assert.matches("messages_spec.lua:%d+: imap gives no list but an iterator", message_of(function()
      return results[1]
    end))
    assert.is_nil(results.name)
    results:close()
  end)

  it("what a stream writes", function()
    iocp.run(function()
      local server = assert(iocp.listen("127.0.0.1"))
      local stream = assert(iocp.connect(server:address()))
      told {
        { function() stream:write(nil) end, "bad argument 'data' to 'write' (expected strings and numbers, got nil)" },
        { function() stream:write("a", {}) end, "'data' to 'write' (expected strings and numbers, got table)" },
      }
      stream:close()
      server:close()
    end)
  end)

  it("where what cannot cross is", function()
    local function all() told {
      { function() port:send(1, { cfg = { sock = coroutine.create(function() end) } }) end,
        "cannot send arg 2.cfg.sock: thread (a coroutine); send the function that it runs" },
      { function() pool:submit(print, { f = io.stderr }) end,
        "cannot send arg 1.f: userdata (FILE*); make it where it is used" },
      { function() pool:post(print, io.stderr) end, "cannot send arg 1: userdata (FILE*)" },
      { function() pool:submit(5) end, "bad argument 'f' to 'submit' (expected a function, a chunk, " },
      { function() pool:post("x = = 1") end, "bad argument 'f' to 'post' ([string \"x = = 1\"]:1: " },
    } end
    all()
    iocp.run(all) -- and in a fiber
  end)

  -- nil, message, code of what goes wrong at run time.
  local function failure_of(f)
    local ok, message, code = f()
    assert.is_nil(ok)
    return message, code
  end

  it("why something is not valid", function()
    local freed, foreign, destroyed, closed = heap:alloc(8), iocp.Heap(), iocp.Heap(), iocp.IOCompletionPort()
    heap:free(freed)
    local others = iocp.Heap() -- so that the freed block stays free
    local of_destroyed, of_closed = destroyed:handle(), closed:handle()
    destroyed:destroy()
    closed:close()
    for expected, cases in pairs {
      ["no live block of this heap begins at that address"] = {
        function() return heap:free(freed) end,
        function() return heap:size(freed) end,
        function() return heap:read(freed) end,
        function() return heap:take(freed) end,
        function() return heap:decode(freed) end,
        function() return heap:realloc(freed, 16) end,
        function() return heap:write(freed, "x") end,
        function() return heap:free(foreign:alloc(8)) end,
        function() return others:free(others:alloc(64) + 16) end,
        function() return heap:free(4096) end,
      },
      ["the heap was destroyed"] = {
        function() return destroyed:alloc(8) end,
        function() return destroyed:free(4096) end,
        function() return destroyed:put("x") end,
        function() return destroyed:stats() end,
        function() return destroyed:destroy() end,
      },
      ["the process' heap, or a port's own"] = { function() return iocp.Heap.process():destroy() end },
      ["this thread does not hold the heap's lock"] = { function() return heap:unlock() end },
      ["the handle is that of an iocp.IOCompletionPort, not of an iocp.Heap"] = {
        function() return iocp.Heap.open(port:handle()) end,
      },
      ["the handle is that of an iocp.Heap, not of an iocp.Thread"] = {
        function() return iocp.Thread.open(heap:handle()) end,
      },
      ["this is no handle of an iocp.Heap"] = { function() return iocp.Heap.open("rubbish") end },
      ["no live iocp.Heap has this handle"] = {
        function() return iocp.Heap.open(of_destroyed) end,
        function() return iocp.Heap.open(12345) end,
      },
      ["no live iocp.IOCompletionPort has this handle"] = {
        function() return iocp.IOCompletionPort.open(of_closed) end,
      },
      ["the block is damaged, or none that values were encoded into"] = {
        function() return others:decode(others:put("rubbish")) end,
      },
      ["the thread was started before"] = { function() return iocp.Thread(""):resume() end },
      ["the block has 8 bytes: offset 4 with length 100 passes its end"] = {
        function() return others:read(others:alloc(8), 4, 100) end,
      },
    } do
      for i, case in ipairs(cases) do
        local message, code = failure_of(case)
        assert.equal("INVALID", code)
        assert.is_truthy(message:find(expected, 1, true), expected .. ", case " .. i .. ": " .. message)
      end
    end
  end)

  it("that a packet is no message", function()
    port:enqueue(5)
    assert.same({ "a packet that was posted with enqueue, not send", "RAW" },
      { failure_of(function() return port:receive() end) })
  end)

  it("that globals do not cross", function()
    for _, f in ipairs {
      function() return helper() end, -- luacheck: ignore
      function() return helpers.one end, -- luacheck: ignore
    } do
      for _, outcome in ipairs {
        { failure_of(function() return pool:submit(f):wait() end) },
        { failure_of(function() return iocp.Thread(f):join() end) },
      } do
        assert.matches("attempt to .*; globals do not cross: pass it as an argument or an upvalue, "
          .. "or require it there\nstack traceback:", outcome[1])
      end
    end
    local message = failure_of(function() return pool:submit(function() return ("x"):nope() end):wait() end)
    assert.is_nil(message:find("do not cross", 1, true))
  end)

  it("what has lost its metatable", function()
    local Point = {}
    Point.__index = Point
    function Point.hi() end
    local point = setmetatable({}, Point)
    local function second(_, p) return p:hi() end
    local function upvalue() return point:hi() end
    local function nested(t) return t[1].p + 1 end
    local function first(p) return p:hi() end
    for expected, case in pairs {
      ["arg 2 has lost"] = function() return pool:submit(second, 1, point):wait() end,
      ["arg 2 has lost its"] = function() return iocp.Thread(second, 1, point):join() end,
      ["arg 1 has lost"] = function() return iocp.Thread(nested, { { p = point } }):join() end,
      ["an upvalue has lost"] = function() return pool:submit(upvalue):wait() end,
      ["an upvalue has lost its"] = function() return iocp.Thread(upvalue):join() end,
      ["an item has lost"] = function() return nil, select(2, pcall(pool.map, pool, { point }, first)) end,
    } do
      local message = failure_of(case)
      assert.matches(expected, message, 1, true)
      assert.matches("its metatable on the way: iocp.register it, here and there\nstack traceback:", message, 1, true)
    end
    for _, case in ipairs { -- where it is not that
      function() return pool:submit(function(p) return p:recieve() end, port):wait() end,
      function() return pool:submit(function() error("on purpose") end, point):wait() end,
    } do
      assert.is_nil(failure_of(case):find("metatable", 1, true))
    end
  end)

  it("which argument has a metatable that is not known there", function()
    local Known = iocp.register("messages_spec.Known", { __index = {} })
    local known = setmetatable({}, Known)
    for _, case in ipairs {
      function() return pool:submit(print, 1, known):wait() end,
      function() return iocp.Thread(function() end, 1, known):join() end,
    } do
      assert.matches("arg 2: metatable 'messages_spec.Known' is not known in this state: iocp.register it there too, "
        .. "before it arrives, as by requiring its module in the pool's init", failure_of(case), 1, true)
    end
  end)

  it("and make says which Luas there are", function()
    local pipe = io.popen("make -s env LUA=lua54 2>&1")
    local output = pipe:read("*a")
    pipe:close()
    assert.matches("LUA=lua54 is none of: luajit lua5.1", output, 1, true)
  end)

  local after = { -- once fibers were used methods are Lua's in that state, and who calls them is to be blamed still
    { function() port:receive("x") end, "ms", "receive" }, { function() port:dequeue("x") end, "ms", "dequeue" },
    { function() port:dequeue_many(1, "x") end, "ms", "dequeue_many" },
    { function() port:receive_many(1, "x") end, "ms", "receive_many" },
    { function() port:dequeue_many("x") end, "max", "dequeue_many" },
    { function() port:receive_many("x") end, "max", "receive_many" },
    { function() port:packets("x") end, "batch", "packets" },
    { function() pool:submit(""):wait("x") end, "ms", "wait" }, { function() iocp.sleep("x") end, "ms", "sleep" },
    { function() iocp.Thread(""):join("x") end, "ms", "join" },
    { function() iocp.Atomic():wait(0, "x") end, "ms", "wait" },
  }

  it("which argument was wrong, with fibers and without", function()
    local function all()
      for _, row in ipairs(after) do
        local message = message_of(row[1])
        assert.matches(row[2], message, 1, true)
        assert.matches("to '" .. row[3] .. "' (", message, 1, true)
        assert.matches('got string "x")', message, 1, true)
      end
    end
    all()
    iocp.run(all)
    all()
  end)
end)
