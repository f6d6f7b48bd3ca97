-- Threads: statements 37 to 40 of the semantics. How a process ends is in exit_spec.lua (41).
local iocp = require "iocp"
local support = require "support"

local function run(body, ...)
  return assert(iocp.Thread(body, ...)):join(60000)
end

describe("joining a thread", function()
  it("times out while it runs, then gives its results again and again (37)", function()
    local gate = iocp.IOCompletionPort()
    local thread = iocp.Thread("local gate = ... gate:dequeue() return 1, nil, 'three', nil", gate)
    assert.equal("TIMEOUT", select(3, thread:join(0)))
    assert.equal("TIMEOUT", select(3, thread:join(10)))
    assert.equal("running", thread:status())
    gate:enqueue(1)
    for _ = 1, 3 do
      assert.equal(5, select("#", thread:join()))
      assert.same({ true, 1, nil, "three", nil }, { thread:join() })
    end
    assert.equal("finished", thread:status())
  end)

  it("can be done by many at once (37)", function()
    local gate = iocp.IOCompletionPort()
    local thread, joiners = iocp.Thread("local gate = ... gate:dequeue() return 7", gate), {}
    for i = 1, 5 do
      joiners[i] = iocp.Thread("local thread = ... return select(2, thread:join())", thread)
    end
    gate:enqueue(1)
    assert.same({ 7, 7, 7, 7, 7 }, support.join_all(joiners))
  end)

  it("by itself is refused (40)", function()
    local ok, message = run("local iocp = require 'iocp' return pcall(iocp.current().join, iocp.current())")
    assert.is_true(ok)
    assert.is_false(message)
    local _, _, text = run("local iocp = require 'iocp' return pcall(iocp.current().join, iocp.current())")
    assert.matches("cannot join itself", text, 1, true)
  end)
end)

describe("a suspended thread", function()
  it("does not start until it is resumed, once (38)", function()
    local port = iocp.IOCompletionPort()
    local thread = iocp.Thread({ body = "local port = ... port:enqueue(1)", suspended = true }, port)
    assert.equal("suspended", thread:status())
    assert.is_nil(thread:id())
    assert.equal("TIMEOUT", select(3, port:dequeue(50)))
    assert.equal("TIMEOUT", select(3, thread:join(0)))
    assert.is_true(thread:resume())
    assert.equal(1, (port:dequeue(10000)))
    assert.is_true((thread:join(10000)))
    assert.equal("INVALID", select(3, thread:resume()))
  end)

  it("that nobody resumes leaves nothing behind (38)", function()
    local port = iocp.IOCompletionPort()
    local handle = port:handle()
    for _ = 1, 100 do
      iocp.Thread({ body = "", suspended = true }, port)
    end
    port = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal("INVALID", select(3, iocp.IOCompletionPort.open(handle)))
  end)

  it("keeps no argument that its body has dropped", function()
    local port, ready, done = iocp.IOCompletionPort(), iocp.IOCompletionPort(), iocp.IOCompletionPort()
    local thread = iocp.Thread(function(dropped, its_ready, its_done)
      dropped = dropped:handle()
      collectgarbage()
      collectgarbage()
      its_ready:send(dropped)
      its_done:receive()
    end, port, ready, done)
    port = nil -- luacheck: ignore
    local _, handle = ready:receive()
    collectgarbage()
    collectgarbage()
    assert.equal("INVALID", select(3, iocp.IOCompletionPort.open(handle)))
    done:send(true)
    assert.is_true(thread:join())
  end)
end)

describe("math.random in a thread", function()
  local draw = "return table.concat({ math.random(), math.random(), math.random() }, ' ')"

  it("draws another sequence in each, one after the other and at the same time", function()
    local seen, threads = {}, {}
    local function see(thread)
      local ok, drawn = thread:join(10000)
      assert.is_true(ok, drawn)
      assert.is_nil(seen[drawn])
      seen[drawn] = true
    end
    for _ = 1, 50 do
      see(iocp.Thread(draw))
    end
    for i = 1, 20 do
      threads[i] = iocp.Thread(draw)
    end
    for _, thread in ipairs(threads) do
      see(thread)
    end
  end)

  it("does not draw the same in the next process", function()
    local script = ("print(select(2, require('iocp').Thread(%q):join()))"):format(draw)
    local _, first = support.child(script)
    local _, second = support.child(script)
    assert.matches("^%S+ %S+ %S+%s*$", first)
    if rawget(_G, "jit") or _VERSION >= "Lua 5.4" or support.windows then -- else it is C's, of which there is but one
      assert.not_equal(first, second)
    end
  end)

  it("leaves the sequence of the script that makes it alone, and can be given one", function()
    math.randomseed(42)
    local expected = math.random()
    math.randomseed(42)
    run("")
    assert.equal(expected, math.random())
    local _, first = run("math.randomseed(7) " .. draw)
    local _, second = run("math.randomseed(7) " .. draw)
    assert.equal(first, second)
  end)
end)

