-- What succeeds returns what the reference says and nothing behind it: table.insert(tasks, pool:submit(f)) works.
local iocp = require "iocp"

describe("what succeeds returns its result and nothing behind it", function()
  local function nothing() end

  local function one(name, ...)
    assert.equal(1, select("#", ...), name)
    assert.is_truthy((...), name)
    return (...)
  end

  local function pools()
    local pool = one("Pool", iocp.Pool(2))
    one("Pool with options", iocp.Pool { workers = 1, queue_limit = 5 }):close()
    one("submit", pool:submit(nothing))
    one("submit with terms", pool:submit { body = nothing, timeout = 1000 })
    one("post", pool:post(nothing))
    one("submit_after", pool:submit_after(1, nothing))
    one("submit_every", pool:submit_every(100, nothing)):cancel()
    local task = one("task", pool:task(nothing))
    one("task:submit", task:submit())
    one("then_", task:then_(nothing))
    one("map", pool:map({ 1 }, function(x) return x end))
    one("reduce", pool:reduce({ 1, 2 }, function(a, b) return a + b end))
    one("parallel_for", pool:parallel_for(1, 2, nothing))
    assert.equal(3, select("#", pool:map({ 1 }, nothing, { errors = "collect" })))
    one("wait_all", iocp.wait_all { task })
    one("scope", pool:scope(function(scope) return one("scope:submit", scope:submit(nothing)) end))
    one("shutdown", pool:shutdown())
  end

  local function shared()
    local port, limited = iocp.IOCompletionPort(), iocp.IOCompletionPort { capacity = 3 }
    for _, to in ipairs { port, limited } do
      one("send", to:send(1))
      one("enqueue", to:enqueue(1))
      one("enqueue_many", to:enqueue_many { 1 })
    end
    local dict, atomic, heap = one("Dict", iocp.Dict()), iocp.Atomic(), iocp.Heap()
    one("get_or_set", dict:get_or_set("x", function() return 1 end))
    one("get_or_set again", dict:get_or_set("x", function() return 1 end))
    one("update", dict:update("x", function(x) return x end))
    one("atomic:wait", atomic:wait(1, 10))
    one("lock", heap:lock())
    one("unlock", heap:unlock())
    one("join", iocp.Thread(""):join())
    one("sleep", iocp.sleep(1))
  end

  local function streams()
    local path = os.tmpname()
    one("write_file", iocp.write_file(path, "x\n"))
    one("read_file", iocp.read_file(path))
    local file = one("open_file", iocp.open_file(path))
    one("read", file:read())
    assert.equal(1, select("#", file:read())) -- the end
    one("close", file:close())
    os.remove(path)
    local server = one("listen", iocp.listen("127.0.0.1"))
    local stream = one("connect", iocp.connect(server:address()))
    one("accept", server:accept(1000))
    one("write", stream:write("x"))
    one("write in parts", stream:write("x", 1))
    one("flush", stream:flush())
    one("datagram", iocp.datagram("127.0.0.1"))
    one("stream:close", stream:close())
    local service = one("serve", iocp.serve { host = "127.0.0.1", workers = 1, handler = function() end })
    one("stop", service:stop())
  end

  for name, all in pairs { pools = pools, ["what is shared"] = shared, streams = streams } do
    it("of " .. name .. ", outside fibers and inside", function()
      all()
      iocp.run(all)
      all() -- with the scheduler
    end)
  end
end)
