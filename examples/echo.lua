--- An echo server in the article's style: one port, and workers that are given nothing but its handle.
--
--     lua examples/echo.lua                 serves itself: 100 connections, 20 messages each, then ends
--     lua examples/echo.lua 7777 [workers]  serves others: nc 127.0.0.1 7777
--
-- Each operation names a block of the process' heap, and the block says what it is for. So whichever worker gets the
-- packet goes on with the connection, and none knows any.
local iocp = require "iocp"

local BODY = [[
  local iocp = require "iocp"
  local port, heap = assert(iocp.IOCompletionPort.open("%s")), iocp.Heap.process()

  -- A block: what it waits for (1 byte), its socket's handle (18), the data.
  local ACCEPT, RECEIVE, SEND = "a", "r", "s"
  local DATA, SIZE = 32, 4096
  local messages = 0

  --- Has the listener take one more connection.
  local function accept(listener)
    local client = assert(iocp.Socket())
    local block = assert(heap:alloc(DATA + SIZE))
    heap:write(block, ACCEPT .. client:handle())
    if not listener:accept(client, block) then
      heap:free(block)
    end
  end

  --- Whether the connection waits for its next message.
  local function receive(socket, block)
    heap:write(block, RECEIVE)
    return socket:receive(block, SIZE, nil, DATA)
  end

  --- Sends the message back. If that is done at once there is no packet, and the next one can come.
  local function send(socket, block, bytes)
    messages = messages + 1
    heap:write(block, SEND)
    local sent = socket:send(block, bytes, false, DATA)
    if sent == bytes then
      return receive(socket, block)
    end
    return sent
  end

  local function close(socket, block)
    if socket then
      socket:close()
    end
    heap:free(block)
  end

  for key, bytes, block in port:packets() do
    if not block and key == 0 then
      break                                            -- a quit packet
    end
    local socket = iocp.Socket.open(key)               -- nil: it was closed meanwhile
    if not block then
      accept(socket)                                   -- the main script asks for it
    else
      local waits_for, handle = heap:read(block, 0, 1), heap:read(block, 1, 18)
      if waits_for == ACCEPT then
        if socket then
          accept(socket)
        end
        socket = iocp.Socket.open(handle)              -- the client; its packets come with this handle as key
      end
      local goes_on = socket and bytes >= 0            -- below 0: it failed
      if goes_on and waits_for == RECEIVE then
        goes_on = bytes > 0 and send(socket, block, bytes) -- 0: the peer sends nothing more
      elseif goes_on then
        goes_on = receive(socket, block)
      end
      if not goes_on then
        close(socket, block)
      end
    end
  end
  return messages
]]

--- A listener with as many workers, and where it listens.
local function serve(inet_port, workers)
  local port, listener = iocp.IOCompletionPort(), assert(iocp.Socket())
  listener:option("reuseaddr", true)
  assert(listener:bind("127.0.0.1", inet_port))
  assert(listener:listen())
  assert(listener:associate(port))
  local threads = {}
  for i = 1, workers do
    threads[i] = assert(iocp.Thread(BODY:format(port:handle())))
    port:enqueue(tonumber(listener:handle()))
  end
  return port, threads, listener, select(2, listener:address())
end

--- Connects `n` clients, each of which sends `messages` messages and waits for each to come back.
local function try(inet_port, n, messages)
  local port, heap, text = iocp.IOCompletionPort(), iocp.Heap(), ("x"):rep(64)
  local clients, left, running = {}, {}, n
  for _ = 1, n do
    local client = assert(iocp.Socket())
    assert(client:associate(port))
    assert(client:connect("127.0.0.1", inet_port))
    clients[tonumber(client:handle())], left[client] = client, messages
  end
  for key, bytes, block in port:packets() do
    local client = clients[key]
    assert(bytes >= 0, (select(2, iocp.describe(bytes))))
    if block and left[client] == 0 then
      client:close()
      running = running - 1
    else
      block = block or heap:alloc(#text)               -- none: it has connected
      left[client] = left[client] - 1
      assert(client:send(text, false))
      assert(client:receive(block))
    end
    if running == 0 then
      return
    end
  end
end

local inet_port, workers = tonumber(arg[1]), tonumber(arg[2]) or 4
local port, threads, listener, where = serve(inet_port or 0, workers)
if inet_port then
  print(("echo: 127.0.0.1:%d, %d workers"):format(where, workers))
else
  local n, messages, started = 100, 20, iocp.clock()
  try(where, n, messages)
  print(("%d connections, %d messages in %.0f ms"):format(n, n * messages, iocp.clock() - started))
  listener:close()
  for _ = 1, workers do
    port:enqueue(0)
  end
end
for i, thread in ipairs(threads) do
  local _, echoed = assert(thread:join())
  print(("worker %d %8d messages"):format(i, echoed))
end
