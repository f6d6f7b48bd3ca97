-- iocp.threads() and iocp.pools(): what lives in the process, whoever made it.
local iocp = require "iocp"
local support = require "support"

local function has(list, object)
  for _, one in ipairs(list) do
    if one == object then
      return true
    end
  end
  return false
end

-- How many of the list have that name; other specs have left threads and pools.
local function named(list, name)
  local n = 0
  for _, one in ipairs(list) do
    n = n + (one:name() == name and 1 or 0)
  end
  return n
end

describe("iocp.threads()", function()
  it("has a thread from its making until its end", function()
    local gate = iocp.IOCompletionPort()
    local thread = iocp.Thread({ name = "living", body = "(...):dequeue()", suspended = true }, gate)
    assert.is_true(has(iocp.threads(), thread))
    thread:resume()
    assert.is_true(has(iocp.threads(), thread))
    gate:enqueue(1)
    assert.is_true(thread:join())
    assert.is_false(has(iocp.threads(), thread))
  end)

  it("has one that nobody refers to but itself, and gives a reference that does all", function()
    local gate = iocp.IOCompletionPort()
    iocp.Thread({ name = "dropped", body = "(...):dequeue() return 'done'" }, gate)
    collectgarbage()
    collectgarbage()
    assert.equal(1, named(iocp.threads(), "dropped"))
    for _, thread in ipairs(iocp.threads()) do
      if thread:name() == "dropped" then
        gate:enqueue(1)
        assert.same({ true, "done" }, { thread:join() })
      end
    end
    assert.equal(0, named(iocp.threads(), "dropped"))
  end)

  it("has the one that asks, and a pool's workers, but no thread of the module's own", function()
    local port = iocp.IOCompletionPort()
    port:enqueue_after(0, 1) -- which makes one
    port:dequeue()
    assert.equal(0, named(iocp.threads(), "iocp timers"))
    local pool = iocp.Pool { workers = 2, name = "crew" }
    local finds = pool:submit(function()
      local own = require "iocp".current()
      for _, thread in ipairs(require "iocp".threads()) do
        if thread == own then
          return true
        end
      end
    end)
    assert.same({ true, true }, { finds:wait() })
    assert.equal(2, named(iocp.threads(), "crew"))
    pool:shutdown()
    assert.is_true(support.eventually(function() -- their threads may be just ending
      return named(iocp.threads(), "crew") == 0
    end))
  end)

  it("is right while threads come and go", function()
    local threads = {}
    for i = 1, 3 do
      threads[i] = iocp.Thread([[
        local iocp = require "iocp"
        for _ = 1, ... do
          local mine = iocp.Thread { body = "", suspended = true }
          local found = 0
          for _, thread in ipairs(iocp.threads()) do
            found = found + (thread == mine and 1 or 0)
            assert(thread:name() and thread:status())
          end
          assert(found == 1)
          mine:resume()
          assert(mine:join())
        end
      ]], support.scaled(300))
    end
    support.join_all(threads)
  end)
end)

describe("iocp.pools()", function()
  it("has a pool until it has ended", function()
    local pool, gate = iocp.Pool { workers = 1, name = "living" }, iocp.IOCompletionPort()
    assert.is_true(has(iocp.pools(), pool))
    support.occupy(pool, gate)
    assert.equal("TIMEOUT", select(3, pool:shutdown(0)))
    assert.is_true(has(iocp.pools(), pool)) -- it finishes what it has
    gate:enqueue(1)
    assert.is_true(pool:shutdown())
    assert.is_false(has(iocp.pools(), pool))
  end)

  it("has none that nobody refers to any more", function()
    local gate = iocp.IOCompletionPort()
    do
      local pool = iocp.Pool { workers = 1, name = "left" }
      support.occupy(pool, gate)
    end
    assert.is_true(support.eventually(function()
      collectgarbage()
      return named(iocp.pools(), "left") == 0
    end))
    gate:enqueue(1)
  end)

  it("gives a state that has not made one a pool with all its methods", function()
    local pool = iocp.Pool { workers = 1, name = "shared" }
    local thread = iocp.Thread [[
      for _, pool in ipairs(require "iocp".pools()) do
        if pool:name() == "shared" then
          return pool:map({ 1, 2 }, function(x) return x * 2 end)
        end
      end
    ]]
    assert.same({ true, { 2, 4 } }, { thread:join() })
    pool:shutdown()
  end)
end)
