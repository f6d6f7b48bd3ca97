-- An echo server in the raw style: one port, and workers that know nothing but it and the listener's handle. A packet's
-- key says which socket, its overlapped says what: the address of a block that was sent, or one more of one that was
-- received into. With READY behind the buffer's size a connection that waits has no block: it asks for readiness.
-- usage: lua echo.lua THREADS BUFFER [READY] PORT
local iocp = require "iocp"

local ACCEPTS = 16 -- pending

local function work(port, listening, buffer, by_readiness)
  local heap, Socket = require "iocp".Heap.process(), require "iocp".Socket

  local function accept(listener)
    assert(listener:accept(assert(Socket())))
  end

  local function receive(socket, block)
    return socket:receive(block, buffer, block + 1)
  end

  -- Whether it waits for the next message.
  local function wait_for_message(socket, block)
    if not by_readiness then
      return receive(socket, block)
    end
    heap:free(block)
    return socket:ready("read")
  end

  -- What the system takes at once needs no packet.
  local function echo(socket, block, bytes)
    local sent = socket:send(block, bytes, false)
    if sent == bytes then
      return wait_for_message(socket, block)
    end
    return sent
  end

  local function close(socket, block)
    if socket then
      socket:close()
    end
    if block then
      heap:free(block)
    end
  end

  for key, bytes, overlapped in port:packets() do
    local socket, block, goes_on = Socket.open(key), overlapped, nil
    if key == listening then
      accept(socket)
      socket, block = Socket.open(overlapped), nil
      if socket and bytes >= 0 then
        socket:option("nodelay", true)
        block = not by_readiness and heap:alloc(buffer)
        goes_on = by_readiness and socket:ready("read") or receive(socket, block)
      end
    elseif not overlapped then
      block = heap:alloc(buffer)
      goes_on = socket and bytes >= 0 and receive(socket, block)
    elseif overlapped % 2 == 1 then
      block = overlapped - 1
      goes_on = socket and bytes > 0 and echo(socket, block, bytes)
    else
      goes_on = socket and bytes >= 0 and wait_for_message(socket, block)
    end
    if not goes_on then
      close(socket, block)
    end
  end
end

local threads, buffer, by_readiness = tonumber(arg[1]), tonumber(arg[2]), arg[3] == "READY"
local port, listener = assert(iocp.IOCompletionPort()), assert(iocp.Socket())
assert(listener:option("reuseaddr", true))
assert(listener:bind("127.0.0.1", tonumber(arg[#arg])))
assert(listener:listen())
assert(listener:associate(port))
local listening = tonumber(listener:handle())
for _ = 1, ACCEPTS do
  assert(listener:accept(assert(iocp.Socket())))
end
for _ = 2, threads do
  assert(iocp.Thread(work, port, listening, buffer, by_readiness))
end
work(port, listening, buffer, by_readiness)
