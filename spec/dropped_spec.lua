-- Streams, servers and datagram sockets that nobody has any more are closed.
local iocp = require "iocp"
local support = require "support"
local files = require "support.files"

local TIMES, SLACK = 20, 8 -- how many are dropped, and by what else the descriptors may differ, as by the first use

local function collect()
  for _ = 1, 3 do
    collectgarbage()
  end
end

--- How many descriptors are left by dropping what make() gives, again and again. In a fiber: what was pending ends.
local function left_by(make)
  collect()
  local before = support.descriptors()
  for _ = 1, TIMES do
    make()
  end
  collect()
  iocp.sleep(20)
  collect()
  return support.descriptors() - before
end

describe("what is dropped is closed:", function()
  local path

  setup(function() path = files.with("one\ntwo\n") end)
  teardown(function() os.remove(path) end)

  local function none_left(make)
    local left = iocp.run(function() return left_by(make) end)
    assert.is_true(left < SLACK, left .. " are left")
  end

  it("a file's stream", function()
    none_left(function() assert(iocp.open_file(path)) end)
    none_left(function() assert.equal("one", assert(iocp.open_file(path)):read()) end)
  end)

  it("a pipe's stream, with the file that it was made of", function()
    none_left(function()
      local ours, theirs = assert(iocp.File.pipe())
      local stream = assert(iocp.open_file(ours))
      assert(stream:timeout(1))
      theirs:close()
      assert.equal("", stream:read("a"))
    end)
  end)

  it("a datagram socket, also one that has waited", function()
    none_left(function() assert(iocp.datagram("127.0.0.1")) end)
    none_left(function()
      assert.equal("TIMEOUT", select(3, assert(iocp.datagram("127.0.0.1", 0, { timeout = 1 })):receive()))
    end)
  end)

  it("a server, also one that has waited for a client", function()
    none_left(function() assert(iocp.listen("127.0.0.1")) end)
    none_left(function() assert.equal("TIMEOUT", select(3, assert(iocp.listen("127.0.0.1")):accept(1))) end)
  end)

  it("both ends of a connection, also where they have waited", function()
    local server
    none_left(function()
      server = server or assert(iocp.listen("127.0.0.1"))
      local ours = assert(iocp.connect(server:address()))
      local theirs = assert(server:accept())
      assert(ours:write("x"))
      assert.equal("TIMEOUT", select(3, ours:timeout(1):read()))
      assert.equal("x", theirs:read_some())
    end)
    server:close()
  end)

  it("the peer reads what was written, then the end", function()
    iocp.run(function()
      local server = assert(iocp.listen("127.0.0.1"))
      do
        local stream = assert(iocp.connect(server:address()))
        assert(stream:write("all of it"))
      end
      local peer = assert(server:accept())
      iocp.spawn(function()
        iocp.sleep(10)
        collect()
      end)
      assert.equal("all of it", peer:timeout(5000):read("a"))
      server:close()
      peer:close()
    end)
  end)

  it("the streams of a thread that ends", function()
    iocp.run(function()
      local server = assert(iocp.listen("127.0.0.1"))
      local host, port = server:address()
      local thread = iocp.Thread(function()
        local stream = assert(iocp.connect(host, port))
        return stream:write("x") == stream
      end)
      local peer = assert(server:accept())
      assert.is_true(select(2, thread:join()))
      assert.equal("x", peer:timeout(5000):read("a"))
      server:close()
      peer:close()
    end)
  end)

  it("but not one that a fiber waits for", function()
    iocp.run(function()
      local server = assert(iocp.listen("127.0.0.1"))
      local got
      local fiber = iocp.spawn(function()
        got = assert(iocp.connect(server:address())):read()
      end)
      local peer = assert(server:accept())
      iocp.sleep(10)
      collect()
      assert(peer:write("there\n"))
      fiber:wait()
      assert.equal("there", got)
      server:close()
      peer:close()
    end)
  end)
end)