describe("an error in a body", function()
  it("of any type is what join reports, with a traceback (39)", function()
    local thread = iocp.Thread({ name = "worker", body = "local function inner() error('oops') end inner()" })
    local ok, message, code, value = thread:join(10000)
    assert.is_nil(ok)
    assert.matches("worker:1: oops", message, 1, true)
    assert.matches("stack traceback", message, 1, true)
    assert.matches("inner", message, 1, true)
    assert.equal("ERROR", code)
    assert.equal("worker:1: oops", value)
    assert.equal("failed", thread:status())
    for body, expected in pairs {
      ["error(42, 0)"] = 42, ["error(true)"] = true, ["error(false)"] = false, ["error('text', 0)"] = "text",
    } do
      ok, message, code, value = run(body)
      assert.is_nil(ok)
      assert.is_string(message)
      assert.same({ "ERROR", expected }, { code, value })
    end
    for body, text in pairs {
      ["error({})"] = "error object is a table value", ["error()"] = support.no_error,
      ["error(setmetatable({}, { __tostring = function() return 'mine' end }))"] = "mine",
      ["error(setmetatable({}, { __tostring = error }))"] = "",
      ["local t = nil; t.x = 1"] = "attempt to index",
      ["local function f() return 1 + f() end f()"] = "stack overflow",
      ["return coroutine.create(function() end)"] = "cannot send result 1: thread",
      ["return 1, { f = io.stdout }"] = "cannot send result 2.f: userdata (FILE*)",
    } do
      ok, message, code = run(body)
      assert.is_nil(ok)
      assert.matches(text, message, 1, true)
      assert.equal("ERROR", code)
    end
  end)

  -- Not below a pcall, so that the thread's own message handler is the one that is called.
  it("is what it was raised with, for all who see it on its way (39)", function()
    local file = os.tmpname()
    local out = assert(io.open(file, "w"))
    assert(out:write("return " .. ("("):rep(300) .. "1" .. (")"):rep(300)))
    assert(out:close())
    local function look(name)
      local function failing(value)
        return select(2, load(function() error(value, 0) end)) -- luacheck: ignore
      end
      local object = {}
      return failing("oops"), failing(object) == object, failing(nil) == nil, select(2, loadfile(name))
    end
    local expected = { pcall(look, file) }
    assert.equal("oops", expected[2])
    assert.same(expected, { run(look, file) })

    local ok, message = run("package.path = ... require 'deep'", file)
    assert.is_nil(ok)
    assert.matches("deep", message)
    assert.not_matches("(null)", message, 1, true)
    os.remove(file)
  end)

  it("comes with its own traceback, not with one that was caught before (39)", function()
    local function body(first, last)
      local function early() error(first, 0) end
      local function late() error(last, 0) end
      load(early) -- luacheck: ignore
      late()
    end
    for _, values in ipairs { { "one", "two" }, { "equal", "equal" }, { {}, "two" }, { "one", 0 / 0 } } do
      local ok, message = run(body, values[1], values[2])
      assert.is_nil(ok)
      assert.equal(1, select(2, message:gsub("stack traceback:", "")))
      assert.matches("'late'", message, 1, true)
      assert.not_matches("'early'", message, 1, true)
    end
  end)

  it("is told where a __close or __tostring metamethod, or what stands for debug.traceback, fails (39)", function()
    local function fails_to_tell()
      debug.traceback = error -- luacheck: ignore
      error("the first", 0)
    end
    local ok, message = run(fails_to_tell)
    assert.is_nil(ok)
    assert.matches("^the first", message)
    ok, message = run("error(setmetatable({}, { __tostring = error }))")
    assert.is_nil(ok)
    assert.matches("^%(error object is a table value%)\nstack traceback:", message)
    if _VERSION == "Lua 5.4" then
      ok, message = run("local more = { __close = function(_, e) error(e .. ' and more', 0) end } "
        .. "local undo <close> = setmetatable({}, more) error('the first', 0)")
      assert.is_nil(ok)
      assert.matches("^the first and more\nstack traceback:", message)
    end
  end)

  it("leaves the process, the ports and the other threads alone (39)", function()
    local port, threads = iocp.IOCompletionPort(), {}
    for i = 1, 20 do
      threads[i] = iocp.Thread("local port, i = ... local key = port:dequeue() "
        .. "if i % 2 == 0 then error(key, 0) end return key",
        port, i)
    end
    local sum = 0
    for i = 1, 20 do
      port:enqueue(i)
    end
    for i, thread in ipairs(threads) do
      local ok, result, code, value = thread:join(10000)
      sum = sum + (ok and result or value)
      assert.equal(i % 2 == 1, ok == true)
      assert.equal(i % 2 == 0, code == "ERROR")
    end
    assert.equal(210, sum)
  end)

  it("in its syntax, or a body that is none, is an argument error at once", function()
    for body, text in pairs {
      ["return return"] = "body: [string \"return return\"]:1:", ["\27Lua"] = "binary chunk",
      [42] = "body: expected", [true] = "body: expected",
    } do
      local ok, message = pcall(iocp.Thread, body)
      assert.is_false(ok)
      assert.matches(text, message, 1, true)
    end
    assert.has_error(function() iocp.Thread() end)
    assert.has_error(function() iocp.Thread(nil) end)
    assert.has_error(function() iocp.Thread({}) end)
  end)
end)

