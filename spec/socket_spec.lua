-- iocp.Socket: operations and their packets. In brackets: the rule that a spec shows.
local iocp = require "iocp"
local support = require "support"
local sockets = require "support.sockets"
local number, take, take_all, none = sockets.number, sockets.take, sockets.take_all, sockets.none

local LARGE = 8 * 1024 * 1024 -- more than a connection's buffers take

local function new_port()
  return assert(iocp.IOCompletionPort())
end

--- A block of the heap with the text, and its size.
local function block_of(heap, text)
  return (assert(heap:put(text)))
end

describe("a socket", function()
  it("says what it is, and where", function()
    local port, listener = new_port(), assert(iocp.Socket("inet", "stream"))
    assert.matches("^iocp%.Socket: 0x%x+ %(unbound%)$", tostring(listener))
    assert.is_true(listener:bind("127.0.0.1", 0))
    local host, inet_port = listener:address()
    assert.equal("127.0.0.1", host)
    assert.is_true(inet_port > 0 and inet_port < 65536)
    assert.matches(("(bound to 127.0.0.1:%d)"):format(inet_port), tostring(listener), 1, true)
    assert.equal("ENOTCONN", select(3, listener:peer()))
    local client, server = sockets.connection(port)
    local _, own = client:address()
    assert.same({ "127.0.0.1", own }, { server:peer() })
    assert.same({ server:address() }, { client:peer() })
    assert.matches(("(connected from 127.0.0.1:%d to 127.0.0.1:"):format(own), tostring(client), 1, true)
    assert.is_true(client:close())
    assert.matches("(closed)", tostring(client), 1, true)
    assert.equal("INVALID", select(3, client:address()))
    assert.same({ nil, "the socket is closed", "INVALID" }, { client:close() })
  end)

  it("is the same userdata for the same socket, however it is found", function()
    local socket = assert(iocp.Socket())
    local native, handle = socket:native(), socket:handle()
    assert.is_true(rawequal(socket, iocp.Socket.open(handle)))
    assert.is_true(rawequal(socket, iocp.Socket.open(tonumber(handle))))
    assert.is_true(rawequal(socket, iocp.Socket.adopt(native)))
    assert.is_true(socket ~= iocp.Socket())
    socket:close()
    assert.equal("INVALID", select(3, iocp.Socket.open(handle)))
    assert.equal("INVALID", select(3, socket:native()))
    getmetatable(iocp.Socket()).__gc(socket)
    assert.is_nil(iocp.Socket.open(handle))
  end)

  it("closes at the end of its scope", function()
    local socket = assert(iocp.Socket())
    getmetatable(socket).__close(socket)
    assert.equal("INVALID", select(3, socket:native()))
  end)

  it("is bound to no address that is not one, or not this machine's, or in use", function()
    local first, second = assert(iocp.Socket()), assert(iocp.Socket())
    for _, host in ipairs { "", "localhost", "127.0.0.1 ", "256.0.0.1", "::1" } do
      assert.is_true(({ EINVAL = true, EAFNOSUPPORT = true })[select(3, first:bind(host, 0))], host)
    end
    assert.equal("EADDRNOTAVAIL", select(3, first:bind("192.0.2.1", 0)))
    assert.is_true(first:bind("*"))
    local _, inet_port = first:address()
    assert.is_true(first:listen())
    assert.equal("EADDRINUSE", select(3, second:bind(nil, inet_port)))
  end)

  it("says which argument is wrong", function()
    local socket, port, file = assert(iocp.Socket()), new_port(), io.tmpfile()
    file:close()
    for _, case in ipairs {
      { "family: expected \"inet\", \"inet6\", \"unix\" or nil", iocp.Socket, "ipx" },
      { "type: expected \"stream\", \"datagram\" or nil", iocp.Socket, "inet", 1 },
      { "port: expected iocp.IOCompletionPort", socket.associate, socket, 1 },
      { "key: expected an address or integer", socket.associate, socket, port, -1 },
      { "host: expected digits", socket.bind, socket, 1 },
      { "host: expected digits", socket.bind, socket, "127.0.0.1\0", 1 },
      { "port: expected an integer from 0 to 65535", socket.bind, socket, "*", 65536 },
      { "backlog: expected an integer", socket.listen, socket, -1 },
      { "host: expected digits", socket.connect, socket, nil, 1 },
      { "port: expected an integer from 0 to 65535", socket.connect, socket, "127.0.0.1", "http" },
      { "client: expected iocp.Socket", socket.accept, socket, port },
      { "port: expected iocp.IOCompletionPort", socket.accept, socket, socket, nil, true },
      { "overlapped: expected an address, nil, or false", socket.accept, socket, socket, true },
      { "address: expected an address", socket.receive, socket, "x" },
      { "size: expected bytes, an integer from 1 to 2147483646", socket.receive, socket, 1, 0 },
      { "size: expected bytes, an integer from 1 to 2147483646", socket.receive, socket, 1, 2 ^ 31 - 1 },
      { "at: expected an integer", socket.receive, socket, 1, 1, nil, -1 },
      { "data: expected a string, or the address of a block", socket.send, socket, {} },
      { "overlapped: expected an address", socket.send, socket, "x", "y" },
      { "size: expected bytes, an integer from 1 to 2147483646", socket.send, socket, 1, 0.5 },
      { "size: expected bytes, an integer from 0 to 65535", socket.receive_from, socket, 1, 65536 },
      { "size: expected bytes, an integer from 0 to 65535", socket.send_to, socket, 1, -1 },
      { "file: expected an open file, or a descriptor", socket.send_file, socket, file, 0, 1 },
      { "file: expected an open file, or a descriptor", socket.send_file, socket, "x", 0, 1 },
      { "offset: expected an integer", socket.send_file, socket, 1, -1, 1 },
      { "size: expected bytes, an integer from 1", socket.send_file, socket, 1, 0 },
      { "side: expected \"read\" or \"write\"", socket.ready, socket },
      { "side: expected \"read\", \"write\", or nil for both", socket.shutdown, socket, "both" },
      { "overlapped: expected an address", socket.cancel, socket, "x" },
      { "any address but iocp.MESSAGE", socket.ready, socket, "read", iocp.MESSAGE },
      { "name: expected nodelay, keepalive", socket.option, socket, "speed" },
      { "nodelay: expected true or false", socket.option, socket, "nodelay", 1 },
      { "linger: expected seconds, an integer from 0 to 65535, or false", socket.option, socket, "linger", true },
      { "keepalive: expected seconds, an integer from 1 to 32767", socket.option, socket, "keepalive", 0 },
      { "sndbuf: expected bytes, an integer from 1", socket.option, socket, "sndbuf", false },
      { "group: expected a multicast group's address", socket.option, socket, "join" },
      { "through: expected an interface", socket.option, socket, "leave", "239.1.2.3", true },
      { "native: expected an address", iocp.Socket.adopt, "x" },
      { "self: expected iocp.Socket", socket.close, port },
    } do
      local ok, message = pcall(case[2], case[3], case[4], case[5], case[6], case[7])
      assert.is_false(ok, case[1])
      assert.matches(case[1], message, 1, true)
    end
    none(port, 0)
  end)

  it("has options, which say what they are set to", function()
    local socket = assert(iocp.Socket())
    for _, name in ipairs { "nodelay", "reuseaddr" } do
      assert.is_false(socket:option(name))
      assert.is_true(socket:option(name, true))
      assert.is_true(support.windows and name == "reuseaddr" or socket:option(name))
      assert.is_true(socket:option(name, false))
      assert.is_false(socket:option(name))
    end
    assert.is_false(socket:option("linger"))
    assert.is_true(socket:option("linger", 0))
    assert.equal(0, socket:option("linger"))
    assert.is_true(socket:option("linger", 7))
    assert.equal(7, socket:option("linger"))
    assert.is_true(socket:option("linger", false))
    assert.is_false(socket:option("linger"))
    assert.is_false(socket:option("keepalive"))
    assert.is_true(socket:option("keepalive", 60))
    assert.equal(60, socket:option("keepalive"))
    assert.is_true(socket:option("keepalive", false))
    assert.is_false(socket:option("keepalive"))
    for _, name in ipairs { "sndbuf", "rcvbuf" } do
      assert.is_true(socket:option(name, 65536))
      assert.is_true(socket:option(name) >= 65536) -- Linux doubles it
    end
    local datagram, inet6 = assert(iocp.Socket("inet", "datagram")), assert(iocp.Socket("inet6"))
    assert.is_false(datagram:option("broadcast"))
    assert.is_true(datagram:option("broadcast", true))
    assert.is_true(datagram:option("broadcast"))
    assert.is_false(inet6:option("v6only"))
    assert.is_true(inet6:option("v6only", true))
    assert.is_true(inet6:option("v6only"))
    if support.windows then
      assert.equal("ENOPROTOOPT", select(3, socket:option("reuseport", true)))
    else
      assert.is_true(socket:option("reuseport", true))
      assert.is_true(socket:option("reuseport"))
    end
    socket:close()
    assert.equal("INVALID", select(3, socket:option("nodelay")))
    assert.equal("INVALID", select(3, socket:option("nodelay", true)))
  end)

  it("joins multicast groups, and leaves them", function()
    local socket = assert(iocp.Socket("inet", "datagram"))
    assert.is_true(socket:bind("*", 0))
    assert.is_true(socket:option("join", "239.1.2.3", "127.0.0.1"))
    assert.is_true(socket:option("leave", "239.1.2.3", "127.0.0.1"))
    assert.equal("EADDRNOTAVAIL", select(3, socket:option("leave", "239.1.2.3", "127.0.0.1")))
    assert.is_nil((socket:option("join", "127.0.0.1", "127.0.0.1")))
    assert.equal("EINVAL", select(3, socket:option("join", "everybody")))
  end)

  for _, family in ipairs { "inet", "inet6" } do
    it("connects, and is accepted, over " .. family, function()
      local port, heap = new_port(), iocp.Heap()
      local client, server = sockets.connection(port, nil, family)
      local block = heap:alloc(100)
      assert.is_true(server:receive(block))
      assert.is_true(client:send("hello"))
      local taken = take_all(port, 2)
      assert.same({ key = number(client), bytes = 5 }, taken[number(client)])
      assert.same({ key = number(server), bytes = 5, overlapped = block }, taken[block])
      assert.equal("hello", heap:read(block, 0, 5))
      none(port)
    end)
  end

  it("of inet6 takes inet's peers too", function()
    local port, listener = new_port(), assert(iocp.Socket("inet6"))
    assert.is_true(listener:bind("*", 0))
    assert.is_true(listener:listen())
    assert.is_true(listener:associate(port))
    local client, server = assert(iocp.Socket()), assert(iocp.Socket("inet6"))
    assert.is_true(client:associate(port))
    assert.is_true(listener:accept(server))
    assert.is_true(client:connect("127.0.0.1", (select(2, listener:address()))))
    take_all(port, 2)
    assert.equal("::ffff:127.0.0.1", (server:peer()))
  end)

  it("comes in pairs, which are connected", function()
    local port, heap = new_port(), iocp.Heap()
    local a, b = assert(iocp.Socket.pair())
    assert.is_true(a:associate(port, 1))
    assert.is_true(b:associate(port, 2))
    local block = heap:alloc(10)
    assert.is_true(b:receive(block))
    assert.is_true(a:send("ping", 77))
    local taken = take_all(port, 2)
    assert.same({ key = 1, bytes = 4, overlapped = 77 }, taken[77])
    assert.same({ key = 2, bytes = 4, overlapped = block }, taken[block])
    assert.is_true(b:receive(block))
    assert.is_true(a:close())
    assert.same({ key = 2, bytes = 0, overlapped = block }, take(port))
  end)

  it("sends parts of blocks, and receives into parts", function()
    local port, heap = new_port(), iocp.Heap()
    local client, server = sockets.connection(port)
    local from, to = block_of(heap, "0123456789"), heap:alloc(10, true)
    assert.is_true(client:send(from, 3, 1, 4))
    assert.is_true(server:receive(to, 4, 2, 5))
    local taken = take_all(port, 2)
    assert.same({ 3, 3 }, { taken[1].bytes, taken[2].bytes })
    assert.equal(("\0"):rep(5) .. "456\0\0", heap:read(to))
    assert.is_true(client:send(from, nil, 1, 8)) -- to the block's end
    assert.is_true(server:receive(to, nil, 2, 9))
    taken = take_all(port, 2)
    assert.same({ 2, 1 }, { taken[1].bytes, taken[2].bytes })
    for _, case in ipairs { { 11, 0 }, { 1, 10 }, { 10, 1 }, { 2 ^ 31 - 2, 0 }, { nil, 10 }, { nil, 11 },
      { 1, 2 ^ 52 } } do
      assert.equal("INVALID", select(3, client:send(from, case[1], nil, case[2])))
      assert.equal("INVALID", select(3, server:receive(to, case[1], nil, case[2])))
    end
    assert.is_true(server:receive(to))
    assert.equal(1, (take(port)).bytes)
    none(port)
  end)

  it("sends what a string holds, which may go at once, and nothing at all", function()
    local port, its = new_port(), new_port()
    local client, server = sockets.connection(port, its)
    assert.is_true(client:send(""))
    assert.same({ key = number(client), bytes = 0 }, take(port))
    local text = sockets.pattern(LARGE)
    assert.is_true(client:send(text, 5))
    text = nil -- luacheck: ignore
    collectgarbage()
    assert.is_true(client:shutdown("write"))
    assert.is_true(sockets.pattern(LARGE) == sockets.drain(server, its, iocp.Heap()))
    assert.same({ key = number(client), bytes = LARGE, overlapped = 5 }, take(port))
  end)
end)

