--- A TCP proxy: what comes at one port goes to another one, and back, both ways at once. One thread does it all.
--
--     lua examples/proxy.lua                         tries itself against a server of its own, then ends
--     lua examples/proxy.lua 8080 192.0.2.7 80       127.0.0.1:8080 leads to 192.0.2.7:80
local iocp = require "iocp"

local SIZE = 16384

local port, heap = iocp.IOCompletionPort(), iocp.Heap()
local waiting = {} -- by the overlapped of an operation: the function that goes on with its bytes
local counted = 0

--- Passes on what comes from one socket to another until that ends, then calls `ended`. The end is passed on, too: each
-- direction ends for itself.
local function pump(from, to, ended)
  local block = assert(heap:alloc(SIZE))
  local received, sent

  local function stop(failed)
    waiting[block] = nil
    heap:free(block)
    ended(failed)
  end

  local function receive()
    waiting[block] = received
    if not from:receive(block) then
      stop(true)
    end
  end

  function received(bytes)
    if bytes <= 0 then
      to:shutdown("write")
      return stop(bytes < 0)
    end
    counted, waiting[block] = counted + bytes, sent
    local done = to:send(block, bytes, false)
    if done == bytes then
      receive()
    elseif not done then
      stop(true)
    end -- else its packet comes
  end

  function sent(bytes)
    if bytes < 0 then
      stop(true)
    else
      receive()
    end
  end

  receive()
end

--- The two are connected: joins them until both directions have ended, or one has failed.
local function join(client, server, closed)
  local running = 2
  local function ended(failed)
    running = running - 1
    if failed or running == 0 then
      client:close() -- ends the other direction
      server:close()
    end
    if running == 0 then
      closed()
    end
  end
  pump(client, server, ended)
  pump(server, client, ended)
end

--- Accepts clients of a listener for ever, and connects each to `host`, `inet_port`.
local function serve(listener, host, inet_port, closed)
  local client, server = assert(iocp.Socket()), assert(iocp.Socket())
  local token = tonumber(client:handle()) -- of the accept, then of the connect
  assert(server:associate(port))

  waiting[token] = function(bytes)
    waiting[token] = nil
    if bytes < 0 then
      return
    end
    serve(listener, host, inet_port, closed)
    waiting[token] = function(connected)
      waiting[token] = nil
      if connected < 0 then
        print("no way to the server: " .. iocp.describe(connected))
        client:close()
        server:close()
        return closed()
      end
      join(client, server, closed)
    end
    assert(server:connect(host, inet_port, token))
  end
  assert(listener:accept(client, token))
end

local function listen(inet_port)
  local listener = assert(iocp.Socket())
  listener:option("reuseaddr", true)
  assert(listener:bind("127.0.0.1", inet_port))
  assert(listener:listen())
  assert(listener:associate(port))
  return listener, select(2, listener:address())
end

local function run()
  for _, bytes, overlapped in port:packets() do
    local go_on = waiting[overlapped]
    if go_on then
      go_on(bytes)
    end
  end
end

if arg[1] then
  local listener, where = listen(tonumber(arg[1]))
  print(("proxy: 127.0.0.1:%d leads to %s:%s"):format(where, arg[2], arg[3]))
  serve(listener, arg[2], tonumber(arg[3]), function() end)
  return run()
end

-- A thread on each side: a server that answers with what it got, in capitals, and clients.
local function answer(server_port)
  local iocp_here = require "iocp"
  local mine, memory = iocp_here.IOCompletionPort(), iocp_here.Heap()
  local listener = assert(iocp_here.Socket())
  assert(listener:bind("127.0.0.1", 0))
  assert(listener:listen())
  assert(listener:associate(mine))
  server_port:send((select(2, listener:address())))
  local function accept()
    assert(listener:accept(assert(iocp_here.Socket())))
  end
  accept()
  for key, bytes, overlapped in mine:packets() do
    local socket = iocp_here.Socket.open(key)
    if socket == listener then
      assert(iocp_here.Socket.open(overlapped):receive(memory:alloc(4096)))
      accept()
    elseif overlapped and bytes > 0 then
      socket:send(memory:read(overlapped, 0, bytes):upper(), false)
      socket:receive(overlapped)
    elseif overlapped then
      memory:free(overlapped)
      socket:close() -- behind what was sent: that was done at once
    end
  end
end

local function ask(inet_port, n)
  local iocp_here = require "iocp"
  local mine, memory, answers = iocp_here.IOCompletionPort(), iocp_here.Heap(), {}
  for i = 1, n do
    local socket, block = assert(iocp_here.Socket()), memory:alloc(4096)
    assert(socket:associate(mine, i))
    assert(socket:connect("127.0.0.1", inet_port))
    assert(mine:dequeue())
    assert(socket:send("question " .. i, false))
    assert(socket:shutdown("write"))
    repeat
      assert(socket:receive(block))
      local _, bytes = assert(mine:dequeue())
      answers[i] = (answers[i] or "") .. memory:read(block, 0, bytes)
    until bytes == 0
    socket:close()
  end
  return table.concat(answers, ", ")
end

local n, server_port = 5, iocp.IOCompletionPort()
assert(iocp.Thread(answer, server_port))
local _, server = assert(server_port:receive())
local listener, where = listen(0)
local left = n
serve(listener, "127.0.0.1", server, function()
  left = left - 1
  if left == 0 then
    port:close() -- ends run
  end
end)
local client = assert(iocp.Thread(ask, where, n))
run()
print(select(2, assert(client:join())))
print(("%d connections, %d bytes passed on"):format(n, counted))
