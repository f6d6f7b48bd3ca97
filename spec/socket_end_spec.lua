-- How a socket's operations end: failures, blocks in use, order, cancelling, half-closed streams and peers that reset.
local iocp = require "iocp"
local support = require "support"
local sockets = require "support.sockets"
local number, take, take_all, none = sockets.number, sockets.take, sockets.take_all, sockets.none
local E = iocp.E

local LARGE = 8 * 1024 * 1024 -- more than a connection's buffers take

local function new_port()
  return assert(iocp.IOCompletionPort())
end

--- A port of loopback where nobody listens.
local function nobodys()
  local socket = assert(iocp.Socket())
  assert(socket:bind("127.0.0.1", 0))
  local _, inet_port = socket:address()
  socket:close()
  return inet_port
end

--- Closes so that the peer sees a reset.
local function reset(socket)
  assert(socket:option("linger", 0))
  assert(socket:close())
end

local function one_of(packet, ...)
  for _, code in ipairs { ... } do
    if packet.code == code then
      return true
    end
  end
  return false, ("%s: %s"):format(tostring(packet.code), tostring(packet.message))
end

describe("an operation that failed", function()
  it("is told by dequeue, with key, bytes and overlapped (43)", function()
    local port, socket = new_port(), assert(iocp.Socket())
    assert.is_true(socket:associate(port, 11))
    assert.is_true(socket:connect("127.0.0.1", nobodys(), 22))
    local result, message, code, key, bytes, overlapped = port:dequeue(support.patience(10000))
    assert.is_nil(result)
    assert.matches("refused", message, 1, true)
    assert.same({ "ECONNREFUSED", 11, 0, 22 }, { code, key, bytes, overlapped })
    none(port)
  end)

  it("is told by packets and batches as negative bytes, which describe explains (43)", function()
    local port, codes = new_port(), {}
    local one, two = assert(iocp.Socket()), assert(iocp.Socket())
    assert.is_true(one:associate(port, 1))
    assert.is_true(two:associate(port, 2))
    assert.is_true(one:connect("127.0.0.1", nobodys(), 7))
    local iterate, state = port:packets()
    local key, bytes, overlapped = iterate(state)
    assert.same({ 1, -E.ECONNREFUSED, 7 }, { key, bytes, overlapped })
    codes[1] = { iocp.describe(bytes) }
    assert.is_true(two:connect("127.0.0.1", nobodys()))
    local batch, n = port:dequeue_many(10, support.patience(10000))
    assert.same({ 1, 2, -E.ECONNREFUSED, nil }, { n, batch[1], batch[2], batch[3] })
    codes[2] = { iocp.describe(batch[2]) }
    for _, described in ipairs(codes) do
      assert.same({ "ECONNREFUSED", 0 }, { described[1], described[3] })
      assert.matches("refused", described[2], 1, true)
    end
  end)

  it("says what it transferred before (43)", function()
    local port, heap, its = new_port(), iocp.Heap(), new_port()
    local client, server = sockets.connection(port, its)
    local block = assert(heap:put(sockets.pattern(LARGE)))
    assert.is_true(client:send(block))
    iocp.sleep(50)
    assert.equal(1, client:cancel(block))
    local packet = assert(take(port))
    assert.same({ number(client), "ECANCELED", block }, { packet.key, packet.code, packet.overlapped })
    assert.is_true(packet.bytes > 0 and packet.bytes < LARGE)
    client:close()
    local text, code = sockets.drain(server, its, heap)
    assert.is_nil(code)
    assert.equal(packet.bytes, #text)
    assert.is_true(sockets.pattern(packet.bytes) == text)
  end)

  it("by the name that POSIX has for it, on every system (43)", function()
    local port, heap = new_port(), iocp.Heap()
    local client, server = sockets.connection(port)
    local listener, host, inet_port = sockets.listener(port)
    assert.equal("EADDRINUSE", select(3, assert(iocp.Socket()):bind(host, inet_port)))
    assert.is_true(client:connect(host, inet_port) == nil or (take(port)).code == "EISCONN")
    assert.is_true(client:shutdown("write"))
    local started, _, code = client:send("too late", 3)
    assert.equal("EPIPE", started and (take(port)).code or code)
    server:close()
    listener:close()
    heap:destroy()
  end)
end)

describe("a block that an operation uses", function()
  it("is not freed, taken or resized before it ended (44)", function()
    local port, heap = new_port(), iocp.Heap()
    local client, server = sockets.connection(port)
    local block = heap:alloc(100)
    assert.is_true(server:receive(block, 50))
    for name, call in pairs {
      free = function() return heap:free(block) end, take = function() return heap:take(block) end,
      grow = function() return heap:realloc(block, 200) end, shrink = function() return heap:realloc(block, 10) end } do
      local done, message, code = call()
      assert.is_nil(done, name)
      assert.equal("INVALID", code)
      assert.matches("an operation uses this block", message, 1, true)
    end
    assert.equal(100, heap:size(block))
    assert.is_true(heap:validate(block))
    assert.is_string(heap:read(block))
    assert.is_true(client:send("x", 1))
    take_all(port, 2)
    assert.is_true(heap:free(block))
  end)

  it("may be sent any number of times at once, and is received into by one alone (44)", function()
    local port, heap = new_port(), iocp.Heap()
    local client, server = sockets.connection(port)
    local from, to = assert(heap:put(sockets.pattern(LARGE))), heap:alloc(100)
    for i = 1, 3 do
      assert.is_true(client:send(from, nil, i))
    end
    assert.equal("INVALID", select(3, client:receive(from)))
    assert.is_true(client:receive(to))
    assert.equal("INVALID", select(3, client:receive(to)))
    assert.equal("INVALID", select(3, server:send(to)))
    assert.equal("INVALID", select(3, heap:free(from)))
    assert.equal(4, client:cancel())
    local taken = take_all(port, 4)
    assert.same({ "ECANCELED", "ECANCELED", "ECANCELED" }, { taken[to].code, taken[2].code, taken[3].code })
    assert.is_true(heap:free(from))
    assert.is_true(heap:free(to))
  end)

  it("may be any heap's, which it keeps (44)", function()
    local port = new_port()
    local client, server = sockets.connection(port)
    local heap = iocp.Heap()
    local block, handle = heap:alloc(10), heap:handle()
    assert.is_true(server:receive(block))
    heap = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_true(client:send("x", 1))
    local taken = take_all(port, 2)
    assert.equal(1, taken[block].bytes)
    assert.is_true(support.eventually(function()
      return iocp.Heap.open(handle) == nil
    end))
    block = assert(iocp.Heap.process():alloc(10))
    assert.is_true(server:receive(block))
    assert.is_true(client:send("x", 1))
    take_all(port, 2)
    assert.is_true(iocp.Heap.process():free(block))
  end)

  it("ends the operation when its heap is destroyed (44)", function()
    local port, heap, other = new_port(), iocp.Heap(), iocp.Heap()
    local client, server = sockets.connection(port)
    local block, kept = heap:alloc(10), other:alloc(10)
    assert.is_true(server:receive(block))
    assert.is_true(client:receive(kept))
    assert.is_true(heap:destroy())
    local packet = take(port)
    assert.same({ block, "ECANCELED" }, { packet.overlapped, packet.code })
    none(port)
    assert.equal("INVALID", select(3, heap:size(block)))
    assert.equal("INVALID", select(3, server:receive(block)))
    assert.is_true(server:send("x", 1))
    assert.equal(1, take_all(port, 2)[kept].bytes)
  end)
end)

describe("a stream", function()
  it("has what was sent in the order of the calls, and whole (45)", function()
    local port, heap, its = new_port(), iocp.Heap(), new_port()
    local client, server = sockets.connection(port, its)
    local parts, n = {}, 200
    for i = 1, n do
      parts[i] = (("%05d "):format(i)):rep(i % 7 == 0 and 20000 or i)
      if i % 2 == 0 then
        assert.is_true(client:send(parts[i], i))
      else
        assert.is_true(client:send(heap:put(parts[i]), nil, i))
      end
    end
    assert.is_true(client:shutdown("write"))
    local text, code = sockets.drain(server, its, heap)
    assert.is_nil(code)
    assert.is_true(table.concat(parts) == text)
    local taken = take_all(port, n)
    for i = 1, n do
      assert.equal(#parts[i], taken[i].bytes)
    end
  end)

  it("fills what receives in the order of the calls (45)", function()
    local port, heap, its = new_port(), iocp.Heap(), new_port()
    local client, server = sockets.connection(port, its)
    local blocks, parts = {}, {}
    for i = 1, 50 do
      blocks[i] = heap:alloc(7)
      assert.is_true(server:receive(blocks[i]))
    end
    assert.is_true(client:send(sockets.pattern(350), 1))
    local taken = take_all(its, 50)
    for i = 1, 50 do
      parts[i] = heap:read(blocks[i], 0, taken[blocks[i]].bytes)
    end
    local text = table.concat(parts)
    assert.is_true(#text >= 50 and sockets.pattern(#text) == text)
  end)

  it("has no hole, whatever is cancelled (45)", function()
    local heap, random = iocp.Heap(), math.random
    for _ = 1, support.soaked(20) do
      local port, its = new_port(), new_port()
      local client, server = sockets.connection(port, its)
      local n, whole, sent = 30, {}, {}
      for i = 1, n do
        whole[i] = (("%02d"):format(i)):rep(random(200000))
        assert.is_true(client:send(heap:put(whole[i]), nil, i))
      end
      local cancelled = random(n)
      assert.is_true(client:cancel(cancelled) <= 1)
      client:close()
      local taken, ended = take_all(port, n)
      for i = 1, n do
        sent[i] = whole[i]:sub(1, taken[i].bytes)
        assert.is_true(not ended or taken[i].bytes == 0 and taken[i].code ~= nil, "sent behind one that failed")
        -- One that was cancelled before any of it went out is as if it had not been.
        ended = ended or taken[i].code and taken[i].bytes > 0
      end
      local text = sockets.drain(server, its, heap)
      local expected = table.concat(sent)
      -- A close drops what is unsent, and the system may have taken more than the peer gets when that is a reset.
      assert.is_true(expected:sub(1, #text) == text, "a hole")
    end
    heap:destroy()
  end)

  it("takes nothing more once a send has not gone out whole (45)", function()
    local port, its, heap = new_port(), new_port(), iocp.Heap()
    local client, server = sockets.connection(port, its)
    assert.is_true(client:send(heap:put(sockets.pattern(LARGE)), nil, 1))
    assert.is_true(client:send("behind", 2))
    iocp.sleep(20)
    assert.equal(1, client:cancel(1))
    local taken = take_all(port, 2)
    assert.same({ "ECANCELED", "ECANCELED", 0 }, { taken[1].code, taken[2].code, taken[2].bytes })
    local started, _, code = client:send("late", 3)
    assert.is_truthy(started and (take(port)).code or code)
    client:close()
    assert.equal(taken[1].bytes, #(sockets.drain(server, its, heap)))
  end)

  it("tells who sent behind one that did not go out whole, though the peer never reads (45)", function()
    local port, heap = new_port(), iocp.Heap()
    local one, two = assert(iocp.Socket.pair())
    assert.is_true(one:associate(port))
    assert.is_true(one:send(heap:put(("x"):rep(LARGE)), nil, 1))
    assert.is_true(one:send("behind", 2))
    iocp.sleep(20)
    assert.equal(1, one:cancel(1))
    local taken = take_all(port, 2)
    assert.same({ "ECANCELED", "ECANCELED", 0 }, { taken[1].code, taken[2].code, taken[2].bytes })
    one:close()
    two:close()
  end)

  it("is whole before its end: 0 bytes, again and again (45)", function()
    local port, its, heap = new_port(), new_port(), iocp.Heap()
    local client, server = sockets.connection(port, its)
    local text, block = sockets.pattern(300000), heap:alloc(10)
    assert.is_true(client:send(text, 1))
    assert.is_true(client:shutdown("write"))
    local received, code = sockets.drain(server, its, heap)
    assert.is_nil(code)
    assert.is_true(text == received)
    for _ = 1, 3 do
      assert.is_true(server:receive(block))
      assert.same({ key = number(server), bytes = 0, overlapped = block }, take(its))
    end
    -- The other half goes on.
    assert.is_true(server:send("answer", 2))
    take_all(port, 1)
    assert.is_true(client:receive(block))
    assert.equal(6, (take(port)).bytes)
    assert.equal("answer", heap:read(block, 0, 6))
    server:close()
    assert.is_true(client:receive(block))
    assert.equal(0, (take(port)).bytes)
  end)

  it("that is not read any more ends what waits for it with 0 bytes (45)", function()
    local port, heap = new_port(), iocp.Heap()
    local client, server = sockets.connection(port)
    local block, other = heap:alloc(10), heap:alloc(10)
    assert.is_true(server:receive(block))
    assert.is_true(server:receive(other))
    assert.is_true(server:shutdown("read"))
    local taken = take_all(port, 2)
    assert.same({ 0, 0, nil }, { taken[block].bytes, taken[other].bytes, taken[block].code })
    assert.is_true(server:send("x", 1))
    take_all(port, 1)
    assert.is_true(client:receive(block))
    assert.equal(1, (take(port)).bytes)
    assert.equal("ENOTCONN", select(3, assert(iocp.Socket()):shutdown()))
  end)

  it("whose reader never reads waits, and hinders nobody (45)", function()
    local port, heap = new_port(), iocp.Heap()
    local client, server = sockets.connection(port)
    local one, two = sockets.connection(port)
    local block, to = assert(heap:put(("x"):rep(LARGE))), heap:alloc(10)
    assert.is_true(client:send(block, nil, 1))
    none(port)
    for _ = 1, 100 do
      assert.is_true(two:receive(to))
      assert.is_true(one:send("x", 2))
      take_all(port, 2)
    end
    assert.equal("INVALID", select(3, heap:free(block)))
    client:close()
    assert.equal("ECANCELED", (take(port)).code)
    assert.is_true(heap:free(block))
    server:close()
  end)
end)

describe("a peer that resets", function()
  it("ends what receives, and what receives later (43)", function()
    local port, heap, its = new_port(), iocp.Heap(), new_port()
    local client, server = sockets.connection(port, its)
    local block = heap:alloc(10)
    assert.is_true(client:receive(block))
    reset(server)
    local packet = take(port)
    assert.same({ number(client), 0, block, "ECONNRESET" },
      { packet.key, packet.bytes, packet.overlapped, packet.code })
    local started, _, code = client:receive(block)
    if started then
      packet = take(port)
      assert.is_true(packet.bytes == 0)
    else
      assert.is_string(code)
    end
    assert.is_true(heap:free(block))
  end)

  it("is never taken for the stream's end, whichever operation met it first (43)", function()
    local port, heap, its = new_port(), iocp.Heap(), new_port()
    local client, server = sockets.connection(port, its)
    local waiting, waited = sockets.connection(port, its)
    for i = 1, 3 do
      assert.is_true(waiting:receive(heap:alloc(10), nil, i))
    end
    reset(server)
    reset(waited)
    for _, packet in pairs(take_all(port, 3)) do
      assert.is_string(packet.code)
    end
    iocp.sleep(20)
    local started = client:send("x", 4)
    assert.is_true(not started or take(port).code ~= nil)
    for i = 5, 6 do
      started = client:receive(heap:alloc(10), nil, i)
      assert.is_true(not started or take(port).code ~= nil)
    end
  end)

  it("ends a send that waits, which says what went out (43)", function()
    local port, heap, its = new_port(), iocp.Heap(), new_port()
    local client, server = sockets.connection(port, its)
    assert.is_true(client:send(heap:put(("x"):rep(LARGE)), nil, 1))
    assert.is_true(client:send("behind", 2))
    iocp.sleep(20)
    reset(server)
    local taken = take_all(port, 2)
    assert.is_true(one_of(taken[1], "ECONNRESET", "EPIPE"))
    assert.is_true(taken[1].bytes > 0 and taken[1].bytes < LARGE)
    assert.same({ taken[1].code, 0 }, { taken[2].code, taken[2].bytes })
  end)

  it("while nothing is under way fails what comes next, and raises no signal (43, 50)", function()
    local port, its = new_port(), new_port()
    local client, server = sockets.connection(port, its)
    reset(server)
    iocp.sleep(20)
    for i = 1, 3 do
      local started, _, code = client:send("x", i)
      local packet = started and take(port) or { code = code }
      assert.is_true(one_of(packet, "ECONNRESET", "EPIPE"))
    end
  end)

  it("before it was accepted is accepted, and fails then, or is passed over (50)", function()
    local port, its, heap = new_port(), new_port(), iocp.Heap()
    local listener, host, inet_port = sockets.listener(port)
    local early, late = assert(iocp.Socket()), assert(iocp.Socket())
    assert.is_true(early:associate(its))
    assert.is_true(early:connect(host, inet_port))
    assert.is_nil((take(its)).code)
    reset(early)
    iocp.sleep(20)
    local first, block = assert(iocp.Socket()), heap:alloc(10)
    assert.is_true(listener:accept(first))
    assert.is_true(late:associate(its))
    assert.is_true(late:connect(host, inet_port))
    assert.is_nil((take(its)).code)
    local packet = assert(take(port))
    assert.same({ number(first), nil }, { packet.overlapped, packet.code })
    assert.is_true(late:send("x", 1))
    take_all(its, 1)
    assert.is_true(first:receive(block))
    packet = take(port)
    assert.is_true(packet.code == "ECONNRESET" or packet.bytes == 1)
  end)

  it("reaches who listens no more, who is refused, or reset (43)", function()
    local port, its = new_port(), new_port()
    local listener, host, inet_port = sockets.listener(port)
    local client, unused = assert(iocp.Socket()), assert(iocp.Socket())
    assert.is_true(listener:accept(unused))
    assert.is_true(listener:close())
    local packet = take(port)
    assert.same({ "ECANCELED", number(unused) }, { packet.code, packet.overlapped })
    assert.is_true(client:associate(its))
    assert.is_true(client:connect(host, inet_port))
    assert.equal("ECONNREFUSED", (take(its)).code)
  end)
end)

describe("cancel", function()
  it("asks those that have the overlapped, or all, and says how many; each sends its packet", function()
    local port, heap = new_port(), iocp.Heap()
    local client, server = sockets.connection(port)
    local blocks = {}
    for i = 1, 4 do
      blocks[i] = heap:alloc(10)
    end
    server:receive(blocks[1], nil, 1)
    server:receive(blocks[2], nil, 2)
    server:receive(blocks[3], nil, 2)
    server:receive(blocks[4], nil, 0)
    server:ready("read", 5)
    assert.equal(0, server:cancel(9))
    assert.equal(0, client:cancel())
    assert.equal(2, server:cancel(2))
    for _ = 1, 2 do
      local packet = take(port)
      assert.same({ "ECANCELED", 0, 2 }, { packet.code, packet.bytes, packet.overlapped })
    end
    assert.equal(1, server:cancel(0))
    assert.is_nil((take(port)).overlapped)
    assert.equal(2, server:cancel())
    assert.same({ "ECANCELED", "ECANCELED" }, (function(taken)
      return { taken[1].code, taken[5].code }
    end)(take_all(port, 2)))
    assert.equal(0, server:cancel())
    none(port)
    -- What was there is not lost.
    assert.is_true(client:send("x", 1))
    assert.is_true(server:receive(blocks[1]))
    assert.equal(1, take_all(port, 2)[blocks[1]].bytes)
    server:close()
    assert.equal(0, server:cancel())
  end)

  it("ends connects and accepts", function()
    local port = new_port()
    local listener = sockets.listener(port)
    local client = assert(iocp.Socket())
    assert.is_true(listener:accept(client, 1))
    assert.equal(1, listener:cancel(1))
    assert.equal("ECANCELED", (take(port)).code)
    local socket = assert(iocp.Socket())
    assert.is_true(socket:associate(port))
    local started, _, code = socket:connect("192.0.2.1", 9, 2) -- an address that nobody has
    if started then
      socket:cancel(2)
      assert.is_string((take(port)).code) -- ECANCELED, or what the system knew at once
    else
      assert.is_string(code)
    end
    none(port)
  end)
end)

describe("a connect that was cancelled", function()
  it("is not what the next one comes to", function()
    local port, its = new_port(), new_port()
    local one, host, first = sockets.listener(its, "inet", 1)
    local two, _, second = sockets.listener(its)
    local crowd, cancelled = {}, 0
    for i = 1, 4 do -- who comes after them has to wait, since nobody accepts
      crowd[i] = assert(iocp.Socket())
      assert.is_true(crowd[i]:associate(its))
      assert.is_true(crowd[i]:connect(host, first))
    end
    for _ = 1, support.scaled(20) do
      local client = assert(iocp.Socket())
      assert.is_true(client:associate(port))
      assert.is_true(client:connect(host, first, 1))
      cancelled = cancelled + client:cancel(1)
      if (take(port)).code and client:connect(host, second, 2) then
        assert.is_truthy((take(port)).code or select(2, client:peer()) == second, "it is connected to the first")
      end
      client:close()
    end
    assert.is_true(support.windows or cancelled > 0, "none was under way: this shows nothing")
    for _, each in ipairs(crowd) do
      each:close()
    end
    one:close()
    two:close()
  end)

  it("by its socket's close leaves that closed", function()
    local port = new_port()
    local _, host, inet_port = sockets.listener(new_port())
    local client = assert(iocp.Socket())
    assert.is_true(client:associate(port))
    assert.is_true(client:connect(host, inet_port))
    assert.is_true(client:close())
    assert.equal("INVALID", select(3, client:close()))
    assert.equal("INVALID", select(3, client:send("x")))
    assert.equal("INVALID", select(3, client:option("nodelay")))
  end)
end)

describe("a handle", function()
  it("of a closed socket is refused for ever, though its descriptor is given anew (49)", function()
    local port, seen, native, natives = new_port(), {}, {}, 0
    for _ = 1, support.scaled(2000) do
      local socket = assert(iocp.Socket())
      assert.is_true(socket:associate(port))
      natives = natives + (native[socket:native()] and 0 or 1)
      native[socket:native()] = true
      seen[#seen + 1] = number(socket)
      assert.is_true(socket:close())
    end
    for _, handle in ipairs(seen) do
      assert.is_nil((iocp.Socket.open(handle)))
    end
    if not support.windows then
      assert.is_true(natives < #seen / 2, "the descriptors differ: this shows nothing")
    end
  end)

  it("is what events are for, not the descriptor's number (49)", function()
    local heap, port = iocp.Heap(), new_port()
    for _ = 1, support.scaled(200) do
      local client, server = sockets.connection(port)
      local block = heap:alloc(10)
      assert.is_true(server:receive(block))
      assert.is_true(client:send("x", 1))
      assert.is_true(server:close()) -- with an event under way
      local again, other = sockets.connection(new_port(), new_port()) -- which have its number
      local taken = take_all(port, 2)
      assert.is_true(taken[block].bytes == 1 or taken[block].code == "ECANCELED")
      none(port, 0)
      again:close()
      other:close()
      client:close()
      collectgarbage() -- each round has a port of its own, whose descriptors are few on some systems
    end
  end)
end)