describe("an operation", function()
  it("ends in one packet, whether it was done at once or not (42)", function()
    local port, heap = new_port(), iocp.Heap()
    local client, server = sockets.connection(port)
    local early, late = heap:alloc(10), heap:alloc(10)
    assert.is_true(server:receive(late)) -- before there is anything
    assert.is_true(client:send("x", 1))
    take_all(port, 2)
    assert.is_true(client:send("y", 1))
    assert.same({ key = number(client), bytes = 1, overlapped = 1 }, take(port))
    iocp.sleep(20)
    assert.is_true(server:receive(early)) -- when it is there
    assert.same({ key = number(server), bytes = 1, overlapped = early }, take(port))
    none(port)
  end)

  it("that was refused sends none (42)", function()
    local port, heap = new_port(), iocp.Heap()
    local socket, block = assert(iocp.Socket()), heap:alloc(10)
    for _, start in ipairs { function() return socket:receive(block) end, function() return socket:send("x") end,
      function() return socket:send(block) end, function() return socket:connect("127.0.0.1", 9) end,
      function() return socket:ready("read") end, function() return socket:accept(assert(iocp.Socket())) end } do
      local started, message, code = start()
      assert.is_nil(started)
      assert.equal("INVALID", code)
      assert.matches("the socket is not associated with a port", message, 1, true)
    end
    assert.is_true(socket:associate(port))
    assert.same({ nil, "the socket is associated already: that is for life", "INVALID" },
      { socket:associate(new_port()) })
    assert.equal("INVALID", select(3, socket:receive(block + 1)))
    assert.is_nil((socket:connect("nowhere", 9)))
    assert.is_true(heap:free(block))
    none(port)
  end)

  it("with false for its overlapped returns its bytes at once and sends no packet, or the usual one (42)", function()
    local port, heap = new_port(), iocp.Heap()
    local client, server = sockets.connection(port)
    local block = heap:alloc(10)
    assert.equal(5, client:send("hello", false))
    none(port)
    assert.is_true(support.eventually(function()
      local got = server:receive(block, 2, false)
      assert.is_truthy(got)
      if got == true then
        assert.is_true(server:cancel(block) <= 1)
        return (take(port)).bytes == 2
      end
      return got == 2
    end))
    none(port)
    assert.equal("he", heap:read(block, 0, 2))
    assert.equal(3, server:receive(block, nil, false))
    assert.is_true(server:receive(block, nil, false)) -- nothing is there
    assert.equal("INVALID", select(3, heap:free(block)))
    assert.equal(1, client:send("x", false))
    assert.same({ key = number(server), bytes = 1, overlapped = block }, take(port))
    assert.is_true(heap:free(block))
    none(port)
  end)

  it("has the usual overlapped if none is said, the one that is, or none (42)", function()
    local port, heap = new_port(), iocp.Heap()
    local client, server = sockets.connection(port)
    local from, to = block_of(heap, "x"), heap:alloc(10)
    for _, case in ipairs { { nil, from, nil, to }, { 1, 1, 2, 2 }, { 0, nil, 7, 7 }, { from, from, 0, nil } } do
      assert.is_true(client:send(from, nil, case[1]))
      assert.same({ key = number(client), bytes = 1, overlapped = case[2] }, take(port))
      assert.is_true(server:receive(to, nil, case[3]))
      assert.same({ key = number(server), bytes = 1, overlapped = case[4] }, take(port))
    end
  end)

  it("under which the socket is closed ends in its packet (42)", function()
    local port, heap = new_port(), iocp.Heap()
    local client, server = sockets.connection(port)
    local block = heap:alloc(10)
    assert.is_true(server:receive(block))
    assert.is_true(server:ready("read", 5))
    assert.is_true(server:close())
    local taken = take_all(port, 2)
    assert.same({ key = taken[block].key, bytes = 0, overlapped = block, code = "ECANCELED" }, taken[block])
    assert.equal("ECANCELED", taken[5].code)
    assert.is_true(heap:free(block))
    assert.equal("INVALID", select(3, server:receive(block)))
    none(port)
    client:close()
  end)

  it("sends none after its port was closed, and frees what it holds (42, 48)", function()
    local port, heap, other = new_port(), iocp.Heap(), new_port()
    local client, server = sockets.connection(other, port)
    local block = heap:alloc(10)
    assert.is_true(server:receive(block))
    port:close()
    assert.is_true(support.eventually(function()
      return (heap:free(block))
    end))
    block = heap:alloc(10)
    assert.equal("CLOSED", select(3, server:receive(block)))
    assert.is_true(heap:free(block))
    assert.is_true(server:close())
    assert.same({ "", nil }, { sockets.drain(client, other, heap) })
  end)
end)

