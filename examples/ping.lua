--- Ping over UDP: numbered datagrams to a server that sends each back; how long each took, or that none came back.
--
--     lua examples/ping.lua                          its own server, on loopback
--     lua examples/ping.lua 192.0.2.7 7777 [times]   another one
--     lua examples/ping.lua serve 7777               is that other one
local iocp = require "iocp"

local PEER = iocp.PEER -- a datagram's block begins with the peer's address
local SIZE = 64
local PATIENCE, PAUSE = 1000, 20 -- ms

--- A datagram socket with the port.
local function open(port, host, inet_port)
  local socket = assert(iocp.Socket(host and host:find(":") and "inet6" or "inet", "datagram"))
  assert(socket:bind(nil, inet_port or 0))
  assert(socket:associate(port))
  return socket, select(2, socket:address())
end

--- Sends back what comes: the block has the peer's address already.
local function serve(port, socket)
  local heap = iocp.Heap()
  local block = assert(heap:alloc(PEER + 65535))
  assert(socket:receive_from(block, nil, 1))
  for _, bytes, what in port:packets() do
    if what == 1 and bytes >= 0 then
      assert(socket:send_to(block, bytes, 2))
    elseif not socket:receive_from(block, nil, 1) then -- sent, or failed: the next one
      return
    end
  end
end

--- Sends a datagram and waits for it: milliseconds, or nil if it did not come.
local function ping(port, heap, socket, block, number)
  local text, started = ("ping %d"):format(number), iocp.clock()
  heap:write(block, text, PEER)
  assert(socket:send_to(block, #text, 0))
  local answer = assert(heap:alloc(PEER + SIZE))
  assert(socket:receive_from(answer))
  local timer = assert(port:enqueue_after(PATIENCE, 0, 0, number))
  local took
  for key, bytes, overlapped in port:packets() do
    if overlapped == answer and bytes >= 0 and heap:read(answer, PEER, bytes) == text then
      took = iocp.clock() - started
      break
    elseif key == 0 and overlapped == number then
      break -- too late
    elseif overlapped == answer and bytes < 0 and iocp.describe(bytes) == "ECANCELED" then
      break
    elseif overlapped == answer then
      assert(socket:receive_from(answer)) -- an earlier one's answer
    end
  end
  timer:cancel()
  if not took and socket:cancel(answer) > 0 then
    repeat
      local _, _, _, _, _, overlapped = port:dequeue()
    until overlapped == answer
  end
  heap:free(answer)
  return took
end

local port = iocp.IOCompletionPort()
if arg[1] == "serve" then
  local socket, where = open(port, nil, tonumber(arg[2]))
  print(("ping: sends back what comes to UDP port %d"):format(where))
  return serve(port, socket)
end

local host, inet_port = arg[1] or "127.0.0.1", tonumber(arg[2])
local times = tonumber(arg[3]) or 5
if not inet_port then
  local its = iocp.IOCompletionPort()
  local server
  server, inet_port = open(its)
  assert(iocp.Thread(serve, its, server))
end

local heap, socket = iocp.Heap(), open(port, host)
local block = assert(heap:alloc(PEER + SIZE))
assert(heap:peer(block, host, inet_port))
local came, total = 0, 0
for i = 1, times do
  local ms = ping(port, heap, socket, block, i)
  print(ms and ("%d from %s:%d: %.3f ms"):format(i, host, inet_port, ms) or ("%d did not come back"):format(i))
  if ms then
    came, total = came + 1, total + ms
  end
  iocp.sleep(PAUSE)
end
print(("%d of %d came back, %.3f ms on average"):format(came, times, came > 0 and total / came or 0))
