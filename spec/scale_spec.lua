-- Large numbers: what is promised of millions, measured. Memory is judged in a child process, where nothing else lives.
local support = require "support"

-- Runs a script in a child after a preamble that measures; the script prints what the assertions need.
local function measured(script, seconds)
  local code, output = support.child([[
    local iocp = require "iocp"
    local support = require "support"
    local function resident() return support.resident() end
  ]] .. script, seconds or 300)
  assert.equal(0, code, output)
  local numbers = {}
  for name, value in output:gmatch("(%w+)=(-?%d+)") do
    numbers[name] = tonumber(value)
  end
  return numbers
end

describe("a queue of a million packets", function()
  it("drains in order in another thread, within 32 bytes a packet, and gives the memory back (7)", function()
    local n = support.soaked(1000000)
    local m = measured(([[
      local n, port = %d, iocp.IOCompletionPort()
      -- The first thread and the first packets bring code and libraries into memory for good.
      for i = 1, 10000 do port:enqueue(i) end
      assert(iocp.Thread("local port = ... while port:dequeue(0) do end", port):join())
      local before = resident()
      for i = 1, n do port:enqueue(i, 1) end
      local full = resident()
      assert(port:stats().queued == n)
      local ok, sum = iocp.Thread("local port, n = ... for i = 1, n do assert(port:dequeue() == i) end return n",
        port, n):join()
      assert(ok, sum)
      local after = resident()
      print(("before=%%d full=%%d after=%%d"):format(before, full, after))
    ]]):format(n))
    if support.measures then
      assert.is_true((m.full - m.before) * 1024 / n <= 32)
      assert.is_true(m.after <= m.before * 1.2)
    end
  end)
end)

