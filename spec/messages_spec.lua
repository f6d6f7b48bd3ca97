-- What wrong use is told: what is wrong, and what to do.
local iocp = require "iocp"

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

  it("and make says which Luas there are", function()
    local pipe = io.popen("make -s env LUA=lua54 2>&1")
    local output = pipe:read("*a")
    pipe:close()
    assert.matches("LUA=lua54 is none of: luajit lua5.1", output, 1, true)
  end)
end)
