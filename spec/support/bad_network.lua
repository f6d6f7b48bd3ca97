--- A network that delays, loses and cuts, between unix sockets: for machines whose kernel has no netem. What passes
-- waits for `delay` ms in each direction; of its pieces a part, `loss`, as long again as TCP takes to send one once
-- more, and what is behind it with it; and now and then a connection is cut.
local bad_network = {}

--- The thread's body: listens at `from`, passes on to `to`, until the port `stop` is closed.
function bad_network.run(from, to, delay, loss, stop)
  local iocp = require "iocp"
  local AGAIN, CUT = 200, 0.001 -- ms; the part of pieces behind which the connection is cut

  --- Writes what is queued when it is due, until there is no more.
  local function deliver(pipe, target)
    while true do
      local piece = table.remove(pipe, 1)
      if piece then
        iocp.sleep(math.max(0, piece.due - iocp.clock()))
        if not piece.data or not target:write(piece.data) then
          target:close()
          return
        end
      else
        pipe.more:wait()
      end
    end
  end

  local function pass(source, target)
    local pipe, due = { more = iocp.Condition() }, 0
    local writer = iocp.spawn(deliver, pipe, target)
    local data
    repeat
      data = source:read_some(65536)
      due = math.max(due, iocp.clock() + delay + (math.random() < loss and AGAIN or 0))
      if math.random() < CUT then
        data = nil
      end
      pipe[#pipe + 1] = { due = due, data = data }
      pipe.more:signal()
    until not data
    source:close()
    writer:wait()
  end

  iocp.run { on_error = "keep", main = function()
    local server = assert(iocp.listen(from))
    iocp.spawn(function()
      stop:dequeue()
      os.remove(from)
      server:close()
    end)
    local client = server:accept()
    while client do
      local target = iocp.connect(to, 0)
      if target then
        iocp.spawn(pass, client, target)
        iocp.spawn(pass, target, client)
      else
        client:close()
      end
      client = server:accept()
    end
    for _, one in ipairs(iocp.fibers()) do
      one.fiber:cancel()
    end
  end }
end

--- Begins: a function that ends it.
function bad_network.start(from, to, delay, loss)
  local iocp = require "iocp"
  local stop = iocp.IOCompletionPort()
  local thread = assert(iocp.Thread(function(...)
    require("support.bad_network").run(...)
  end, from, to, delay, loss, stop))
  return function()
    stop:enqueue(1)
    return thread:join(20000)
  end
end

return bad_network
