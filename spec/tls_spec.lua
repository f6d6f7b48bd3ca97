-- stream:starttls, where LuaSec is there.
local iocp = require "iocp"
local support = require "support"
local files = require "support.files"
local pem = require "support.tls"
local run, spawn = iocp.run, iocp.spawn

local has_luasec = pcall(require, "ssl")

describe("starttls", function()
  local key, certificate, paths

  setup(function()
    key, certificate = files.with(pem.key), files.with(pem.certificate)
    paths = { key, certificate }
  end)

  teardown(function()
    for _, path in ipairs(paths) do
      os.remove(path)
    end
  end)

  local function shows(name, f)
    it(name, has_luasec and not support.windows and f or function() pending("there is no LuaSec here") end)
  end

  --- Runs serve(stream) for each connection that f(connect) makes, once it is TLS.
  local function served(serve, f)
    run(function()
      local server = assert(iocp.listen("127.0.0.1"))
      local host, port = server:address()
      local acceptor = spawn(function()
        local client = server:accept()
        while client do
          spawn(function(own)
            if own:timeout(support.patience(10000)):starttls { key = key, certificate = certificate } then
              serve(own)
            end
            own:close()
          end, client)
          client = server:accept()
        end
      end)
      f(function(options)
        return assert(iocp.connect(host, port, options)):timeout(support.patience(10000))
      end)
      server:close()
      acceptor:wait()
    end)
  end

  local function echo(stream)
    local line = stream:read()
    while line do
      stream:write("echo ", line, "\n")
      line = stream:read()
    end
  end

  shows("goes on in TLS, with the same methods", function()
    served(echo, function(connect)
      for _, name in ipairs { "localhost", "www.example.test", "127.0.0.1" } do
        local client = connect()
        local host, port = client:peer()
        assert.equal(client, assert(client:starttls({ cafile = certificate }, name)))
        assert.same({ host, port }, { client:peer() })
        client:write("one\ntwo\n", 3, "\n")
        assert.same({ "echo one", "echo two", "echo 3" }, { client:read(), client:read(), client:read() })
        assert.matches("TLS", tostring(client))
        assert.is_true(client:close())
        assert.is_true(client:close())
        assert.equal("CLOSED", (select(3, client:write("x"))))
      end
    end)
  end)

  shows("verifies the certificate and its name, unless told otherwise", function()
    served(echo, function(connect)
      for _, case in ipairs {
        { { cafile = certificate }, "elsewhere.test", "not for elsewhere.test" },
        { { cafile = certificate }, "a.b.example.test", "not for a.b.example.test" },
        { { cafile = certificate }, "127.0.0.2", "not for 127.0.0.2" },
        { { capath = "/nowhere" }, "localhost", "" },
      } do
        local client = connect()
        local ok, message, code = client:starttls(case[1], case[2])
        assert.is_nil(ok)
        assert.equal("EPROTO", code)
        assert.matches(case[3], message, 1, true)
        assert.is_nil(client:write("x"))
        client:close()
      end
      local client = connect()
      assert(client:starttls({ mode = "client", verify = "none" }))
      client:write("x\n")
      assert.equal("echo x", client:read())
      client:close()
      client = connect()
      assert.is_false(iocp.pcall(client.starttls, client, { mode = "client" }))
      assert.is_false(iocp.pcall(client.starttls, client))
      client:close()
    end)
  end)

  shows("moves much, both ways at once, many at a time", function()
    local n, text = 4, ("0123456789"):rep(support.scaled(100000))
    served(function(stream)
      local got
      local reading = spawn(function() got = stream:read(#text) end)
      assert(stream:write(text))
      reading:wait()
      assert(stream:write(got == text and "fine\n" or "not the same\n"))
    end, function(connect)
      local fibers = {}
      for i = 1, n do
        fibers[i] = spawn(function()
          local client = connect()
          assert(client:starttls({ cafile = certificate }, "localhost"))
          local writing = spawn(function() assert(client:write(text)) end)
          assert.is_true(client:read(#text) == text)
          assert(writing:wait())
          assert.equal("fine", client:read())
          client:close()
        end)
      end
      for i = 1, n do
        assert(fibers[i]:wait())
      end
    end)
  end)

  shows("times out and is cancelled", function()
    run(function()
      local server = assert(iocp.listen("127.0.0.1"))
      local host, port = server:address()
      local client = assert(iocp.connect(host, port, { timeout = 20 }))
      local peer = assert(server:accept())
      assert.equal("TIMEOUT", (select(3, client:starttls({ cafile = certificate }, "localhost"))))
      client:close()
      peer:close()
      client = assert(iocp.connect(host, port))
      peer = assert(server:accept())
      local fiber = spawn(function() return select(3, client:starttls({ cafile = certificate }, "localhost")) end)
      iocp.sleep(5)
      fiber:cancel()
      assert.same({ true, "CANCELLED" }, { fiber:wait() })
      client:close()
      peer:close()
      server:close()
    end)
    served(echo, function(connect)
      local client = connect()
      assert(client:starttls({ cafile = certificate }, "localhost"))
      assert.equal("TIMEOUT", (select(3, client:timeout(20):read())))
      client:timeout(support.patience(10000)):write("still\n")
      assert.equal("echo still", client:read())
      client:close()
    end)
  end)

  shows("refuses what came in clear behind the agreement", function()
    run(function()
      local server = assert(iocp.listen("127.0.0.1"))
      local host, port = server:address()
      local client = assert(iocp.connect(host, port))
      local peer = assert(server:accept())
      client:write("STARTTLS\ninjected\n")
      assert.equal("STARTTLS", peer:read())
      local ok, _, code = peer:starttls { key = key, certificate = certificate }
      assert.is_nil(ok)
      assert.equal("EPROTO", code)
      client:close()
      peer:close()
      server:close()
    end)
  end)
end)
