-- Statement 41: however the process ends, with threads in whatever state, it ends promptly and cleanly.
local support = require "support"

-- What the threads are doing when the process ends.
local threads = {
  parked = [[
    for i = 1, 8 do iocp.Thread("local port = ... for _ in port:packets() do end", port) end
    while port:stats().waiting < 8 do iocp.sleep(1) end
  ]],
  running = [[
    for i = 1, 4 do
      iocp.Thread("local port = ... port:enqueue(1) "
        .. "while true do local t = {} for i = 1, 100 do t[i] = tostring(i) end end",
        port)
    end
    for i = 1, 4 do port:dequeue() end
  ]],
  ["working on messages"] = [[
    for i = 1, 4 do
      iocp.Thread("local port, heap = ... "
        .. "for key in heap.alloc, heap, 48 do port:enqueue(key) heap:free(port:dequeue()) end", port, heap)
    end
    iocp.sleep(5)
  ]],
  starting = [[
    for i = 1, 30 do iocp.Thread("local iocp = require 'iocp' iocp.sleep(1e7)") end
  ]],
  ["just created and collected"] = [[
    for i = 1, 10 do iocp.Thread("return 1") end
    collectgarbage() collectgarbage()
  ]],
  suspended = [[ keep = iocp.Thread { body = "", suspended = true } ]],
  ["asleep, joining and waiting for a lock"] = [[
    heap:lock()
    local sleeper = iocp.Thread("require('iocp').sleep(1e7)")
    iocp.Thread("local t = ... t:join()", sleeper)
    iocp.Thread("local heap = ... heap:alloc(1)", heap)
    iocp.sleep(5)
  ]],
  ["reading standard input"] = [[
    iocp.Thread("io.read('*l')")
    iocp.sleep(5)
  ]],
  ["failed and ended"] = [[
    iocp.Thread("error('nobody asks')")
    iocp.Thread("return 1")
    iocp.sleep(5)
  ]],
}

-- How it ends, with what exit code.
local endings = {
  ["the script's end"] = { "", 0 },
  ["an error"] = { "error('on purpose')", 1 },
  ["os.exit"] = { "os.exit(0)", 0 },
  ["os.exit with a code"] = { "os.exit(3)", 3 },
  ["os.exit that closes the state"] = { "os.exit(4, true)", 4 },
  ["os.exit in a thread"] = { "iocp.Thread('os.exit(5)') iocp.sleep(1e7)", 5 },
  ["os.exit in a thread that closes its state"] = { "iocp.Thread('os.exit(6, true)') iocp.sleep(1e7)", 6 },
  ["a closed port and the script's end"] = { "port:close() port, heap = nil, nil collectgarbage()", 0 },
  ["a destroyed heap and the script's end"] = { "port:close() pcall(heap.unlock, heap) pcall(heap.unlock, heap) "
    .. "heap:destroy()", 0 },
}

for doing, start in pairs(threads) do
  describe("with threads " .. doing .. " (41)", function()
    for ending, row in pairs(endings) do
      it("the process ends by " .. ending, function()
        local code, output = support.child([[
          local iocp = require "iocp"
          local port, heap = iocp.IOCompletionPort(), iocp.Heap()
        ]] .. start .. row[1])
        assert.equal(row[2], code, output)
        assert.equal(row[2] == 1, output:find("on purpose", 1, true) ~= nil)
        if row[2] ~= 1 and doing == "failed and ended" then -- told, where the state was closed in time
          local told = "^iocp: a thread made at .*:%d+ failed and nobody joined it: .*nobody asks"
          assert.matches(output == "" and "" or told, output)
        elseif row[2] ~= 1 then
          assert.equal("", output)
        end
      end)
    end
  end)
end

describe("Ctrl-C (41)", function()
  for name, wait in pairs {
    dequeue = "port:dequeue()",
    ["a timed dequeue"] = "port:dequeue(1e7)",
    sleep = "iocp.sleep(1e7)",
    join = "iocp.Thread('require(\"iocp\").sleep(1e7)'):join()",
    ["a heap's lock"] = "local ready = iocp.IOCompletionPort() "
      .. "iocp.Thread('local h, r = ... h:lock() r:enqueue(1) require(\"iocp\").sleep(1e7)', heap, ready) "
      .. "ready:dequeue() heap:lock()",
    receive = "port:receive()",
    receive_many = "port:receive_many(10)",
    ["dequeue_many"] = "port:dequeue_many(10)",
    packets = "for _ in port:packets() do end",
    ["packets in batches"] = "for _ in port:packets(10) do end",
    ["iocp.blocking"] = "iocp.blocking(port.dequeue, port)",
    ["a task's wait"] = "iocp.Pool(1):submit('while true do end'):wait()",
    ["a task's wait, of a task that sleeps"] = "iocp.Pool(1):submit(function() require('iocp').sleep(1e7) end):wait()",
    ["a task's timed wait"] = "iocp.Pool(1):submit(function() require('iocp').sleep(1e7) end):wait(1e7)",
    ["a pool's shutdown"] = "local pool = iocp.Pool(1) pool:submit('while true do end') pool:shutdown()",
    ["a pool's shutdown, of a task that sleeps"] = "local pool = iocp.Pool(1) "
      .. "pool:submit(function() require('iocp').sleep(1e7) end) pool:shutdown()",
    ["a pool's full queue"] = "local pool = iocp.Pool { workers = 0, queue_limit = 1 } pool:submit('') pool:submit('')",
    map = "iocp.Pool(2):map({ 1, 2, 3, 4 }, function() while true do end end)",
    parallel_for = "iocp.Pool(2):parallel_for(1, 4, function() while true do end end)",
    reduce = "iocp.Pool(2):reduce({ 1, 2, 3, 4 }, function() while true do end end, nil, { chunk = 2 })",
    ["map, for the queue"] = "iocp.Pool { workers = 0, queue_limit = 1 }:map({ 1, 2, 3, 4 }, print, { chunk = 1 })",
    ["what map calls"] = "iocp.Pool(2):map({ 1, 2, 3, 4 }, function(x) while x > 1 do end end, "
      .. "{ chunk = 1, progress = function() iocp.sleep(1e7) end })",
  } do
    it("ends a script that waits in " .. name, function()
      local code, output = support.child([[
        local iocp = require "iocp"
        local port, heap = iocp.IOCompletionPort(), iocp.Heap()
        require("support").interrupt_soon()
      ]] .. wait)
      assert.equal(1, code, output)
      assert.matches("interrupted!", output, 1, true)
    end)
  end
end)

describe("what a script waits for is done at its end (41)", function()
  it("joined threads have run", function()
    local code, output = support.child([[
      local iocp = require "iocp"
      for i = 1, 10 do
        assert(iocp.Thread("io.write(...)", i):join())
      end
    ]])
    assert.same({ 0, "12345678910" }, { code, output })
  end)
end)