describe("a thread's processors and priority", function()
  -- What Linux says of the thread: the processors it may run on, and its nice value.
  local body = [[
    local function read(name)
      local file = assert(io.open("/proc/thread-self/" .. name))
      local text = file:read("*a")
      file:close()
      return text
    end
    local nice = read("stat"):match("%) " .. ("%S+ "):rep(16) .. "(%-?%d+)")
    return read("status"):match("Cpus_allowed_list:%s*(%S+)"), tonumber(nice)
  ]]
  local function scheduled(options)
    options.body = body
    return select(2, assert(iocp.Thread(options)):join(10000))
  end

  if not support.windows then
    it("are those of the one that makes it, or as asked", function()
      local all, nice = scheduled {}
      local first = tonumber(all:match("^%d+"))
      local seen = { scheduled { affinity = { first } } }
      assert.same({ tostring(first), nice }, seen)
      assert.same({ all, math.min(nice + 5, 19) }, { scheduled { priority = -1 } })
      assert.same({ all, math.min(nice + 10, 19) }, { scheduled { priority = -2 } })
      assert.same({ all, nice }, { scheduled { priority = 0 } })
      local thread, message, code = iocp.Thread { body = body, priority = 1 }
      if thread then
        assert.equal(math.max(nice - 5, -20), select(3, thread:join(10000)))
      else -- without the right to it
        assert.is_string(message)
        assert.is_number(code)
      end
      assert.same({ all, nice }, { scheduled {} }) -- nothing is left of it here
    end)

    it("are what its own threads have", function()
      local _, nice = scheduled {}
      local made = iocp.Thread({ priority = -1, body = [[
        return select(2, require("iocp").Thread(...):join())
      ]] }, body)
      assert.equal(math.min(nice + 5, 19), select(3, made:join(10000)))
    end)
  end

  it("are used by threads that start later, too", function()
    local thread = assert(iocp.Thread { body = "return 5", affinity = { 0 }, priority = -1, suspended = true })
    assert.is_true(thread:resume())
    assert.same({ true, 5 }, { thread:join(10000) })
  end)

  it("are refused if there are no such processors", function()
    for _, affinity in ipairs { { 1023 }, { 0, 1023 }, { 2 ^ 32 - 1 } } do
      local thread, message, code = iocp.Thread { body = "", affinity = affinity }
      assert.same({ nil, "INVALID" }, { thread, code })
      assert.matches("affinity: one of these processors does not exist", message, 1, true)
      thread, message, code = iocp.Thread { body = "", affinity = affinity, suspended = true }
      if thread then -- Windows refuses it at once
        thread, message, code = thread:resume()
      end
      assert.same({ nil, "INVALID" }, { thread, code })
      assert.matches("affinity: one of these processors does not exist", message, 1, true)
    end
  end)
end)

