--- What the specs of sockets share: packets as tables, and sockets that are connected to each other.
local iocp = require "iocp"
local support = require "support"

local sockets = {}

--- The number that stands for a socket in a packet.
function sockets.number(socket)
  return tonumber(socket:handle())
end

--- Takes a packet: { key =, bytes =, overlapped =, code = of an I/O that failed }; nil and the code if none came.
function sockets.take(port, ms)
  local first, second, third, key, bytes, overlapped = port:dequeue(ms or support.patience(10000))
  if first then
    return { key = first, bytes = second, overlapped = third }
  elseif key == nil then
    return nil, third
  end
  assert(type(second) == "string")
  return { key = key, bytes = bytes, overlapped = overlapped, code = third }
end

--- Takes `n` packets, by their overlapped (or, if they have none, by key), in a table; each may come once.
function sockets.take_all(port, n)
  local taken = {}
  for i = 1, n do
    local packet, code = sockets.take(port)
    assert(packet, ("packet %d of %d: %s"):format(i, n, tostring(code)))
    local name = packet.overlapped or packet.key
    assert(not taken[name], "two packets of one operation")
    taken[name] = packet
  end
  return taken
end

--- Asserts that no packet comes.
function sockets.none(port, ms)
  local packet, code = sockets.take(port, ms or 30)
  assert(packet == nil, packet and ("a packet: %.0f, %d, %s, %s"):format(packet.key, packet.bytes,
    tostring(packet.overlapped), tostring(packet.code)))
  assert(code == "TIMEOUT", code)
end

local hosts = { inet = "127.0.0.1", inet6 = "::1" }

--- A socket that listens on loopback, with the port; and where.
function sockets.listener(port, family, backlog)
  local listener = assert(iocp.Socket(family))
  assert(listener:bind(hosts[family or "inet"], 0))
  assert(listener:listen(backlog))
  assert(listener:associate(port))
  return listener, listener:address()
end

--- Two sockets over loopback that are connected to each other: the one that connected, with the port, and the one that
-- was accepted, with `other` or the same.
function sockets.connection(port, other, family)
  local meeting = iocp.IOCompletionPort()
  local listener, host, number = sockets.listener(meeting, family)
  local client, server = assert(iocp.Socket(family)), assert(iocp.Socket(family))
  assert(client:associate(port))
  assert(listener:accept(server, nil, other or port))
  assert(client:connect(host, number))
  local connected = assert(sockets.take(port))
  assert(connected.key == sockets.number(client) and not connected.code, connected.code)
  local accepted = assert(sockets.take(meeting))
  assert(accepted.overlapped == sockets.number(server) and not accepted.code, accepted.code)
  listener:close()
  meeting:close()
  return client, server
end

--- Receives all there is to come on a socket, whose port is nobody else's; the text, and the code if it ended with one.
function sockets.drain(socket, port, heap)
  local block, parts = heap:alloc(65536), {}
  while true do
    local started, _, code = socket:receive(block)
    local packet = started and assert(sockets.take(port))
    if not started or packet.code or packet.bytes == 0 then
      heap:free(block)
      return table.concat(parts), packet and packet.code or code
    end
    parts[#parts + 1] = heap:read(block, 0, packet.bytes)
  end
end

--- `size` bytes that say where they stand.
function sockets.pattern(size)
  local parts = {}
  for i = 1, math.ceil(size / 8) do
    parts[i] = ("%07x\n"):format(i)
  end
  return table.concat(parts):sub(1, size)
end

return sockets
