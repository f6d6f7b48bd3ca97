-- The first that ends, all of them, each as it does: wait_any, wait_all, as_completed.
local iocp = require "iocp"
local support = require "support"

local function hold(port) port:dequeue() end

describe("of things that end", function()
  local pool, gate
  before_each(function()
    pool, gate = iocp.Pool(3), iocp.IOCompletionPort()
  end)
  after_each(function()
    gate:close()
    pool:close()
  end)

  it("wait_any gives the first, and its index", function()
    local slow, quick = pool:submit(hold, gate), pool:submit(function() return "quick" end)
    local one, index = iocp.wait_any { slow, quick }
    assert.equal(2, index)
    assert.same({ true, "quick" }, { one:result() })
    assert.equal(2, select(2, iocp.wait_any({ slow, quick }, 10000)))
    local nothing, _, code = iocp.wait_any({ slow }, 1)
    assert.same({ nil, "TIMEOUT" }, { nothing, code })
    gate:enqueue(1)
    assert.equal(slow, (iocp.wait_any { slow }))
  end)

  it("all kinds can be mixed, and come in the order in which they end", function()
    local other = iocp.Pool(1)
    local things = {
      pool:submit(hold, gate),
      other:submit(function() return "other" end),
      iocp.Thread(function() return "thread" end),
      iocp.Process { support.interpreter(), "-v", stdout = false, stderr = false },
      iocp.resolve("localhost"),
      pool:submit(function() error("failed") end),
      pool:submit_after(1e9, print),
    }
    things[7]:cancel()
    local order, seen = {}, {}
    for thing, index in iocp.as_completed(things) do
      assert.equal(things[index], thing)
      assert.is_nil(seen[index])
      order[#order + 1], seen[index] = index, true
      if #order == 6 then
        assert.is_nil(seen[1])
        gate:enqueue(1)
      end
    end
    assert.same({ 7, 1 }, { #order, order[7] })
    assert.is_true(iocp.wait_all(things))
    local _, message = things[6]:result()
    assert.matches("failed", message)
    other:close()
  end)

  it("wait_all waits for all, or its time", function()
    assert.is_true(iocp.wait_all {})
    local tasks = {}
    for i = 1, 100 do
      tasks[i] = pool:submit(function(n) return n end, i)
    end
    assert.is_true(iocp.wait_all(tasks))
    for i = 1, 100 do
      assert.same({ true, i }, { tasks[i]:result() })
    end
    tasks[101] = pool:submit(hold, gate)
    local ok, _, code = iocp.wait_all(tasks, 1)
    assert.same({ nil, "TIMEOUT" }, { ok, code })
  end)

  it("as_completed of nothing is nothing", function()
    assert.is_nil((iocp.as_completed {})())
  end)

  it("they let other fibers run, and take fibers", function()
    local order = iocp.run(function()
      local condition, list = iocp.Condition(), {}
      local first = iocp.spawn(function() condition:wait() end)
      local task = pool:submit(hold, gate)
      local all = iocp.spawn(function()
        local next_one = iocp.as_completed { first, task }
        local _, index = next_one()
        list[1] = index
        gate:enqueue(1)
        _, index = next_one()
        list[2] = index
      end)
      iocp.sleep(1)
      condition:signal()
      all:wait()
      assert.is_true(iocp.wait_all { first, task, all })
      assert.equal(all, (iocp.wait_any { all }))
      local endless = iocp.spawn(iocp.sleep, 1e9)
      local _, _, code = iocp.wait_any({ endless }, 1)
      list[3] = code
      endless:cancel()
      return list
    end)
    assert.same({ 1, 2, "TIMEOUT" }, order)
  end)

  it("a cancel of the fiber ends its wait", function()
    local code = iocp.run(function()
      local waits = iocp.spawn(function() return select(3, iocp.wait_any { pool:submit(hold, gate) }) end)
      iocp.sleep(1)
      waits:cancel()
      return select(3, waits:wait()) or select(2, waits:result())
    end)
    assert.equal("CANCELLED", code)
  end)

  it("in a worker, the only one of its pool, what waits there runs", function()
    local one = iocp.Pool(1)
    local ok, result = one:submit(function()
      local inside, tasks = require "iocp", {}
      for i = 1, 5 do
        tasks[i] = inside.Pool.current():submit(function(n) return n end, i)
      end
      assert(inside.wait_any(tasks))
      local sum = 0
      for task in inside.as_completed(tasks) do
        sum = sum + select(2, task:result())
      end
      assert(inside.wait_all(tasks))
      return sum
    end):wait(60000)
    assert.same({ true, 15 }, { ok, result })
    one:close()
  end)

  it("a cancel of the task ends its wait", function()
    local waiting = pool:submit(function(port)
      local inside = require "iocp"
      local task = inside.Pool.current():submit(function(p) p:dequeue() end, port)
      return select(3, inside.wait_any { task })
    end, gate)
    assert.is_true(support.eventually(function() return pool:stats().blocked == 1 end))
    waiting:cancel()
    assert.same({ true, "CANCELLED" }, { waiting:wait(60000) })
  end)

  it("what is no such list is refused", function()
    for _, name in ipairs { "wait_any", "wait_all", "as_completed" } do
      for _, wrong in ipairs { 3, { 3 }, { pool }, { gate }, { {} } } do
        local ok, message = pcall(iocp[name], wrong)
        assert.is_false(ok)
        assert.matches("bad argument 'list' to '" .. name, message)
      end
    end
    assert.is_false((pcall(iocp.wait_any, {})))
    assert.is_false((pcall(iocp.wait_any, { pool:task(print) }, -1)))
  end)

  it("what is told stays little, however often one asks", function()
    local task = pool:submit(hold, gate)
    for _ = 1, 3 do
      collectgarbage()
    end
    local before = collectgarbage("count")
    for _ = 1, 2000 do
      iocp.wait_any({ task }, 0)
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage("count") < before + 64)
  end)
end)
