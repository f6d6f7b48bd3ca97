-- Streams: connect, listen, the formats of read, write and its limits, what fails, and datagrams.
local iocp = require "iocp"
local support = require "support"
local run, spawn = iocp.run, iocp.spawn

local is_51 = _VERSION == "Lua 5.1" and not rawget(_G, "jit") -- a for-loop's iterator cannot wait there

--- Runs f(client, server side, server) with two ends of a connection, then closes them.
local function connected(f, options, client_options)
  return run(function()
    local server = assert(iocp.listen("127.0.0.1", 0, options))
    local _, port = server:address()
    local client = assert(iocp.connect("127.0.0.1", port, client_options))
    local peer = assert(server:accept())
    f(client, peer, server)
    client:close()
    peer:close()
    server:close()
  end)
end

local function code_of(_, _, code)
  return code
end

describe("a stream", function()
  it("reads lines, bytes, and all", function()
    connected(function(client, peer)
      assert.equal(client, client:write("one\r\ntwo\n", "thr", "ee\n\n", 4, "\n12345rest of it"))
      client:shutdown()
      assert.equal("one", peer:read())
      assert.equal("two\n", peer:read("*L"))
      assert.equal("three", peer:read("l"))
      assert.equal("", peer:read("*l"))
      assert.equal("4", peer:read("*l"))
      assert.equal("123", peer:read(3))
      assert.equal("", peer:read(0))
      assert.equal("45", peer:read(2))
      assert.equal("rest of it", peer:read("*a"))
      assert.same({ n = 1 }, { n = select("#", peer:read()), peer:read() })
      assert.is_nil(peer:read(1))
      assert.is_nil(peer:read_some())
      assert.equal("", peer:read("a"))
    end)
  end)

  it("gives what is there when it ends: the half line, the rest of the bytes", function()
    connected(function(client, peer)
      client:write("half")
      client:shutdown()
      assert.equal("half", peer:read("*L"))
      assert.is_nil(peer:read("*L"))
      peer:write("1234")
      peer:shutdown()
      assert.equal("1234", client:read(100))
      assert.is_nil(client:read(100))
    end)
  end)

  it("ends its write side behind what was written, and no later", function()
    connected(function(client, peer)
      local large = ("x"):rep(8 * 1024 * 1024)
      assert(client:write(large))
      assert.is_true(client:shutdown())
      assert.is_true(client:shutdown())
      assert.equal("EPIPE", code_of(client:write("more")))
      assert.equal(#large, #peer:read("*a"))
      peer:write("still open\n")
      assert.equal("still open", client:read())
      assert.is_true(client:shutdown("read"))
    end, nil, { max_unsent = 100000000 })
  end)

  it("reads what comes in pieces", function()
    connected(function(client, peer)
      local text = ("x"):rep(1000)
      spawn(function()
        for _ = 1, 300 do
          client:write(text)
          iocp.yield()
        end
        client:write("\nnext\n")
      end)
      assert.equal(text:rep(300), peer:read())
      assert.equal("next", peer:read())
      spawn(function()
        for i = 1, 10 do
          client:write(i % 10)
          iocp.sleep(1)
        end
      end)
      assert.equal("1234567", peer:read(7))
      assert.equal("890", peer:read(3))
    end)
  end)

  it("reads some: what is there", function()
    connected(function(client, peer)
      client:write("abcdef")
      assert.equal("ab", peer:read_some(2))
      assert.equal("cdef", peer:read_some())
      client:write("gh")
      assert.equal("gh", peer:read_some(10))
    end)
  end)

  it("iterates over lines until the end, or until the connection is lost", is_51 and function()
    pending("an iterator cannot wait in Lua 5.1")
  end or function()
    connected(function(client, peer)
      client:write("a\nb\nc")
      client:shutdown()
      local lines = {}
      for line in peer:lines() do
        lines[#lines + 1] = line
      end
      assert.same({ "a", "b", "c" }, lines)
    end)
    connected(function(client, peer)
      peer.socket:option("linger", 0)
      peer:close()
      for _ in client:lines() do
        error("there is none")
      end
    end)
  end)

  it("moves much, both ways at once, unharmed", function()
    connected(function(client, peer)
      local size, block = 4 * 1024 * 1024, ("0123456789abcdef"):rep(4096)
      local function send(stream)
        for _ = 1, size / #block do
          assert(stream:write(block))
        end
        stream:shutdown()
      end
      spawn(send, client)
      spawn(send, peer)
      local other = spawn(function() return peer:read("*a") end)
      assert.is_true(client:read("*a") == block:rep(size / #block))
      local _, got = other:wait()
      assert.is_true(got == block:rep(size / #block))
    end)
  end)

  it("knows its peer, also after the end", function()
    connected(function(client, peer, server)
      local host, port = client:peer()
      assert.same({ server:address() }, { host, port })
      assert.same({ client:address() }, { peer:peer() })
      client:close()
      assert.same({ host, port }, { client:peer() })
      assert.matches("^iocp.Stream: 127.0.0.1:%d+ %(closed%)$", tostring(client))
    end)
  end)

  it("times out, and has read nothing", function()
    connected(function(client, peer)
      client:write("begin")
      assert.equal(peer, peer:timeout(10))
      assert.equal("TIMEOUT", code_of(peer:read()))
      assert.equal("TIMEOUT", code_of(peer:read(100)))
      assert.equal("TIMEOUT", code_of(peer:read("*a")))
      client:write(" end\n")
      assert.equal("begin end", peer:timeout():read())
      assert.equal("TIMEOUT", code_of(iocp.within(5, peer.read, peer)))
      client:write("more\n")
      assert.equal("more", peer:read())
    end, { timeout = 60000 })
  end)

  it("is cancelled in each wait, and has done nothing", function()
    connected(function(client, peer, server)
      local fibers = {
        spawn(function() return code_of(peer:read()) end),
        spawn(function() return code_of(server:accept()) end),
      }
      iocp.sleep(5)
      for _, fiber in ipairs(fibers) do
        fiber:cancel()
        assert.same({ true, "CANCELLED" }, { fiber:wait() })
      end
      client:write("x\n")
      assert.equal("x", peer:read())
    end)
  end)

  it("refuses a line that is too long, again and again, and keeps it", function()
    connected(function(client, peer)
      client:write(("x"):rep(200), "\n")
      for _ = 1, 3 do
        assert.equal("EMSGSIZE", code_of(peer:read()))
      end
      assert.equal(("x"):rep(200) .. "\n", peer:read(201))
      client:write(("y"):rep(100), "\n")
      assert.equal(("y"):rep(100), peer:read())
      client:write(("z"):rep(101))
      assert.equal("EMSGSIZE", code_of(peer:read()))
      assert.equal(101, #peer:read_some())
    end, { max_line = 100 })
  end)

  it("has one reader at a time", function()
    connected(function(client, peer)
      local fiber = spawn(function() return peer:read() end)
      iocp.yield()
      local ok, message = iocp.pcall(peer.read, peer)
      assert.is_false(ok)
      assert.matches("another fiber reads", message, 1, true)
      client:write("fine\n")
      assert.same({ true, "fine" }, { fiber:wait() })
    end)
  end)

  it("ends a read and a write of others when it is closed", function()
    connected(function(client, peer)
      local reads = spawn(function() return code_of(peer:read()) end)
      local writes = spawn(function() return code_of(client:write(("x"):rep(64 * 1024 * 1024))) end)
      iocp.sleep(5)
      peer:close()
      assert.same({ true, "CLOSED" }, { reads:wait() })
      local _, code = writes:wait()
      assert.is_true(code == "ECONNRESET" or code == "EPIPE", tostring(code))
      assert.equal("CLOSED", code_of(peer:read()))
      assert.equal("CLOSED", code_of(peer:write("x")))
      assert.is_true(peer:close())
    end)
  end)

  it("says which argument is wrong", function()
    connected(function(client)
      for _, case in ipairs {
        { "format", client.read, client, "*x" }, { "format", client.read, client, -1 },
        { "format", client.read, client, 0.5 }, { "max", client.read_some, client, 0 },
        { "data", client.write, client, {} }, { "ms", client.timeout, client, -1 },
        { "self", client.read, 1 }, { "host", iocp.connect, 1 }, { "port", iocp.connect, "localhost" },
        { "max_line", iocp.connect, "localhost", 1, { max_line = 0 } }, { "host", iocp.listen, "" },
        { "none of", iocp.listen, "*", 0, { nonsense = 1 } },
      } do
        local ok, message = iocp.pcall(case[2], case[3], case[4], case[5])
        assert.is_false(ok, case[1])
        assert.matches(case[1], message, 1, true)
      end
    end)
  end)

  it("waits outside of fibers as well, where it blocks", function()
    local server = assert(iocp.listen("127.0.0.1", 0))
    local thread = iocp.Thread(function(port)
      local i = require "iocp"
      local client = assert(i.connect("127.0.0.1", port))
      client:write("hello\n")
      local line = client:read()
      client:close()
      return line
    end, (select(2, server:address())))
    local client = assert(server:accept())
    assert.equal("hello", (assert(client:read())))
    client:write("bye\n")
    assert.same({ true, "bye" }, { thread:join(10000) })
    assert.is_nil(client:read())
    client:close()
    server:close()
  end)
end)

describe("a slow reader", function()
  local LARGE = ("x"):rep(16 * 1024 * 1024)
  local PATIENT = { max_unsent = 100000000, linger = 600000 } -- whose close is not overtaken on a slow machine

  it("holds its writer, and not memory", function()
    connected(function(client, peer)
      local written = 0
      local fiber = spawn(function()
        for _ = 1, 1000 do
          assert(client:write(("x"):rep(65536)))
          written = written + 1
        end
        client:shutdown()
      end)
      iocp.sleep(30)
      local before = written
      assert.is_true(before < 1000)
      iocp.sleep(30)
      assert.is_true(written - before < 50, written - before) -- Wine's buffers grow
      assert.equal("waiting", fiber:status())
      local total = 0
      while true do
        local data = peer:read_some()
        if not data then
          break
        end
        total = total + #data
      end
      assert.equal(1000 * 65536, total)
    end)
  end)

  it("whose writer times out has the write side ended, if part of it went out", function()
    connected(function(client, peer)
      client:timeout(20)
      assert.equal("TIMEOUT", code_of(client:write(LARGE)))
      client:timeout()
      assert.equal("EPIPE", code_of(client:write("x")))
      spawn(function() client:close() end)
      local got = #(peer:read("*a") or "")
      assert.is_true(got < #LARGE)
    end)
  end)

  it("has nothing happen to a write that waited behind others in vain", function()
    connected(function(client, peer)
      local first = spawn(function() return client:write(LARGE) end)
      iocp.yield()
      assert.equal("TIMEOUT", code_of(iocp.within(5, client.write, client, "never")))
      local third = spawn(function() return client:write("third") end)
      assert.equal(#LARGE, #peer:read(#LARGE))
      assert.equal("third", peer:read(5))
      assert.is_true((first:wait()) and (third:wait()))
    end)
  end)

  it("has nothing happen to a write that was sent behind others in vain", function()
    run(function()
      local server = assert(iocp.listen("127.0.0.1"))
      local host, port = server:address()
      local client = assert(iocp.connect(host, port, { max_unsent = 2 * #LARGE }))
      local peer = assert(server:accept())
      assert.equal(client, client:write(LARGE)) -- under way, and within what may be
      client:timeout(20)
      assert.equal("TIMEOUT", code_of(client:write(("never"):rep(#LARGE))))
      client:timeout()
      assert.equal(client, client:write("third"))
      assert.is_true(client:shutdown()) -- behind all that, however long it takes: a close waits for `linger` at most
      assert.equal(#LARGE, #peer:read(#LARGE))
      assert.equal("third", peer:read("*a"))
      client:close()
      peer:close()
      server:close()
    end)
  end)

  it("gets each write whole, and in order", function()
    connected(function(client, peer)
      local n, size = 8, 300000
      for i = 1, n do
        spawn(function() assert(client:write(tostring(i):rep(size))) end)
      end
      for i = 1, n do
        assert.is_true(peer:read(size) == tostring(i):rep(size))
      end
    end)
  end)

  it("gets what was written before a close, which waits so long at most", function()
    connected(function(client, peer)
      spawn(function()
        client:write(("x"):rep(4 * 1024 * 1024))
        client:close()
      end)
      assert.equal(4 * 1024 * 1024, #peer:read("*a"))
    end, nil, PATIENT)
    connected(function(client, peer)
      client:write(LARGE)
      local started = iocp.clock()
      client:close()
      local took = iocp.clock() - started
      assert.is_true(took >= 25 and took < support.patience(2000))
      local _, _, code = peer:read("*a")
      assert.equal("ECONNRESET", code)
    end, nil, { max_unsent = 100000000, linger = 30 })
  end)

  it("gets it from a cancelled fiber as well", function()
    connected(function(client, peer)
      local fiber = spawn(function()
        client:write(("x"):rep(4 * 1024 * 1024))
        iocp.sleep(60000)
        client:close()
      end)
      iocp.sleep(5)
      fiber:cancel()
      assert.equal(4 * 1024 * 1024, #peer:read("*a"))
    end, nil, PATIENT)
  end)
end)

describe("a peer that does not read", function()
  local MANY = 2 ^ 24 -- bytes, more than the system holds
  local server, host, port

  before_each(function()
    server = assert(iocp.listen("127.0.0.1", 0))
    host, port = server:address()
  end)

  after_each(function()
    server:close()
  end)

  it("is no reason to wait for ever outside fibers, either", function()
    local client = assert(iocp.connect(host, port, { timeout = 50, linger = 0 }))
    assert.equal("TIMEOUT", code_of(client:write(("x"):rep(MANY))))
    client:close()
  end)

  for _, where in ipairs { "in", "outside" } do
    it("keeps no cancelled thread or task that writes, " .. where .. " fibers", function()
      local function write(its_host, its_port, size, inside)
        local module = require "iocp"
        local function f()
          local client = assert(module.connect(its_host, its_port, { linger = 0 }))
          local _, _, code = client:write(("x"):rep(size))
          client:close()
          return code
        end
        if inside then
          return module.run(f)
        end
        return f()
      end
      local pool = iocp.Pool(1)
      local thread = assert(iocp.Thread(write, host, port, MANY, where == "in"))
      local task = pool:submit(write, host, port, MANY, where == "in")
      for _ = 1, 2 do
        assert(server:accept(20000))
      end
      iocp.sleep(100)
      thread:cancel()
      task:cancel()
      assert.same({ true, "CANCELLED" }, { thread:join(20000) })
      assert.same({ true, "CANCELLED" }, { task:wait(20000) })
      assert.is_true(pool:shutdown(20000))
    end)

    it("gets what was written before its writer's thread was cancelled and closed, " .. where .. " fibers", function()
      local told = iocp.IOCompletionPort()
      local thread = assert(iocp.Thread(function(its_host, its_port, size, inside, begun)
        local module = require "iocp"
        local function f()
          local client = assert(module.connect(its_host, its_port, { max_unsent = 2 * size, linger = 60000 }))
          assert(client:write(("x"):rep(size)))
          begun:enqueue(1)
          module.sleep(60000)
          return module.cancelled(), client:close()
        end
        if inside then
          return module.run(f)
        end
        return f()
      end, host, port, MANY, where == "in", told))
      local peer = assert(server:accept(20000))
      assert.equal(1, (told:dequeue(20000)))
      thread:cancel()
      iocp.sleep(50)
      assert.equal(MANY, #(peer:read("a") or ""))
      assert.same({ true, true, true }, { thread:join(20000) })
      peer:close()
    end)
  end
end)

describe("a peer that leaves", function()
  it("ends the stream, or fails it", function()
    connected(function(client, peer)
      peer.socket:option("linger", 0)
      peer:close()
      assert.equal("ECONNRESET", code_of(client:read()))
      local code
      repeat
        code = code_of(client:write("x"))
        iocp.yield()
      until code
      assert.is_true(code == "EPIPE" or code == "ECONNRESET", code)
    end)
  end)
end)

describe("iocp.connect", function()
  it("fails with what the system says", function()
    run(function()
      local server = assert(iocp.listen("127.0.0.1", 0))
      local _, port = server:address()
      server:close()
      local _, message, code = iocp.connect("127.0.0.1", port)
      assert.equal("ECONNREFUSED", code)
      assert.equal(("127.0.0.1:%d: the connection was refused"):format(port), message:match("^[^:]*:%d+: [^:]*"))
      assert.equal("/nonexistent/socket: ", select(2, iocp.connect("/nonexistent/socket")):sub(1, 21))
    end)
  end)

  it("finds hosts by name, and tries all their addresses", function()
    run(function()
      local server = assert(iocp.listen("127.0.0.1", 0))
      local _, port = server:address()
      local client = assert(iocp.connect("localhost", port))
      client:close()
      server:close()
    end)
  end)

  it("begins with the next address when one does not answer", function()
    run(function()
      local server = assert(iocp.listen("127.0.0.1", 0))
      local _, port = server:address()
      local resolve = iocp.resolve
      iocp.resolve = function() -- luacheck: ignore 122
        return { wait = function()
          return { { host = "10.255.255.1", port = port, family = "inet" },
            { host = "127.0.0.1", port = port, family = "inet" } }
        end, cancel = function() end }
      end
      local started = iocp.clock()
      local client, message = iocp.connect("both", port, { timeout = 10000 })
      iocp.resolve = resolve -- luacheck: ignore 122
      assert(client, message)
      assert.is_true(iocp.clock() - started < support.patience(5000))
      client:close()
      server:close()
    end)
  end)
end)

describe("iocp.listen", function()
  it("gives clients until it is closed", is_51 and function()
    pending("an iterator cannot wait in Lua 5.1")
  end or function()
    local served = 0
    run(function()
      local server = assert(iocp.listen("127.0.0.1", 0))
      local _, port = server:address()
      spawn(function()
        for i = 1, 10 do
          local client = assert(iocp.connect("127.0.0.1", port))
          client:write(i, "\n")
          assert.equal(tostring(i), client:read())
          client:close()
        end
        server:close()
      end)
      for client in server:clients() do
        spawn(function()
          for line in client:lines() do
            client:write(line, "\n")
          end
          served = served + 1
          client:close()
        end)
      end
    end)
    assert.equal(10, served)
  end)

  it("loses no client whose accept was cancelled", function()
    run(function()
      local server = assert(iocp.listen("127.0.0.1", 0))
      local _, port = server:address()
      for _ = 1, support.scaled(100) do
        local accepts = spawn(function() return server:accept() end)
        local client = assert(iocp.connect("127.0.0.1", port))
        accepts:cancel()
        local _, peer = accepts:wait()
        peer = peer or assert(server:accept(10000))
        client:write("x")
        assert.equal("x", peer:read(1))
        client:close()
        peer:close()
      end
      server:close()
    end)
  end)

  it("listens everywhere at a service's port", function()
    run(function()
      local server, message, code = iocp.listen("*", "http")
      assert.is_true(code == "EADDRINUSE" or code == "EACCES" or server ~= nil, message)
      if server then
        assert.equal(80, (select(2, server:address())))
        server:close()
      end
    end)
  end)

  it("waits for so long", function()
    run(function()
      local server = assert(iocp.listen("*", 0))
      assert.equal("TIMEOUT", code_of(server:accept(5)))
      assert.equal("TIMEOUT", code_of(server:accept(0)))
      local _, port = server:address()
      local client = assert(iocp.connect("127.0.0.1", port))
      assert(server:accept(10000)):close()
      client:close()
      server:close()
      assert.equal("CLOSED", code_of(server:accept()))
    end)
  end)

  it("takes a path, where there are unix sockets", support.windows and function()
    pending("not there")
  end or function()
    local path = os.tmpname()
    os.remove(path)
    run(function()
      local server = assert(iocp.listen(path))
      local client = assert(iocp.connect(path))
      local peer = assert(server:accept())
      client:write("over a path\n")
      assert.equal("over a path", peer:read())
      client:close()
      peer:close()
      server:close()
    end)
    os.remove(path)
  end)

  it("says what is in use", function()
    run(function()
      local server = assert(iocp.listen("127.0.0.1", 0))
      local _, port = server:address()
      local _, message, code = iocp.listen("127.0.0.1", port)
      assert.equal("EADDRINUSE", code)
      assert.equal(("127.0.0.1:%d: the address is in use"):format(port), message:match("^[^:]*:%d+: [^:]*"))
      server:close()
    end)
  end)
end)

describe("iocp.datagram", function()
  it("sends and receives", function()
    run(function()
      local one, two = assert(iocp.datagram("127.0.0.1")), assert(iocp.datagram("127.0.0.1"))
      local host, port = two:address()
      assert.is_true(one:send("hello", host, port))
      assert.is_true(one:send("", host, port))
      assert.same({ "hello", one:address() }, { two:receive() })
      assert.same({ "", one:address() }, { two:receive() })
      assert.equal(two, two:timeout(5))
      assert.equal("TIMEOUT", code_of(two:receive()))
      local waits = spawn(function() return code_of(one:receive()) end)
      iocp.yield()
      one:close()
      assert.same({ true, "CLOSED" }, { waits:wait() })
      assert.equal("CLOSED", code_of(one:send("x", host, port)))
      assert.equal("EINVAL", code_of(two:send("x", "localhost", 1)))
      assert.equal("EMSGSIZE", code_of(two:send(("x"):rep(65536), host, port)))
      two:close()
    end)
  end)

  it("loses no memory where its peer is none", function()
    run(function()
      local socket, data = assert(iocp.datagram("127.0.0.1")), ("x"):rep(60000)
      local function send_badly()
        for _ = 1, 200 do
          assert.is_false((pcall(socket.send, socket, data, {}, 1)))
          assert.is_false((pcall(socket.send, socket, data, "127.0.0.1", -1)))
        end
      end
      send_badly()
      local before = support.resident()
      for _ = 1, 5 do
        send_badly()
      end
      assert.is_true(not support.measures or support.resident() - before < 20000) -- KiB, of 117,000
      socket:close()
    end)
  end)
end)

describe("fairness", function()
  it("a fiber whose reads never wait lets others run", coroutine.isyieldable and function()
    connected(function(client, peer)
      client:write(("x\n"):rep(10000))
      peer:read()
      local others = 0
      spawn(function()
        while others < 1000 do
          others = others + 1
          iocp.yield()
        end
      end)
      for _ = 1, 5000 do
        peer:read()
      end
      assert.is_true(others >= 10, others)
    end)
  end or function() pending("cannot be asked there") end)
end)
