--- What luasocket's manual says of tcp, udp, dns, select and its functions, as checks that run on luasocket itself and
-- on what stands in for it: a list of { name, f(socket) }, where f raises if it does not hold.
local checks = {}

local function check(name, f)
  checks[#checks + 1] = { name, f }
end

local function equal(expected, value, what)
  if expected ~= value then
    error(("%s: expected %s, got %s"):format(what or "value", tostring(expected), tostring(value)), 2)
  end
end

--- Asserts all of f(...)'s results.
local function results(expected, ...)
  local got = { n = select("#", ...), ... }
  for i = 1, math.max(#expected, got.n) do
    if expected[i] ~= got[i] then
      error(("result %d: expected %s, got %s"):format(i, tostring(expected[i]), tostring(got[i])), 2)
    end
  end
end

local function raises(pattern, f, ...)
  local ok, message = pcall(f, ...)
  if ok or not tostring(message):find(pattern) then
    error(("expected an error with '%s', got %s"):format(pattern, ok and "none" or tostring(message)), 2)
  end
end

--- A server, and where.
local function serve(socket)
  local server = assert(socket.tcp4())
  assert(server:setoption("reuseaddr", true))
  assert(server:bind("127.0.0.1", 0))
  assert(server:listen())
  server:settimeout(10)
  return server, server:getsockname()
end

--- Calls f(client, peer) with two that are connected.
local function connected(f)
  return function(socket)
    local server, host, port = serve(socket)
    local client = assert(socket.connect(host, port))
    local peer = assert(server:accept())
    client:settimeout(10)
    peer:settimeout(10)
    f(client, peer, socket)
    client:close()
    peer:close()
    server:close()
  end
end

-- ---- receiving ------------------------------------------------------------------------------------------------------

check("receive gives a line by default, without its end", connected(function(client, peer)
  client:send("one\r\ntwo\n")
  results({ "one" }, peer:receive())
  results({ "two" }, peer:receive("*l"))
end))

check("receive drops each CR of a line", connected(function(client, peer)
  client:send("a\rb\r\r\n")
  results({ "ab" }, peer:receive("*l"))
end))

check("an empty line is an empty string", connected(function(client, peer)
  client:send("\n\r\n")
  results({ "" }, peer:receive())
  results({ "" }, peer:receive())
end))

check("receive(n) gives as many bytes", connected(function(client, peer)
  client:send("123456")
  results({ "123" }, peer:receive(3))
  results({ "456" }, peer:receive("3"))
end))

check("receive('*a') gives all until the end", connected(function(client, peer)
  client:send("all\nof it")
  client:close()
  results({ "all\nof it" }, peer:receive("*a"))
end))

check("receive('*a') at the end is closed, with an empty part", connected(function(client, peer)
  client:close()
  results({ nil, "closed", "" }, peer:receive("*a"))
  results({ nil, "closed", "" }, peer:receive("*a"))
end))

check("a half line at the end is closed, with the part", connected(function(client, peer)
  client:send("half")
  client:close()
  results({ nil, "closed", "half" }, peer:receive("*l"))
  results({ nil, "closed", "" }, peer:receive("*l"))
end))

check("fewer bytes at the end are closed, with the part", connected(function(client, peer)
  client:send("12")
  client:close()
  results({ nil, "closed", "12" }, peer:receive(3))
end))

check("what was received until a time-out is the part, and gone", connected(function(client, peer)
  client:send("half")
  peer:settimeout(0.05)
  results({ nil, "timeout", "half" }, peer:receive("*l"))
  results({ nil, "timeout", "" }, peer:receive("*l"))
  client:send(" line\n")
  peer:settimeout(10)
  results({ " line" }, peer:receive("*l"))
end))

check("a prefix stands before what is received", connected(function(client, peer)
  client:send("line\nabcdef")
  results({ "the line" }, peer:receive("*l", "the "))
  results({ "__abc" }, peer:receive(5, "__"))
  client:close()
  results({ ">def" }, peer:receive("*a", ">"))
end))

check("a prefix that is as long as what is asked for is it", connected(function(_, peer)
  results({ "abc" }, peer:receive(3, "abc"))
  results({ "abcd" }, peer:receive(3, "abcd"))
end))

check("a part stands behind the prefix", connected(function(client, peer)
  client:send("x")
  peer:settimeout(0.05)
  results({ nil, "timeout", "abx" }, peer:receive(5, "ab"))
end))

check("receive(0) waits for something, and takes nothing", connected(function(client, peer)
  peer:settimeout(0.05)
  results({ nil, "timeout", "" }, peer:receive(0))
  client:send("x")
  peer:settimeout(10)
  results({ "" }, peer:receive(0))
  results({ "x" }, peer:receive(1))
end))

check("a wrong pattern is an error", connected(function(_, peer)
  raises("invalid receive pattern", peer.receive, peer, "*x")
  raises("invalid receive pattern", peer.receive, peer, -1)
end))

check("zeros and all other bytes come as they are", connected(function(client, peer)
  local bytes = {}
  for i = 0, 255 do
    bytes[#bytes + 1] = string.char(i)
  end
  local text = table.concat(bytes)
  client:send(text)
  results({ text }, peer:receive(256))
end))

check("a megabyte comes whole", connected(function(client, peer)
  local text = ("0123456789abcdef"):rep(4096)
  for _ = 1, 16 do
    client:settimeout(0.01)
    local at = 1
    while at <= #text do
      local last, failure, part = client:send(text, at)
      assert(last or failure == "timeout", failure)
      at = (last or part) + 1
      if at <= #text then
        peer:settimeout(0)
        peer:receive(0)
      end
    end
    peer:settimeout(10)
    results({ text }, peer:receive(#text))
  end
end))

check("dirty says whether something was read and not asked for", connected(function(client, peer)
  equal(false, peer:dirty())
  client:send("two\nlines\n")
  peer:receive()
  equal(true, peer:dirty())
  peer:receive()
  equal(false, peer:dirty())
end))

-- ---- sending --------------------------------------------------------------------------------------------------------

check("send gives the index of the last byte", connected(function(client)
  results({ 5 }, client:send("hello"))
end))

check("send takes a range", connected(function(client, peer)
  results({ 4 }, client:send("hello", 2, 4))
  results({ "ell" }, peer:receive(3))
  results({ 5 }, client:send("hello", -2))
  results({ "lo" }, peer:receive(2))
  results({ 4 }, client:send("hello", 1, -2))
  results({ "hell" }, peer:receive(4))
end))

check("an empty range sends nothing", connected(function(client, peer)
  results({ 2 }, client:send("hello", 3, 2))
  results({ 0 }, client:send(""))
  client:send("x")
  results({ "x" }, peer:receive(1))
end))

check("numbers are strings", connected(function(client, peer)
  results({ 2 }, client:send(42))
  results({ "42" }, peer:receive(2))
end))

check("nothing to send is an error", connected(function(client)
  raises("string expected", client.send, client)
end))

check("a reader that does not read is a time-out, with what was sent", connected(function(client, peer)
  client:settimeout(0.05)
  local text, sent = ("x"):rep(1000000), 0
  local last, failure, part
  repeat
    last, failure, part = client:send(text)
    sent = sent + (last or part)
  until not last
  equal("timeout", failure)
  assert(part >= 0 and part < #text)
  local got = 0
  client:settimeout(10)
  while got < sent do
    got = got + #assert(peer:receive(math.min(sent - got, 65536)))
  end
  client:send("end")
  results({ "end" }, peer:receive(3))
end))

check("a send behind the peer's end is closed, at last", connected(function(client, peer)
  peer:close()
  local last, failure
  repeat
    last, failure = client:send(("x"):rep(10000))
  until not last
  equal("closed", failure)
end))

check("shutdown('send') is the peer's end, and it can answer", connected(function(client, peer)
  client:send("request")
  results({ 1 }, client:shutdown("send"))
  results({ "request" }, peer:receive("*a"))
  peer:send("answer")
  peer:close()
  results({ "answer" }, client:receive("*a"))
end))

check("shutdown takes receive, send and both", connected(function(client)
  raises("invalid option", client.shutdown, client, "all")
  results({ 1 }, client:shutdown())
end))

-- ---- objects --------------------------------------------------------------------------------------------------------

check("objects say of which class they are", connected(function(client, peer, socket)
  local server = serve(socket)
  assert(tostring(client):find("^tcp{client}: ") and tostring(peer):find("^tcp{client}: "))
  assert(tostring(server):find("^tcp{server}: ") and tostring(socket.tcp()):find("^tcp{master}: "))
  assert(tostring(socket.udp()):find("^udp{unconnected}: "))
  server:close()
end))

check("a method of another class is an error", function(socket)
  local master = socket.tcp()
  raises("tcp{client} expected", master.send, master, "x")
  raises("tcp{client} expected", master.receive, master)
  raises("tcp{server} expected", master.accept, master)
  raises("tcp{any} expected", master.close, {})
  local udp = socket.udp()
  raises("udp{connected} expected", udp.send, udp, "x")
  raises("tcp{any} expected", master.close, udp)
end)

check("close gives 1, again and again", connected(function(client)
  results({ 1 }, client:close())
  results({ 1 }, client:close())
end))

check("a closed object is closed", connected(function(client)
  client:close()
  results({ nil, "closed", "" }, client:receive())
  results({ nil, "closed", 0 }, client:send("x"))
  equal(-1, client:getfd())
end))

check("getsockname and getpeername agree", connected(function(client, peer)
  local host, port, family = client:getsockname()
  equal("127.0.0.1", host)
  equal("inet", family)
  local peer_host, peer_port = peer:getpeername()
  equal(host, peer_host)
  equal(tonumber(port), tonumber(peer_port)) -- luasocket 3.1 has texts, later ones have numbers
end))

check("a master has no peer", function(socket)
  local master = socket.tcp4()
  local host, failure = master:getpeername()
  equal(nil, host)
  equal("string", type(failure))
  master:close()
end)

check("getfamily says inet4 or inet6", function(socket)
  equal("inet4", socket.tcp4():getfamily())
  equal("inet6", socket.tcp6():getfamily())
  equal("inet4", socket.udp4():getfamily())
  equal("inet6", socket.udp6():getfamily())
end)

check("getstats counts bytes and seconds, setstats sets them", connected(function(client, peer)
  client:send("hello\n")
  peer:receive()
  local received, sent, age = peer:getstats()
  equal(6, received)
  equal(0, sent)
  assert(age >= 0 and age < 60)
  equal(6, select(2, client:getstats()))
  results({ 1 }, client:setstats(1, 2, 100))
  received, sent, age = client:getstats()
  equal(1, received)
  equal(2, sent)
  assert(age >= 100 and age < 160)
end))

check("getfd is a number", connected(function(client)
  equal("number", type(client:getfd()))
  assert(client:getfd() >= 0)
end))

-- ---- time -----------------------------------------------------------------------------------------------------------

check("settimeout gives 1, gettimeout both of them", function(socket)
  local master = socket.tcp()
  results({ -1, -1 }, master:gettimeout())
  results({ 1 }, master:settimeout(2))
  results({ 1 }, master:settimeout(3, "t"))
  results({ 2, 3 }, master:gettimeout())
  master:settimeout(nil)
  master:settimeout(4, "r")
  results({ -1, 4 }, master:gettimeout())
  raises("invalid timeout mode", master.settimeout, master, 1, "x")
end)

check("a time of 0 does not wait", connected(function(client, peer)
  client:settimeout(0)
  results({ nil, "timeout", "" }, client:receive())
  peer:send("x")
  peer:send("y\n")
  client:settimeout(10)
  results({ "xy" }, client:receive())
end))

check("a negative time waits", connected(function(client, peer)
  client:settimeout(-1)
  peer:send("x\n")
  results({ "x" }, client:receive())
end))

check("the total time ends an operation", connected(function(client)
  client:settimeout(10)
  client:settimeout(0.05, "t")
  results({ nil, "timeout", "" }, client:receive())
end))

check("accept times out", function(socket)
  local server = serve(socket)
  server:settimeout(0)
  results({ nil, "timeout" }, server:accept())
  server:settimeout(0.05)
  results({ nil, "timeout" }, server:accept())
  server:close()
  results({ nil, "closed" }, server:accept())
end)

check("a client that comes after a time-out is accepted", function(socket)
  local server, host, port = serve(socket)
  server:settimeout(0.02)
  results({ nil, "timeout" }, server:accept())
  local client = assert(socket.connect(host, port))
  server:settimeout(10)
  local peer = assert(server:accept())
  peer:send("x\n")
  results({ "x" }, client:receive())
  client:close()
  peer:close()
  server:close()
end)

check("gettime goes on, sleep sleeps", function(socket)
  local before = socket.gettime()
  assert(math.abs(before - os.time()) < 60)
  socket.sleep(0.02)
  assert(socket.gettime() - before >= 0.01)
  socket.sleep(-1)
  raises("number expected", socket.sleep)
end)

-- ---- connecting -----------------------------------------------------------------------------------------------------

--- A port of loopback that nobody listens at.
local function nobody(socket)
  local server, _, port = serve(socket)
  server:close()
  return port
end

check("where nobody listens the connection is refused", function(socket)
  results({ nil, "connection refused" }, socket.connect("127.0.0.1", nobody(socket)))
  local client = socket.tcp()
  results({ nil, "connection refused" }, client:connect("127.0.0.1", nobody(socket)))
  assert(tostring(client):find("^tcp{client}"))
  client:close()
end)

check("a master that connects is a client", function(socket)
  local server, host, port = serve(socket)
  local client = socket.tcp()
  results({ 1 }, client:connect(host, port))
  assert(tostring(client):find("^tcp{client}"))
  client:connect(host, port) -- 1 or an error: the system's memory is as long as that
  results({ nil, "already connected" }, client:connect(host, port))
  client:close()
  server:close()
end)

check("ports may be texts", function(socket)
  local server, host, port = serve(socket)
  local client = assert(socket.connect(host, tostring(port)))
  client:close()
  server:close()
end)

check("a client may have an own address", function(socket)
  local server, host, port = serve(socket)
  local client = assert(socket.connect(host, port, "127.0.0.1", 0))
  equal("127.0.0.1", (client:getsockname()))
  client:close()
  server:close()
  raises("invalid option", socket.connect, host, port, nil, nil, "ipx")
end)

check("with no time, connect goes on, and select tells", function(socket)
  local server, host, port = serve(socket)
  local client = socket.tcp()
  client:settimeout(0)
  results({ nil, "timeout" }, client:connect(host, port))
  local readable, writable = socket.select(nil, { client }, 10)
  equal(0, #readable)
  equal(client, writable[1])
  equal(1, writable[client])
  local peer = assert(server:accept())
  client:settimeout(10)
  client:send("x\n")
  peer:settimeout(10)
  results({ "x" }, peer:receive())
  for _, one in ipairs { client, peer, server } do
    one:close()
  end
end)

check("with no time, a refused one has an error", function(socket)
  local client = socket.tcp()
  client:settimeout(0)
  results({ nil, "timeout" }, client:connect("127.0.0.1", nobody(socket)))
  socket.select(nil, { client }, 10)
  equal("connection refused", client:getoption("error"))
  client:close()
end)

check("hosts and ports that are none are told", function(socket)
  results({ nil, "host or service not provided, or not known" }, socket.connect("", 80))
  raises("string expected", socket.connect)
  local master = socket.tcp()
  raises("string expected", master.connect, master, "127.0.0.1")
end)

-- ---- listening ------------------------------------------------------------------------------------------------------

check("an address in use is told", function(socket)
  local server, host, port = serve(socket)
  local other = socket.tcp4()
  local ok, failure = other:bind(host, port)
  if ok then
    ok, failure = other:listen()
  end
  equal(nil, ok)
  equal("address already in use", failure)
  other:close()
  server:close()
end)

check("bind gives 1, listen 1 and a server", function(socket)
  local server = socket.tcp()
  results({ 1 }, server:bind("*", 0))
  equal("0.0.0.0", (server:getsockname()))
  results({ 1 }, server:listen(4))
  assert(tostring(server):find("^tcp{server}"))
  server:close()
end)

check("clients are accepted in their order", function(socket)
  local server, host, port = serve(socket)
  local clients = {}
  for i = 1, 5 do
    clients[i] = assert(socket.connect(host, port))
    clients[i]:send(i .. "\n")
  end
  for i = 1, 5 do
    local peer = assert(server:accept())
    results({ tostring(i) }, peer:receive())
    peer:close()
    clients[i]:close()
  end
  server:close()
end)

check("an accepted object has no time of the server's", function(socket)
  local server, host, port = serve(socket)
  local client = assert(socket.connect(host, port))
  local peer = assert(server:accept())
  results({ -1, -1 }, peer:gettimeout())
  equal("inet4", peer:getfamily())
  client:close()
  peer:close()
  server:close()
end)

-- ---- options --------------------------------------------------------------------------------------------------------

check("options are set with 1, and told", connected(function(client)
  for _, name in ipairs { "keepalive", "tcp-nodelay", "reuseaddr" } do
    results({ 1 }, client:setoption(name, true))
    equal(true, client:getoption(name), name)
    results({ 1 }, client:setoption(name, false))
    equal(false, client:getoption(name), name)
  end
end))

check("linger is a table", connected(function(client)
  results({ 1 }, client:setoption("linger", { on = true, timeout = 3 }))
  local linger = client:getoption("linger")
  equal(true, linger.on)
  equal(3, linger.timeout)
  results({ 1 }, client:setoption("linger", { on = false, timeout = 0 }))
  equal(false, client:getoption("linger").on)
  raises("'on' field expected", client.setoption, client, "linger", {})
  raises("'timeout' field expected", client.setoption, client, "linger", { on = true })
end))

check("an option that is none is an error", connected(function(client)
  raises("unsupported option", client.setoption, client, "colour", true)
  raises("unsupported option", client.getoption, client, "colour")
  raises("boolean expected", client.setoption, client, "keepalive", 1)
end))

check("buffers have sizes", connected(function(client)
  results({ 1 }, client:setoption("send-buffer-size", 65536))
  assert(client:getoption("send-buffer-size") >= 65536)
  assert(client:getoption("recv-buffer-size") > 0)
end))

check("a udp object broadcasts if it is told so", function(socket)
  local udp = socket.udp4()
  equal(false, udp:getoption("broadcast"))
  results({ 1 }, udp:setoption("broadcast", true))
  equal(true, udp:getoption("broadcast"))
  raises("unsupported option", udp.setoption, udp, "tcp-nodelay", true)
  udp:close()
end)

-- ---- datagrams ------------------------------------------------------------------------------------------------------

--- Calls f(receiver, host, port, sender).
local function datagrams(f)
  return function(socket)
    local receiver, sender = socket.udp4(), socket.udp4()
    assert(receiver:setsockname("127.0.0.1", 0))
    receiver:settimeout(10)
    local host, port = receiver:getsockname()
    f(receiver, host, port, sender, socket)
    receiver:close()
    sender:close()
  end
end

check("sendto gives the bytes, receivefrom who sent", datagrams(function(receiver, host, port, sender)
  assert(sender:setsockname("127.0.0.1", 0))
  local own_host, own_port = sender:getsockname()
  results({ 5 }, sender:sendto("hello", host, port))
  results({ "hello", own_host, tonumber(own_port) }, receiver:receivefrom())
end))

check("a datagram without bytes is one", datagrams(function(receiver, host, port, sender)
  results({ 0 }, sender:sendto("", host, port))
  results({ "" }, receiver:receive())
end))

check("a datagram is cut to what is asked for", datagrams(function(receiver, host, port, sender)
  sender:sendto("hello", host, port)
  sender:sendto("next", host, port)
  results({ "hel" }, receiver:receive(3))
  results({ "next" }, receiver:receive())
end))

check("datagrams stay apart", datagrams(function(receiver, host, port, sender)
  for i = 1, 10 do
    sender:sendto(("x"):rep(i), host, port)
  end
  for i = 1, 10 do
    results({ ("x"):rep(i) }, receiver:receive())
  end
end))

check("a peer makes it connected, and * undoes that", datagrams(function(receiver, host, port, sender)
  results({ 1 }, sender:setpeername(host, port))
  assert(tostring(sender):find("^udp{connected}"))
  results({ 1 }, sender:send("x"))
  results({ "x" }, receiver:receive())
  raises("udp{unconnected} expected", sender.sendto, sender, "x", host, port)
  local peer_host, peer_port = sender:getpeername()
  equal(host, peer_host)
  equal(tonumber(port), tonumber(peer_port))
  results({ 1 }, sender:setpeername("*"))
  assert(tostring(sender):find("^udp{unconnected}"))
  results({ 1 }, sender:sendto("y", host, port))
  results({ "y" }, receiver:receive())
end))

check("a connected one receives from its peer", datagrams(function(receiver, host, port, sender)
  sender:setpeername(host, port)
  sender:send("ping")
  local _, from_host, from_port = receiver:receivefrom()
  receiver:sendto("pong", from_host, from_port)
  sender:settimeout(10)
  results({ "pong" }, sender:receive())
end))

check("receive times out", datagrams(function(receiver)
  receiver:settimeout(0)
  results({ nil, "timeout" }, receiver:receive())
  receiver:settimeout(0.02)
  results({ nil, "timeout" }, receiver:receivefrom())
end))

check("its first sendto gives udp() a family", function(socket)
  local receiver, sender = socket.udp4(), socket.udp()
  receiver:setsockname("127.0.0.1", 0)
  receiver:settimeout(10)
  results({ 1 }, sender:sendto("x", "127.0.0.1", select(2, receiver:getsockname())))
  results({ "x" }, receiver:receive())
  receiver:close()
  sender:close()
end)

check("an address has digits", datagrams(function(_, _, port, sender)
  local sent, failure = sender:sendto("x", "no digits", port)
  equal(nil, sent)
  equal("string", type(failure))
end))

-- ---- select ---------------------------------------------------------------------------------------------------------

check("select times out, with two tables", function(socket)
  local readable, writable, failure = socket.select({}, nil, 0.01)
  equal(0, #readable)
  equal(0, #writable)
  equal("timeout", failure)
end)

check("select gives what can be received and sent", connected(function(client, peer, socket)
  local readable, writable, failure = socket.select({ client, peer }, { client }, 10)
  equal(nil, failure)
  equal(0, #readable)
  equal(client, writable[1])
  client:send("x")
  readable, writable = socket.select({ client, peer }, nil, 10)
  equal(1, #readable)
  equal(peer, readable[1])
  equal(1, readable[peer])
  equal(0, #writable)
end))

check("select knows what was read and not asked for", connected(function(client, peer, socket)
  client:send("two\nlines\n")
  peer:receive()
  equal(peer, socket.select({ peer }, nil, 10)[1])
  peer:receive()
  equal("timeout", select(3, socket.select({ peer }, nil, 0)))
end))

check("select tells of clients and of the end", function(socket)
  local server, host, port = serve(socket)
  equal("timeout", select(3, socket.select({ server }, nil, 0)))
  local client = assert(socket.connect(host, port))
  equal(server, socket.select({ server }, nil, 10)[1])
  local peer = server:accept()
  client:close()
  equal(peer, socket.select({ peer }, nil, 10)[1])
  peer:close()
  server:close()
end)

check("select tells of datagrams", datagrams(function(receiver, host, port, sender, socket)
  equal("timeout", select(3, socket.select({ receiver }, nil, 0)))
  sender:sendto("x", host, port)
  equal(receiver, socket.select({ receiver }, nil, 10)[1])
end))

check("select takes what has a getfd", connected(function(client, peer, socket)
  local wrapped = { getfd = function() return peer:getfd() end, dirty = function() return false end }
  client:send("x")
  equal(wrapped, socket.select({ wrapped }, nil, 10)[1])
end))

check("select passes over closed ones, and raises for what is none", connected(function(client, _, socket)
  client:close()
  equal("timeout", select(3, socket.select({ client }, nil, 0)))
  raises("", socket.select, { 1 }, nil, 0)
  raises("table expected", socket.select, "x", nil, 0)
end))

-- ---- dns ------------------------------------------------------------------------------------------------------------

check("toip gives digits and a table", function(socket)
  local ip, about = socket.dns.toip("127.0.0.1")
  equal("127.0.0.1", ip)
  equal("127.0.0.1", about.ip[1])
  equal("table", type(about.alias))
  equal("127.0.0.1", (socket.dns.toip("localhost")))
end)

check("getaddrinfo gives a list of families and addresses", function(socket)
  local list = assert(socket.dns.getaddrinfo("127.0.0.1"))
  equal("inet", list[1].family)
  equal("127.0.0.1", list[1].addr)
  equal("::1", socket.dns.getaddrinfo("::1")[1].addr)
  equal("inet6", socket.dns.getaddrinfo("::1")[1].family)
end)

check("an address has a name, or none, and a port a service", function(socket)
  local name, about = socket.dns.tohostname("127.0.0.1")
  if name then
    equal(name, about.name)
    equal("127.0.0.1", about.ip[1])
  else
    equal("host not found", about)
  end
  local names, service = assert(socket.dns.getnameinfo("127.0.0.1", "80"))
  equal("string", type(names[1]))
  equal("string", type(service))
  results({ nil, "host or service not provided, or not known" }, socket.dns.getnameinfo("1.2.3.4.5"))
end)

check("gethostname is a name", function(socket)
  equal("string", type(socket.dns.gethostname()))
end)

check("nothing to look for is an error", function(socket)
  raises("string expected", socket.dns.toip)
  raises("cannot be both nil", socket.dns.getnameinfo)
end)

-- ---- exceptions -----------------------------------------------------------------------------------------------------

check("try passes on what is true", function(socket)
  local try = socket.newtry()
  results({ 1, 2, 3 }, try(1, 2, 3))
end)

check("protect gives nil and what try was given", function(socket)
  local finalized = 0
  local try = socket.newtry(function() finalized = finalized + 1 end)
  results({ nil, "reason" }, socket.protect(function() try(nil, "reason", "more") end)())
  equal(1, finalized)
  local value = {}
  results({ nil, value }, socket.protect(function() try(false, value) end)())
end)

check("protect passes on results and other errors", function(socket)
  results({ 1, nil, 3 }, socket.protect(function(...) return ... end)(1, nil, 3))
  raises("mine", socket.protect(function() error("mine") end))
end)

check("skip drops its first arguments", function(socket)
  results({ 3, 4 }, socket.skip(2, 1, 2, 3, 4))
  equal(0, select("#", socket.skip(3, 1)))
end)

check("the constants are there", function(socket)
  assert(socket._VERSION:find("^LuaSocket 3"))
  equal(8192, socket._DATAGRAMSIZE)
  equal(-1, socket._SOCKETINVALID)
  equal("number", type(socket._SETSIZE))
end)

return checks
