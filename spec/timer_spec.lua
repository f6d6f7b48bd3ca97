-- Packets that are posted later.
local iocp = require "iocp"
local support = require "support"
local system = require "system" -- busted's own clock

describe("enqueue_after", function()
  local port
  before_each(function()
    port = iocp.IOCompletionPort()
  end)

  it("posts no sooner than asked, all three values", function()
    for _, ms in ipairs { 0, 0.5, 20, 50 } do
      local start = system.monotime()
      assert(port:enqueue_after(ms, 7, 8, 9))
      assert.same({ 7, 8, 9 }, { port:dequeue(20000) })
      assert.is_true((system.monotime() - start) * 1000 >= ms)
    end
  end)

  it("posts in the order of the deadlines, whatever order they are set in", function()
    local soonest, latest = {}, {} -- when each is due, in seconds
    for i = 1, 40 do
      local delay = 200 + i * 7 % 41 * 20 -- 41 is a prime: each multiple of 20 once
      soonest[i] = system.monotime() + delay / 1000
      port:enqueue_after(delay, i)
      latest[i] = system.monotime() + delay / 1000
    end
    local last = assert(port:dequeue(20000))
    for _ = 2, 40 do
      local i = assert(port:dequeue(20000))
      assert.is_true(latest[i] >= soonest[last])
      last = i
    end
    assert.equal(0, #port)
  end)

  it("wakes a thread that waits, and one deadline before another that is set already", function()
    port:enqueue_after(1e9, 1)
    port:enqueue_after(20, 2)
    assert.equal(2, (port:dequeue(20000)))
  end)

  it("cancelled in time never posts, and says so once", function()
    local timer = port:enqueue_after(30, 1)
    assert.is_true(timer:cancel())
    assert.is_false(timer:cancel())
    assert.is_nil((port:dequeue(100)))
    local late = port:enqueue_after(0, 2)
    assert.equal(2, (port:dequeue(20000)))
    assert.is_false(late:cancel())
  end)

  it("and a cancel that race have one outcome", function()
    local cancelled, arrived, rounds = 0, 0, support.scaled(2000)
    for i = 1, rounds do
      local timer = port:enqueue_after(i % 3 * 0.05, i)
      iocp.sleep(i % 5 * 0.03)
      cancelled = cancelled + (timer:cancel() and 1 or 0)
    end
    while port:dequeue(100) do
      arrived = arrived + 1
    end
    assert.equal(rounds, cancelled + arrived)
  end)

  it("gives a timer that says what it is", function()
    local timer = port:enqueue_after(1e9, 1)
    assert.matches("^iocp%.Timer: %d+ %(pending%)$", tostring(timer))
    assert.has_error(function() port:send(timer) end, "cannot send arg 1: userdata (iocp.Timer)")
  end)

  it("is pending though the timer is collected", function()
    port:enqueue_after(30, 5)
    collectgarbage()
    collectgarbage()
    assert.equal(5, (port:dequeue(20000)))
  end)

  it("keeps the port until then, and drops the packet of a closed one", function()
    local handle = port:handle()
    local timer = port:enqueue_after(1e7, 5)
    port = nil
    collectgarbage()
    collectgarbage()
    port = assert(iocp.IOCompletionPort.open(handle))
    assert.is_true(timer:cancel())
    port:enqueue_after(1, 6)
    port:close()
    iocp.sleep(20)
    assert.equal(0, port:stats().queued)
  end)

  it("can be called from many threads at once", function()
    local threads, each = {}, support.scaled(2000)
    for i = 1, 4 do
      threads[i] = iocp.Thread([[
        local port, each = ...
        local cancelled = 0
        for i = 1, each do
          local timer = port:enqueue_after(i % 20, i)
          if i % 3 == 0 and timer:cancel() then cancelled = cancelled + 1 end
        end
        return cancelled
      ]], port, each)
    end
    local expected = 4 * each
    for _, cancelled in ipairs(support.join_all(threads)) do
      expected = expected - cancelled
    end
    for _ = 1, expected do
      assert(port:dequeue(20000))
    end
    assert.is_nil((port:dequeue(50)))
  end)

  it("takes 64 bytes at most for each of a million, and a moment", function()
    local n = support.scaled(1000000)
    local code, output = support.child(([[
      local iocp = require "iocp"
      package.path = package.path .. ";spec/?/init.lua"
      local support = require "support"
      local port, n = iocp.IOCompletionPort(), %d
      local function set(count)
        for i = 1, count do port:enqueue_after(1e9 - i %% 1000, i) if i %% 1000 == 0 then collectgarbage() end end
      end
      for i = 1, 1000 do port:enqueue_after(1e9, i):cancel() end
      set(5000) -- what is run or compiled for the first time is resident from here on
      local before = support.resident()
      set(n)
      print(("memory=%%d"):format(support.resident() - before))
    ]]):format(n), 300)
    assert.equal(0, code, output)
    if support.measures then
      -- 256 KiB: what the interpreter's own heap gained meanwhile.
      assert.is_true(tonumber(output:match("memory=(%d+)")) * 1024 <= n * 64 + 2 ^ 18, output)
    end
  end)

  it("refuses wrong arguments by name", function()
    for _, bad in ipairs { -1, 0 / 0, "1", {} } do
      local ok, message = pcall(port.enqueue_after, port, bad, 1)
      assert.is_false(ok)
      assert.matches("ms: expected milliseconds", message, 1, true)
    end
    for arguments, text in pairs { [{ nil, 1 }] = "ms: expected", [{ 1, nil }] = "key: expected",
      [{ 1, 1, -1 }] = "bytes: expected", [{ 1, 1, 1, {} }] = "overlapped: expected" } do
      local ok, message = pcall(port.enqueue_after, port, (unpack or table.unpack)(arguments, 1, 4))
      assert.is_false(ok)
      assert.matches(text, message, 1, true)
    end
    local timer = port:enqueue_after(0, 1)
    for _, bad in ipairs { 1, "x", {}, io.stdout, port } do
      local ok, message = pcall(timer.cancel, bad)
      assert.is_false(ok)
      assert.matches("self: expected iocp.Timer", message, 1, true)
    end
  end)
end)