describe("when memory runs out", function()
  it("a post says NOMEM, and nothing that was queued is lost (7)", function()
    local code, output = support.child([[
      local iocp = require "iocp"
      local port, n = iocp.IOCompletionPort(), 0
      local reserve = ("x"):rep(2 ^ 21) -- what the interpreter itself needs to go on
      while true do
        local ok, _, code = port:enqueue(n + 1)
        if not ok then
          assert(code == "NOMEM", code)
          break
        end
        n = n + 1
      end
      assert(#reserve > 0)
      reserve = nil
      collectgarbage()
      assert(n > 100000 and port:stats().queued == n)
      for i = 1, n do assert(port:dequeue(0) == i) end
      assert(port:enqueue(1)) -- there is room again
      assert(not iocp.Heap():alloc(2 ^ 30))
      local thread, _, code = iocp.Thread { body = "", stack = 2 ^ 30 }
      assert(not thread and (code == "NOMEM" or type(code) == "number"))
    ]], 60, 200000)
    assert.equal(0, code, output)
  end)
end)

describe("objects by the thousand leave nothing behind:", function()
  local function no_growth(what, count, step)
    count = support.soaked(count)
    it(("%d %s"):format(count, what), function()
      local m = measured(([[
        -- When garbage is collected is Lua's affair (5.3 falls ever further behind a loop of finalizers): do it often.
        local function step(n) for i = 1, n do %s if i %% 1000 == 0 then collectgarbage() end end end
        step(%d) -- until memory that is kept for use is there
        local memory, mappings, files = resident(), support.mappings(), support.descriptors()
        step(%d)
        print(("memory=%%d mappings=%%d files=%%d"):format(resident() - memory, support.mappings() - mappings,
          support.descriptors() - files))
      ]]):format(step, math.min(count, math.max(math.floor(count / 10), support.soaked(5000))), count))
      if support.measures then
        assert.is_true(m.memory <= 2048, ("%d KiB more"):format(m.memory))
        assert.is_true(m.mappings <= 40, ("%d mappings more"):format(m.mappings))
      end
      assert.equal(0, m.files)
    end)
  end

  no_growth("threads", 20000, "assert(iocp.Thread('return 1'):join())")
  no_growth("heaps", 100000, "local h = iocp.Heap() h:alloc(48) h:destroy()")
  no_growth("heaps that are collected", 20000, "iocp.Heap():alloc(48)")
  no_growth("ports, none of whose handles opens a later one", 1000000, [[
    if not old then
      local first = iocp.IOCompletionPort()
      old = first:handle()
      first:close()
    end
    local port = iocp.IOCompletionPort()
    if i % 1000 == 0 then
      assert(select(3, iocp.IOCompletionPort.open(old)) == "INVALID")
      old = port:handle()
    end
    port:close()
  ]])
  no_growth("threads that return themselves", 10000, [[
    assert(iocp.Thread("return require('iocp.core').current()"):join())
  ]])
  no_growth("threads that load the module", 2000, "assert(iocp.Thread('require(\"iocp\")'):join())")
  no_growth("failing threads", 5000, "assert(not iocp.Thread('error(1)'):join())")
  no_growth("messages of mixed size", 200000, [[
    port = port or iocp.IOCompletionPort()
    local x = i % 100 == 0 and ("x"):rep(i % 20000) or i
    port:send({ id = i, name = "job", args = { 1, 2, x } }, i % 10 == 0 and port or nil, i % 50 == 0 and print or x)
    assert(select(2, port:receive(0)).args[3] == x)
  ]])
  no_growth("messages over 40 ports in turn", 200000, [[
    ports = ports or {}
    local port = ports[i % 40] or iocp.IOCompletionPort()
    ports[i % 40] = port
    port:send(i)
    assert(select(2, port:receive(0)) == i)
  ]])
  no_growth("blocks over 2,000 heaps in turn", 200000, [[
    heaps = heaps or {}
    local heap = heaps[i % 2000] or iocp.Heap()
    heaps[i % 2000] = heap
    heap:free(heap:alloc(48))
  ]])
  no_growth("short threads that each send one message", 8000, [[
    port = port or iocp.IOCompletionPort()
    assert(iocp.Thread("local port, i = ... port:send(i)", port, i):join())
    assert(select(2, port:receive(0)) == i)
  ]])
  no_growth("messages that a closing port drops", 20000, [[
    local p = iocp.IOCompletionPort()
    p:send({ inner = iocp.IOCompletionPort(), text = ("x"):rep(i % 3000) })
    if i % 2 == 0 then p:close() end
  ]])
  no_growth("values that cannot be sent", 20000, [[
    port = port or iocp.IOCompletionPort()
    assert(not pcall(port.send, port, ("x"):rep(i % 3000), iocp.IOCompletionPort(), { print, { x = io.stdout } }))
  ]])
  no_growth("blocks of every size", 500000, [[
    heap = heap or iocp.Heap()
    heap:free(heap:alloc(i % 9000))
    assert(heap:stats().blocks == 0)
  ]])
end)

describe("objects that live at once", function()
  it("share mappings, which the system allows some 65,000 of", function()
    local m = measured(([[
      local n, kept = %d, {}
      local before = support.mappings()
      for i = 1, n do
        local heap, port = iocp.Heap(), iocp.IOCompletionPort()
        assert(heap:alloc(48) and port:send(i))
        kept[i], kept[-i] = heap, port
      end
      local full = support.mappings()
      for i = 1, n, 2 do
        kept[i]:destroy()
        kept[i], kept[-i] = nil, nil
      end
      collectgarbage()
      collectgarbage()
      local half = support.mappings()
      assert(select(2, kept[-2]:receive(0)) == 2 and kept[2]:validate())
      print(("full=%%d half=%%d"):format(full - before, half - before))
    ]]):format(support.scaled(2000)))
    if support.measures and not support.windows then
      assert.is_true(m.full <= 400, m.full)
      assert.is_true(m.half <= 400, m.half)
    end
  end)
end)

describe("waiting", function()
  it("costs next to no CPU: 4 threads on an empty port for 2 s take less than 2 ms", function()
    local m = measured([[
      local port = iocp.IOCompletionPort()
      for i = 1, 4 do iocp.Thread("local port = ... port:dequeue()", port) end
      while port:stats().waiting < 4 do iocp.sleep(1) end
      iocp.sleep(100)
      local before = support.cpu()
      iocp.sleep(2000)
      print(("microseconds=%.0f"):format((support.cpu() - before) * 1e6))
    ]])
    if support.measures then
      assert.is_true(m.microseconds < 2000, m.microseconds)
    end
  end)
end)

describe("busy consumers", function()
  it("take packets without a system call each", function()
    local n = 500000
    local code, output = support.child(([[
      local command = %q
      local pipe = io.popen("strace -f -c -o /dev/stdout " .. command .. " -e " .. [=["
        local iocp = require 'iocp'
        local port = iocp.IOCompletionPort()
        for i = 1, %d do port:enqueue(i) end
        local threads = {}
        for i = 1, 2 do
          threads[i] = iocp.Thread('local port = ... local n = 0 while port:dequeue(0) do n = n + 1 end return n', port)
        end
        for i = 1, 2 do assert(threads[i]:join()) end
      "]=])
      print(pipe:read("*a"))
      pipe:close()
    ]]):format(support.interpreter(), n), 120)
    assert.equal(0, code, output)
    local calls = tonumber(output:match("%d+%.%d+%s+%d+%.%d+%s+%d*%s+(%d+)%s+%d*%s*total"))
    assert.is_truthy(calls, output)
    assert.is_true(calls < n / 100, output)
  end)
end)