describe("a thread that cannot be created", function()
  it("is nil, message, code (40)", function()
    local thread, message, code = iocp.Thread { body = "", stack = 2 ^ 50 }
    assert.is_nil(thread)
    assert.is_string(message)
    assert.is_true(code == "NOMEM" or type(code) == "number")
    local suspended = iocp.Thread { body = "", stack = 2 ^ 50, suspended = true }
    if suspended then -- Windows makes, and refuses, it at once
      assert.is_nil((suspended:resume()))
      assert.equal("suspended", suspended:status())
    end
  end)

  it("through a wrong option is an argument error", function()
    for _, options in ipairs {
      { body = "", name = 5 }, { body = "", stack = "big" }, { body = "", stack = -1 }, { body = "", suspended = 1 },
      { body = "", nmae = "typo" }, { body = "", "x" }, { body = "", affinity = 0 }, { body = "", affinity = {} },
      { body = "", affinity = { "a" } }, { body = "", affinity = { -1 } }, { body = "", affinity = { 0.5 } },
      { body = "", priority = 3 }, { body = "", priority = -0.5 }, { body = "", priority = "low" },
    } do
      assert.has_error(function() iocp.Thread(options) end)
    end
    local _, message = pcall(iocp.Thread, { body = "", stack = -1 })
    assert.matches("stack: expected a number of bytes from 262144 on, or 0 for 2 MiB, got -1", message, 1, true)
  end)
end)

describe("what crosses", function()
  it("is nil, booleans, numbers, strings, ports, heaps and threads, both ways", function()
    local port, heap = iocp.IOCompletionPort(), iocp.Heap()
    local results = { run("return ...", nil, true, false, 0, -1.5, 2 ^ 53, 1 / 0, "", "a\0b", port, heap, nil) }
    assert.same({ true, nil, true, false, 0, -1.5, 2 ^ 53, 1 / 0, "", "a\0b", port, heap }, results)
    local ok, self = run("return require('iocp').current()")
    assert.is_true(ok)
    assert.equal("finished", self:status())
    assert.equal(13, select("#",
      run("return ...", nil, true, false, 0, -1.5, 2 ^ 53, 1 / 0, "", "a\0b", port, heap, nil)))
  end)

  it("keeps integers integers and floats floats", function()
    if math.type then
      local _, integer, float, largest = run("return ...", 3, 3.0, math.maxinteger)
      assert.same({ "integer", "float", math.maxinteger }, { math.type(integer), math.type(float), largest })
    end
    local _, nan = run("return 0/0")
    assert.is_true(nan ~= nan)
  end)

  it("is a function as a body, with its upvalues", function()
    local ok, result = run(function(a, b)
      return tostring(a + b) .. type(require("iocp").Heap)
    end, 1, 2)
    assert.is_true(ok)
    assert.equal("3table", result)
    local upvalue = { 1 }
    assert.same({ true, { 1 }, true }, { run(function(t) return upvalue, upvalue == t end, upvalue) })
    local file = io.stdout
    ok, result = pcall(iocp.Thread, function() return file end)
    assert.is_false(ok)
    assert.matches("cannot send body.upvalue 'file': userdata (FILE*)", result, 1, true)
    assert.same({ true, "number" }, { run(type, 1) })
  end)

  it("is a function without debug information too", function()
    local stripped = (loadstring or load)(string.dump(function() return tostring(7) end, true)) -- luacheck: ignore
    assert.same({ true, "7" }, { iocp.Thread(stripped):join(10000) })
  end)

  it("is nothing else: the error names it", function()
    for _, value in ipairs { coroutine.create(function() end), io.stdout } do
      local ok, message = pcall(iocp.Thread, "", 1, value)
      assert.is_false(ok)
      assert.matches("cannot send arg 2: " .. type(value), message, 1, true)
    end
  end)

  it("is the parent's package.path, package.cpath and Lua preloads", function()
    package.preload["spec.preloaded"] = function(name) return { name = name } end
    local file, upvalue = io.stdout, { 7 }
    package.preload["spec.file"] = function() return file end
    package.preload["spec.closed_over"] = function() return upvalue end
    local _, path, cpath, name, value, ok, message = run [[
      local ok, message = pcall(require, "spec.file")
      return package.path, package.cpath, require("spec.preloaded").name, require("spec.closed_over"), ok, message
    ]]
    assert.same({ package.path, package.cpath, "spec.preloaded", { 7 }, false }, { path, cpath, name, value, ok })
    assert.matches("cannot send the function.upvalue 'file': userdata", message, 1, true)
    for _, entry in ipairs { "preloaded", "file", "closed_over" } do
      package.preload["spec." .. entry] = nil
    end
    local old_path = package.path
    package.path = "./nowhere/?.lua"
    local _, seen = run("return package.path")
    local _, version = run("return require('iocp')._VERSION") -- which is found all the same
    package.path = old_path
    assert.equal(iocp._VERSION, version)
    assert.equal("./nowhere/?.lua", seen)
  end)

  it("requires the module for few kilobytes, and the pool's part of it with the first pool", function()
    local _, before, small, after = run([[
      local function kilobytes() collectgarbage() collectgarbage() return collectgarbage("count") end
      local before = kilobytes()
      local iocp = require "iocp"
      local small = kilobytes()
      assert(iocp.Pool)
      return before, small, kilobytes()
    ]])
    assert.is_true(small - before < 40, small - before)
    assert.is_true(after - small > 10, after - small)
  end)

  it("is no global of the parent", function()
    rawset(_G, "spec_global", 1)
    local _, seen, argument = run("return spec_global, arg")
    rawset(_G, "spec_global", nil)
    assert.is_nil(seen)
    assert.is_nil(argument)
  end)
end)

