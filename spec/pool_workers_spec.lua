-- Workers that come and go: fini, tasks_per_worker, fresh, { least, most }, grace; who is told of failures; names.
local iocp = require "iocp"
local support = require "support"

local function hold(port) port:dequeue() end
local function count_up()
  counted = (counted or 0) + 1 -- luacheck: ignore
  return counted -- luacheck: ignore
end

describe("a pool's workers", function()
  local out
  before_each(function()
    out = iocp.IOCompletionPort()
  end)

  it("call fini with their state at their end, told or closed", function()
    local port = out
    local pool = iocp.Pool { workers = 2, init = function() return { n = 7 } end,
      fini = function(state) port:enqueue(state.n) end }
    assert.is_true(support.eventually(function() return pool:stats().live == 2 end))
    assert.is_true((pool:submit(count_up):wait(60000)))
    pool:workers(1)
    assert.equal(7, (out:dequeue(60000)))
    assert.is_true(pool:shutdown(60000))
    assert.equal(7, (out:dequeue(60000)))
    local closed = iocp.Pool { workers = 1, fini = function() port:enqueue(8) end }
    assert.is_true((closed:submit(count_up):wait(60000)))
    closed:close()
    assert.equal(8, (out:dequeue(60000)))
    assert.is_nil((out:dequeue(0)))
  end)

  it("that are ended hard call no fini", function()
    local port = out
    local pool = iocp.Pool { workers = 1, replace = false, fini = function() port:enqueue(1) end }
    local task = pool:submit(function(gate) gate:dequeue() while true do tostring({}) end end, port)
    assert.is_true(support.eventually(function() return task:status() == "running" end))
    task:cancel("hard")
    assert.is_nil((task:wait(60000)))
    assert.is_true(pool:shutdown(60000))
    assert.is_nil((out:dequeue(0)))
  end)

  it("whose fini fails report it", function()
    local pool = iocp.Pool { workers = 1, fini = function() error("no end") end }
    assert.is_true((pool:submit(count_up):wait(60000)))
    assert.is_true(pool:shutdown(60000))
    assert.matches("iocp pool: fini failed in worker 1: .*no end", pool:last_error())
  end)

  it("end after so many tasks, and others take their place", function()
    local pool = iocp.Pool { workers = 1, tasks_per_worker = 2 }
    local seen = {}
    for i = 1, 7 do
      seen[i] = select(2, pool:submit(count_up):wait(60000))
    end
    assert.same({ 1, 2, 1, 2, 1, 2, 1 }, seen)
    local many = {}
    for i = 1, 100 do
      many[i] = i
    end
    assert.same(many, pool:map(many, function(x) return x end))
    assert.equal(0, pool:stats().dead)
    assert.is_true(pool:shutdown(60000))
    assert.equal(0, pool:stats().live)
  end)

  it("end a pool that shuts down behind its last task, however they end themselves", function()
    for _, options in ipairs {
      { workers = 1 }, { workers = 2 }, { workers = 1, tasks_per_worker = 1 }, { workers = 2, tasks_per_worker = 3 },
      { workers = 1, fresh = true }, { workers = { 0, 2 }, idle = 1 },
    } do
      local pool = iocp.Pool(options)
      for _ = 1, 10 do
        pool:post(count_up)
      end
      pool:submit(function() require("iocp").sleep(20) end) -- the last, or the pool shuts down while it runs
      assert.is_true(pool:shutdown(60000))
      assert.equal(11, pool:stats().completed)
    end
  end)

  it("have a new state for each task", function()
    local port = out
    local pool = iocp.Pool { workers = 1, fresh = true, init = function() port:enqueue(1) return { n = 5 } end }
    for _ = 1, 3 do
      assert.same({ true, 1 }, { pool:submit(count_up):wait(60000) })
    end
    assert.same({ true, 5 }, { pool:submit({ worker = true, body = function(state) return state.n end }):wait(60000) })
    assert.same({ true, 3 }, { pool:submit(function() -- what it runs in place is in the same state
      local f = function() counted = (counted or 0) + 1 return counted end -- luacheck: ignore
      local own = require("iocp").Pool.current()
      return f() + select(2, own:submit(f):wait())
    end):wait(60000) })
    local ok, message = pool:submit(function() error("untidy") end):wait(60000)
    assert.is_nil(ok)
    assert.matches("untidy", message)
    assert.is_true(pool:shutdown(60000))
    assert.equal(0, pool:stats().dead)
    local inits = 0
    while out:dequeue(0) do
      inits = inits + 1
    end
    assert.is_true(inits >= 6, inits)
  end)

  it("are as many as there is work for, between two numbers", function()
    local gate = iocp.IOCompletionPort()
    local pool = iocp.Pool { workers = { 0, 3 }, idle = 1 }
    assert.equal(0, pool:stats().live)
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = pool:submit(hold, gate)
    end
    assert.is_true(support.eventually(function() return pool:stats().active == 3 end))
    assert.equal(3, pool:workers())
    for i = 1, 5 do
      gate:enqueue(i)
    end
    assert.is_true(iocp.wait_all(tasks, 60000))
    assert.is_true(support.eventually(function() return pool:stats().live == 0 end))
    assert.same({ 0, 0 }, { pool:workers(), pool:stats().dead })
    assert.same({ true, 1 }, { pool:submit(count_up):wait(60000) })
    assert.equal(2, pool:workers(2)) -- from now on as many as that
    assert.is_true(support.eventually(function() return pool:stats().live == 2 end))
    iocp.sleep(5)
    assert.equal(2, pool:stats().live)
    assert.is_true(pool:shutdown(60000))
  end)

  it("grow for what is due, and lose nothing while they come and go", function()
    local pool, n = iocp.Pool { workers = { 0, 4 }, idle = 0.1 }, support.soaked(3000)
    local tasks = {}
    for i = 1, n do
      local task = i % 3 == 0 and pool:submit_after(i % 7 * 0.1, count_up) or pool:submit(count_up)
      tasks[i] = assert(task)
      if i % 50 == 0 then
        iocp.sleep(0.3)
      end
    end
    assert.is_true(iocp.wait_all(tasks, 60000))
    assert.is_true(pool:shutdown(60000))
    local stats = pool:stats()
    assert.same({ n, n, 0 }, { stats.submitted, stats.completed, stats.dead })
  end)

  it("that a hard cancel ends let what they pass clean up, for some time", function()
    local pool = iocp.Pool { workers = 1, grace = 60000 }
    local task = pool:submit(function(port, gate)
      pcall(function()
        port:enqueue(1)
        while true do tostring({}) end
      end)
      local sum = 0
      for i = 1, 1000 do
        sum = sum + i
      end
      port:enqueue(sum)
      gate:dequeue(0) -- whatever waits says CANCELLED, and raises nothing
      return "cleaned up"
    end, out, iocp.IOCompletionPort())
    assert.equal(1, (out:dequeue(60000)))
    task:cancel("hard")
    assert.equal(500500, (out:dequeue(60000)))
    assert.same({ true, "cleaned up" }, { task:wait(60000) })
    assert.is_true(support.eventually(function() return pool:stats().dead == 1 end))
    pool:close()
    local strict = iocp.Pool { workers = 1, grace = 0 }
    task = strict:submit(function(port)
      port:enqueue(1)
      while true do
        pcall(function() while true do tostring({}) end end)
      end
    end, out)
    assert.equal(1, (out:dequeue(60000)))
    task:cancel("hard")
    assert.equal("CANCELLED", (select(3, task:wait(60000))))
    strict:close()
  end)

  if tonumber(_VERSION:match("%d.%d")) >= 5.4 then
    it("that a hard cancel ends run __close handlers", function()
      local pool = iocp.Pool(1)
      local task = pool:submit([[
        local port = ...
        local guard <close> = setmetatable({}, { __close = function()
          local sum = 0
          for i = 1, 100 do sum = sum + i end
          port:enqueue(sum)
        end })
        port:enqueue(1)
        while true do tostring({}) end
      ]], out)
      assert.equal(1, (out:dequeue(60000)))
      task:cancel("hard")
      assert.equal(5050, (out:dequeue(60000)))
      assert.equal("CANCELLED", (select(3, task:wait(60000))))
      pool:close()
    end)
  end

  it("tell who made the pool of failures, at its next call", function()
    local told = {}
    local pool = iocp.Pool { workers = 1, name = "p", on_error_here = function(message, about)
      told[#told + 1] = { message:match("oops %d"), about.pool, about.worker }
    end }
    local task = pool:submit(function() error("oops 1") end)
    assert.is_nil((task:wait(60000)))
    assert.same({ { "oops 1", "p", 1 } }, told)
    pool:post(function() error("oops 2") end)
    assert.is_true(support.eventually(function() return pool:idle() and #told == 2 end))
    pcall(pool.map, pool, { 1 }, function() error("oops 3") end)
    assert.same({ "oops 3", "p", 1 }, told[3])
    assert.is_true(pool:shutdown(60000))
    local inside = iocp.Pool { workers = 1, on_error = function(message) out:send(message) end,
      on_error_here = function() error("raised here", 0) end }
    assert.same({ false, "raised here" }, { pcall(function()
      return inside:submit(function() error("both") end):wait(60000)
    end) })
    assert.matches("both", (select(2, out:receive(60000))))
    inside:close()
  end)

  it("have options that are checked", function()
    for _, wrong in ipairs { { fini = 1 }, { tasks_per_worker = 0 }, { fresh = 1 }, { grace = -1 },
      { on_error_here = 1 },
      { workers = { 2, 1 } }, { workers = { 0, 0 } }, { workers = { 1 } }, { workers = { 1, 2, 3 } }, { idle = 5 },
      { workers = { 1, 2 }, idle = -1 } } do
      assert.is_false((pcall(iocp.Pool, wrong)))
    end
  end)
end)

describe("a named pool", function()
  it("is the same in every state of the process", function()
    local pool = iocp.Pool.named("mail", { workers = 2 })
    assert.equal(pool, iocp.Pool.named("mail"))
    assert.are_not.equal(pool, iocp.Pool.named("other", 1))
    assert.same({ "mail", 2 }, { pool:name(), pool:workers() })
    local same, result = select(2, iocp.Thread(function(mine)
      local named = require("iocp").Pool.named("mail", { workers = 7 })
      return named == mine, select(2, named:submit(function() return 3 end):wait())
    end, pool):join(60000))
    assert.same({ true, 3 }, { same, result })
    assert.equal(2, pool:workers())
    local status = iocp.Pool.status()
    assert.equal(1, status.mail.completed)
    assert.is_truthy(status.other)
    local text = iocp.Pool.status("json")
    assert.matches('^{"mail":{"active":%d+,.*"completed":1,.*},"other":{', text)
    assert.matches('"closed":false', text)
    assert.is_true(pool:shutdown(60000))
    assert.is_true(iocp.Pool.named("other"):shutdown(60000))
    assert.same({}, iocp.Pool.status())
    local again = iocp.Pool.named("mail", { workers = { 0, 2 } })
    assert.are_not.equal(pool, again)
    assert.same({ true, 1 }, { again:submit(count_up):wait(60000) })
    again:close()
  end)

  it("is made once, whoever asks at the same time", function()
    local threads = {}
    for i = 1, 8 do
      threads[i] = iocp.Thread(function()
        local pool = require("iocp").Pool.named("race", 1)
        assert(pool:submit(function() return 1 end):wait())
        return pool
      end)
    end
    local pools = support.join_all(threads)
    for i = 1, 8 do
      assert.equal(pools[1], pools[i])
    end
    assert.equal(8, pools[1]:stats().completed)
    pools[1]:close()
  end)

  it("says what is wrong with how it is asked for", function()
    for _, wrong in ipairs { { 3 }, { "" }, { ("x"):rep(64) }, { "a", { name = "b" } }, { "a", { nothing = 1 } } } do
      assert.is_false((pcall(iocp.Pool.named, wrong[1], wrong[2])))
    end
    assert.is_false((pcall(iocp.Pool.status, "xml")))
  end)
end)
