-- What of this module crosses by its name: each function of it and of its classes, before and after the scheduler and
-- others have put theirs in the places of some.
local support = require "support"

-- Sends each function by a port, which is received in this state and must be the one that has the name now; and uses
-- some in a thread.
local SCRIPT = [[
  local iocp = require "iocp"
  local port = iocp.IOCompletionPort()
  local function methods_of(names, object)
    local found = {}
    for name in names:gmatch("%S+") do
      found[name] = assert(object[name], name)
    end
    return found
  end
  local pool = iocp.Pool(1)
  local groups = {
    pool = { pool, "submit post submit_after submit_every task map imap parallel_for reduce scope shutdown workers "
      .. "stats trace close" },
    port = { port, "enqueue enqueue_many dequeue dequeue_many receive receive_many send packets enqueue_after notify" },
    limited = { iocp.IOCompletionPort { capacity = 9 }, "send enqueue enqueue_many receive dequeue" },
    thread = { iocp.Thread(function() end), "join cancel notify status" },
    task = { pool:submit(function() end), "wait result cancel after catch finally" },
    dict = { iocp.Dict(), "get set incr get_or_set update" },
    atomic = { iocp.Atomic(), "get set add wait wake notify" },
    array = { iocp.Array("int8", 1), "get set view list copy" },
    heap = { iocp.Heap(), "alloc free read write put take encode lock unlock" },
    socket = { iocp.Socket(), "bind send receive ready" },
    lookup = { iocp.resolve("127.0.0.1"), "wait notify" },
    Socket = { iocp.Socket, "open adopt pair" },
    File = { iocp.File, "open adopt" },
    Pool = { iocp.Pool, "open current named status" },
  }
  local FUNCTIONS = "sleep yield clock cancelled resolve blocking current pairs thaw signal Process Frozen"
  local SCHEDULED = " run spawn spawn_after spawn_every fibers fiber port within Condition pcall connect listen serve "
    .. "datagram open_file read_file write_file wait_any wait_all as_completed"

  local function check(label, found, now)
    for name, f in pairs(found) do
      local ok, message = pcall(port.send, port, f)
      if not ok then error(label .. " " .. name .. ": " .. message) end
      local _, got = port:receive(0)
      if got ~= now[name] then error(label .. " " .. name .. " is another one") end
    end
  end
  local function all(functions)
    local found = { iocp = methods_of(functions, iocp) }
    for class, group in pairs(groups) do
      found[class] = methods_of(group[2], group[1])
    end
    return found
  end
  local before = all(FUNCTIONS)
  for class, found in pairs(before) do check(class, found, found) end
  iocp.run(function() end)
  local told = iocp.Pool { workers = 1, on_error_here = print } -- which replaces methods, too
  local after = all(FUNCTIONS .. SCHEDULED)
  after.coroutine = methods_of("resume wrap create", iocp.coroutine)
  for class, found in pairs(after) do check(class, found, found) end
  for class, found in pairs(before) do check(class, found, after[class]) end

  -- They do what they do here.
  local counter, limited = iocp.Atomic(), groups.limited[1]
  for _, m in ipairs { before, after } do
    local sleep, cancelled, send, add, get_or_set = m.iocp.sleep, m.iocp.cancelled, m.limited.send, m.atomic.add,
      m.dict.get_or_set
    local receive, submit, dict = m.limited.receive, m.pool.submit, iocp.Dict()
    assert(iocp.Thread(function()
      assert(sleep(1) and not cancelled())
      assert(send(limited, "x") and select(2, receive(limited, 0)) == "x")
      assert(get_or_set(dict, "k", function() return 7 end) == 7)
      assert(submit(pool, function() add(counter, 1) end):wait())
    end):join())
  end
  assert(counter:get() == 2)
  -- What a script adds is its own.
  function iocp.mine(x) return x + 1 end
  assert(select(2, iocp.Thread(function(f) return f(1) end, iocp.mine):join()) == 2)
  pool:shutdown() told:shutdown()
  print "all"
]]

describe("what is this module's", function()
  it("crosses by name, whatever stands in its place by now", function()
    local code, output = support.child(SCRIPT)
    assert.equal(0, code, output)
    assert.equal("all", output:match("^%s*(.-)%s*$"))
  end)

  it("crosses from a thread as well, whose compiled methods come later", function()
    local code, output = support.child([[
      local iocp = require "iocp"
      print(iocp.Thread(function()
        local iocp = require "iocp"
        local port, heap = iocp.IOCompletionPort(), iocp.Heap()
        local enqueue, free = port.enqueue, heap.free
        for i = 1, 100 do port:enqueue(i) heap:free(heap:alloc(8)) end
        return iocp.Thread(function(p, h)
          return enqueue(p, 1) and free(h, h:alloc(8)) and "both"
        end, port, heap):join()
      end):join())
    ]])
    assert.equal(0, code, output)
    assert.matches("true%s+true%s+both", output)
  end)
end)