describe("a thread", function()
  it("knows itself, its name and its number", function()
    assert.is_nil(iocp.current())
    local thread = iocp.Thread({ name = "a name", body = [[
      local iocp = require "iocp"
      return iocp.current(), iocp.current():name(), iocp.current():id(), require("support").thread_name()
    ]] })
    local ok, self, name, id, shown = thread:join(10000)
    assert.is_true(ok)
    assert.is_true(self == thread)
    assert.same({ "a name", thread:id() }, { name, id })
    assert.equal("a name", shown or "a name")
    assert.equal("a name", thread:name())
    assert.equal("iocp", iocp.Thread(""):name())
  end)

  it("runs though its object is collected", function()
    local port = iocp.IOCompletionPort()
    for i = 1, 50 do
      iocp.Thread("local port, i = ... require('iocp').sleep(5) port:enqueue(i)", port, i)
      collectgarbage()
    end
    local sum = 0
    for _ = 1, 50 do
      sum = sum + port:dequeue(10000)
    end
    assert.equal(1275, sum)
  end)

  it("can start others", function()
    local ok, result = run([[
      local iocp = require "iocp"
      local child = iocp.Thread("local iocp = require 'iocp' return select(2, iocp.Thread('return 5'):join())")
      return select(2, child:join())
    ]])
    assert.same({ true, 5 }, { ok, result })
  end)

  it("has a stack as large as asked", function()
    local deep = "local function f(n) return n == 0 and 0 or 1 + f(n - 1) end return f(15000)"
    assert.same({ true, 15000 }, { iocp.Thread({ body = deep, stack = 2 ^ 24 }):join(10000) })
    assert.same({ true, 1 }, { iocp.Thread({ body = "return 1", stack = 2 ^ 18 }):join(10000) })
    assert.same({ true, 1 }, { iocp.Thread({ body = "return 1", stack = 0 }):join(10000) })
  end)
end)