describe("an association", function()
  it("keeps the socket open until its close, also when nobody has it (42)", function()
    local port, heap = new_port(), iocp.Heap()
    local client, server = sockets.connection(port)
    local block, key = heap:alloc(10), number(server)
    server:receive(block)
    server = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_true(client:send("still there", 1))
    local taken = take_all(port, 2)
    assert.same({ key = key, bytes = 10, overlapped = block }, taken[block])
    local found = assert(iocp.Socket.open(key))
    assert.is_true(found:close())
    assert.equal("INVALID", select(3, iocp.Socket.open(key)))
  end)

  it("keeps it until its port closes, after which it can only be closed (42)", function()
    local port, other = new_port(), new_port()
    local client, held = sockets.connection(other, port)
    local abandoned = number((sockets.connection(port, other)))
    collectgarbage()
    collectgarbage()
    assert.is_true(iocp.Socket.open(abandoned) ~= nil)
    collectgarbage()
    port:close()
    collectgarbage()
    collectgarbage()
    assert.is_true(support.eventually(function()
      return iocp.Socket.open(abandoned) == nil
    end))
    assert.equal("CLOSED", select(3, held:send("x")))
    assert.equal("CLOSED", select(3, held:ready("read")))
    assert.equal("INVALID", select(3, held:associate(other)))
    assert.is_true(held:close())
    client:close()
  end)

  it("is not to be had with a port that is closed, be it the first of that or not", function()
    local port, used = new_port(), new_port()
    local socket, first = assert(iocp.Socket()), assert(iocp.Socket())
    assert.is_true(first:associate(used))
    port:close()
    used:close()
    assert.equal("CLOSED", select(3, socket:associate(port)))
    assert.equal("CLOSED", select(3, socket:associate(used)))
    local other = new_port()
    assert.equal("CLOSED", select(3, sockets.listener(other):accept(assert(iocp.Socket()), nil, port)))
    assert.is_true(socket:associate(other))
  end)

  it("is what keeps it: one that has none closes with its last reference (42)", function()
    local socket = assert(iocp.Socket())
    local key = number(socket)
    assert.is_true(iocp.Socket.open(key) == socket)
    socket = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_nil((iocp.Socket.open(key)))
  end)

  it("of a client that was accepted is with the listener's port, another, or none yet (42)", function()
    local port, other = new_port(), new_port()
    local listener, host, inet_port = sockets.listener(port)
    for _, case in ipairs { { nil, port }, { other, other }, { false } } do
      local client, server = assert(iocp.Socket()), assert(iocp.Socket())
      local key = number(server)
      client:associate(other)
      assert.is_true(listener:accept(server, nil, case[1]))
      server = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage() -- the operation has it, then the packet
      assert.is_true(client:connect(host, inet_port))
      assert.equal(number(client), (take(other)).key)
      assert.same({ key = number(listener), bytes = 0, overlapped = key }, take(port))
      collectgarbage()
      server = assert(iocp.Socket.open(key))
      if not case[2] then
        assert.equal("INVALID", select(3, server:send("x")))
        assert.is_true(server:associate(other, 99))
      end
      assert.is_true(server:send("x", 5))
      assert.same({ key = case[2] and key or 99, bytes = 1, overlapped = 5 }, take(case[2] or other))
      server:close()
      client:close()
    end
    none(port)
    none(other)
  end)

  it("is to come: a client is fresh, and given to one accept (42)", function()
    local port = new_port()
    local listener = sockets.listener(port)
    local client, bound, associated = assert(iocp.Socket()), assert(iocp.Socket()), assert(iocp.Socket())
    assert.is_true(bound:bind("127.0.0.1", 0))
    assert.is_true(associated:associate(port))
    for _, wrong in ipairs { bound, associated, listener, assert(iocp.Socket("inet", "datagram")) } do
      assert.equal("INVALID", select(3, listener:accept(wrong)))
    end
    for _ = 1, 2 do -- also again, after it has come to nothing
      assert.is_number(client:native())
      assert.is_true(client:option("nodelay", true))
      assert.matches("unbound", tostring(client), 1, true)
      assert.is_true(listener:accept(client))
      assert.equal("INVALID", select(3, listener:accept(client)))
      assert.equal(1, listener:cancel())
      assert.equal("ECANCELED", (take(port)).code)
    end
    none(port)
    assert.is_true(listener:accept(client))
    local other = assert(iocp.Socket())
    assert.is_true(other:associate(port))
    assert.is_true(other:connect(listener:address()))
    take_all(port, 2)
    assert.same({ listener:address() }, { client:address() })
  end)
end)