describe("cancelling", function()
  local waits = {
    dequeue = "return port:dequeue()",
    ["dequeue with a timeout"] = "return port:dequeue(1e7)",
    dequeue_many = "return port:dequeue_many(5)",
    sleep = "return iocp.sleep(1e7)",
    join = "return other:join()",
    lock = "return heap:lock()",
    alloc = "return heap:alloc(1)",
  }
  for name, wait in pairs(waits) do
    it("ends " .. name .. ", now or next", function()
      local port, heap = iocp.IOCompletionPort(), iocp.Heap()
      local other = iocp.Thread({ body = "", suspended = true })
      heap:lock()
      local body = [[
        local port, heap, other, started, gate = ...
        local iocp = require "iocp"
        if gate then gate:dequeue(0) end
        started:enqueue(1)
      ]] .. wait
      local started = iocp.IOCompletionPort()
      local thread = iocp.Thread(body, port, heap, other, started)
      started:dequeue()
      iocp.sleep(5) -- mostly it waits by now; it must not matter
      thread:cancel()
      local ok, result, _, code = thread:join(10000)
      assert.same({ true, nil, "CANCELLED" }, { ok, result, code })
      assert.equal("finished", thread:status())
      heap:unlock()
    end)
  end

  it("before the thread starts reaches its first wait", function()
    local thread = iocp.Thread({ suspended = true, body = "return select(3, require('iocp').sleep(1e7))" })
    thread:cancel()
    thread:resume()
    assert.same({ true, "CANCELLED" }, { thread:join(10000) })
  end)

  it("ends a loop over packets, and leaves them queued", function()
    local port = iocp.IOCompletionPort()
    local thread = iocp.Thread("local port = ... for key in port:packets() do return key end return 'ended'", port)
    support.parked(port, 1)
    thread:cancel()
    assert.same({ true, "ended" }, { thread:join(10000) })
    port:enqueue(1)
    assert.equal(1, #port)
  end)

  it("hard raises in running code, whatever pcall catches", function()
    for _, body in ipairs {
      "local started = ... started:enqueue(1) while true do local x = tostring({}) end",
      "local started = ... started:enqueue(1) while true do pcall(function() while true do tostring({}) end end) end",
      "local started = ... started:enqueue(1) require('iocp').sleep(1e7) while true do tostring({}) end",
    } do
      if rawget(_G, "jit") then
        body = "jit.off() " .. body -- compiled code does not look at hooks: see the README's limits
      end
      local started = iocp.IOCompletionPort()
      local thread = iocp.Thread(body, started)
      started:dequeue()
      thread:cancel("hard")
      local ok, message, code = thread:join(20000)
      assert.is_nil(ok)
      assert.equal("CANCELLED", code)
      assert.matches("the thread was cancelled", message, 1, true)
      assert.equal("cancelled", thread:status())
    end
  end)

  it("hard says when nothing can be interrupted, and cancels all the same", function()
    local numbers = {}
    for number = 34, 64 do
      numbers[#numbers + 1] = number
    end
    local linux = require "support.linux"
    linux.environment = ("trap '' USR1 USR2 %s;"):format(table.concat(numbers, " ")) -- taken, all of them
    local code, output = support.child([[
      local iocp = require "iocp"
      local began, port = iocp.IOCompletionPort(), iocp.IOCompletionPort()
      local thread = iocp.Thread("local began, port = ... began:enqueue(1) repeat until #port == 1 "
        .. "return require('iocp').cancelled()", began, port)
      began:dequeue()
      local ok, message, code = thread:cancel("hard")
      assert(ok == nil and type(code) == "number" and message:find("its code goes on", 1, true))
      port:enqueue(1)
      print(thread:join(10000))
      local pool = iocp.Pool(1)
      local gate = iocp.IOCompletionPort()
      local task = pool:submit(function() repeat until #gate == 1 return iocp.cancelled() and "told" end)
      repeat iocp.sleep(1) until task:status() == "running"
      ok, message, code = task:cancel("hard")
      assert(ok == nil and type(code) == "number" and message:find("its code goes on", 1, true))
      gate:enqueue(1)
      print(task:wait(10000))
    ]])
    linux.environment = nil
    assert.same({ 0, "true\ttrue\ntrue\ttold" }, { code, output })
  end)

  it("hard before the start, or after the end, is harmless", function()
    local thread = iocp.Thread({ suspended = true, body = "return 1" })
    thread:cancel("hard")
    thread:resume()
    assert.equal("CANCELLED", select(3, thread:join(10000)))
    local ended = iocp.Thread("return 1")
    ended:join()
    ended:cancel("hard")
    assert.same({ true, 1 }, { ended:join() })
    assert.has_error(function() ended:cancel("soft") end)
  end)

  it("hard at any moment of a short life ends it one way or the other", function()
    for _ = 1, support.scaled(300) do
      local thread = iocp.Thread("for i = 1, 1000 do local x = tostring(i) end return 1")
      thread:cancel("hard")
      local ok, _, code = thread:join(20000)
      assert.is_true(ok or code == "CANCELLED")
    end
  end)
end)

-- On LuaJIT a state begins in the memory of one that has ended, unless that has used much.
describe("the states of threads", function()
  -- Garbage of every kind and size: more than a state may use whose memory goes to the next, and less.
  local body = [[
    local size, fails = ...
    local known = mark
    mark = true
    local all, texts = {}, {}
    for i = 1, size do
      all[i] = { i, tostring(i), function() return i end }
      texts[#texts + 1] = ("%d"):format(i)
    end
    if size == 0 and newproxy then
      getmetatable(newproxy(true)).__gc = function() -- in the state's last moments
        local late = {}
        for i = 1, 20000 do
          late[i] = { i }
        end
      end
    end
    if fails then
      error({ size = size })
    end
    local sum = 0
    for i = 1, size do
      sum = sum + all[i][1] + #all[i][2] + all[i][3]() + #texts[i]
    end
    return sum, known, #string.rep("x", size * 10)
  ]]

  local function expected(size)
    local sum = 0
    for i = 1, size do
      sum = sum + 2 * i + 2 * #tostring(i)
    end
    return { true, sum, nil, size * 10 }
  end

  it("are each another's heir and know nothing of it, whether it was small, large, failed or one of many", function()
    local sizes, threads = { 0, 10, 8000, 1, 1000, 0, 5000, 3 }, {}
    for round = 1, support.scaled(5) do
      for i, size in ipairs(sizes) do
        threads[i] = iocp.Thread(body, size, (i + round) % 5 == 0)
        assert.same(expected(size), { run(body, size) })
      end
      for i, thread in ipairs(threads) do
        local ok = thread:join(60000)
        assert.equal((i + round) % 5 ~= 0, ok == true)
      end
    end
  end)

  it("draw other random numbers, and begin small", function()
    local drawn = {}
    for _ = 1, 20 do
      local _, number, kilobytes = run("return math.random(2 ^ 30), collectgarbage('count')")
      assert.is_nil(drawn[number])
      drawn[number] = true
      assert.is_true(kilobytes < 200)
    end
  end)

  it("give the system back what they used", function()
    if not support.resident then
      return
    end
    local before = support.resident()
    for _ = 1, 4 do
      local threads = {}
      for i = 1, 8 do
        threads[i] = iocp.Thread("local t = {} for i = 1, 60000 do t[i] = { i } end t = nil collectgarbage() return 1")
      end
      support.join_all(threads)
    end
    if jit then
      assert.is_true(support.resident() - before < 16 * 1024)
    end
  end)
end)

describe("the module", function()
  it("sleeps, yields, counts processors and calls what blocks", function()
    assert.is_true(iocp.processors() >= 1)
    assert.is_true(iocp.sleep(0))
    assert.is_true(iocp.sleep(1))
    assert.is_true(iocp.yield())
    assert.same({ 3, nil, 5 }, { iocp.blocking(function(...) return ... end, 3, nil, 5) })
    assert.has_error(function() iocp.blocking(1) end)
    assert.has_error(function() iocp.blocking(error, "through") end, "through")
    for _, bad in ipairs { -1, 0 / 0, "1", {} } do
      assert.has_error(function() iocp.sleep(bad) end)
    end
    assert.has_error(function() iocp.sleep() end)
    assert.matches("^%d+%.%d+%.%d+$", iocp._VERSION)
  end)

  it("can be opened again in a state", function()
    local port = iocp.IOCompletionPort()
    local loaded = { package.loaded["iocp"], package.loaded["iocp.core"] }
    package.loaded["iocp"], package.loaded["iocp.core"] = nil, nil
    local again = require "iocp"
    package.loaded["iocp"], package.loaded["iocp.core"] = loaded[1], loaded[2]
    assert.is_true(again.IOCompletionPort.open(port:handle()) == port)
    port:enqueue(1)
    assert.equal(1, (again.IOCompletionPort.open(port:handle()):dequeue(0)))
  end)
end)
