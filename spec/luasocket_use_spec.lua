-- What stands on luasocket runs over iocp.luasocket as it is, in fibers and threads: its own http, smtp and ftp, and
-- redis-lua where Debian's is there.
local iocp = require "iocp"
local support = require "support"

package.loaded["socket.core"] = require "iocp.luasocket"
package.loaded["socket"] = nil
local has_luasocket, http = pcall(require, "socket.http") -- luasocket's Lua half, and mime, which is C
if not has_luasocket then
  support.nothing = "luasocket is not installed here"
  return
end
local ltn12, socket = require "ltn12", require "socket"

local BODY = ("0123456789"):rep(1024)

--- Answers requests of a connection until it ends.
local function answer(client)
  local request = client:read()
  while request do
    local size, line = 0, client:read()
    while line and line ~= "" do
      size = tonumber(line:match("^[Cc]ontent%-[Ll]ength: *(%d+)")) or size
      line = client:read()
    end
    local body = size > 0 and client:read(size) or BODY
    client:write("HTTP/1.1 200 OK\r\nContent-Length: ", #body, "\r\nX-Method: ", request:match("^%u+"), "\r\n\r\n",
      body)
    request = client:read()
  end
end

--- Serves loopback with `handle`, in the running scope, while f(host, port) runs.
local function serving(handle, f)
  iocp.run(function()
    local server = assert(iocp.listen("127.0.0.1"))
    iocp.spawn(function()
      local client = server:accept()
      while client do
        local one = client
        iocp.spawn(function()
          handle(one)
          one:close()
        end)
        client = server:accept()
      end
    end)
    f(server:address())
    server:close()
  end)
end

describe("socket.http over iocp.luasocket", function()
  it("gets a hundred pages at once in fibers", function()
    serving(answer, function(host, port)
      local fibers = {}
      for i = 1, 100 do
        fibers[i] = iocp.spawn(function()
          local body, code = http.request(("http://%s:%d/%d"):format(host, port, i))
          return code, body
        end)
      end
      for _, fiber in ipairs(fibers) do
        local _, code, body = assert(fiber:wait())
        assert.equal(200, code)
        assert.equal(BODY, body)
      end
    end)
  end)

  it("posts, with ltn12's sources and sinks", function()
    serving(answer, function(host, port)
      local parts = {}
      local ok, code, headers = http.request {
        url = ("http://%s:%d/"):format(host, port), method = "POST",
        headers = { ["content-length"] = 5 },
        source = ltn12.source.string("hello"), sink = ltn12.sink.table(parts),
      }
      assert.equal(1, ok)
      assert.equal(200, code)
      assert.equal("POST", headers["x-method"])
      assert.equal("hello", table.concat(parts))
    end)
  end)

  it("runs in threads, each with fibers", function()
    local service = assert(iocp.serve { host = "127.0.0.1", workers = 1, handler = answer })
    local host, port = service:address()
    local threads = {}
    for i = 1, 2 do
      threads[i] = assert(iocp.Thread(function(its_host, its_port)
        local threads_iocp = require "iocp"
        package.loaded["socket.core"] = require "iocp.luasocket"
        local threads_http = require "socket.http"
        local done = 0
        threads_iocp.run(function()
          for n = 1, 50 do
            threads_iocp.spawn(function()
              local body, code = threads_http.request(("http://%s:%d/%d"):format(its_host, its_port, n))
              assert(code == 200 and #body == 10240, code)
              done = done + 1
            end)
          end
        end)
        return done
      end, host, port))
    end
    for _, thread in ipairs(threads) do
      local ok, done = assert(thread:join(support.patience(30000)))
      assert.is_true(ok)
      assert.equal(50, done)
    end
    service:stop()
  end)

  it("works where no fiber runs, and says what failed", function()
    local service = assert(iocp.serve { host = "127.0.0.1", workers = 1, handler = answer })
    local host, port = service:address()
    local body, code = http.request(("http://%s:%d/"):format(host, port))
    assert.equal(200, code)
    assert.equal(BODY, body)
    service:stop()
    local nothing, failure = http.request(("http://%s:%d/"):format(host, port))
    assert.is_nil(nothing)
    assert.equal("connection refused", failure)
  end)
end)

describe("luasocket's other modules", function()
  it("smtp sends a mail", function()
    local smtp = require "socket.smtp"
    local lines = {}
    serving(function(client)
      client:write("220 mock\r\n")
      local line, is_data = client:read(), false
      while line and line:upper() ~= "QUIT" do
        lines[#lines + 1] = line
        if line == "." then
          is_data = false
        end
        if not is_data then
          is_data = line:upper() == "DATA"
          client:write(is_data and "354 go on\r\n" or "250 ok\r\n")
        end
        line = client:read()
      end
      client:write("221 bye\r\n")
    end, function(host, port)
      assert(smtp.send {
        from = "<me@here>", rcpt = "<you@there>", server = host, port = port,
        source = smtp.message { headers = { subject = "news" }, body = "all is well" },
      })
    end)
    local mail = table.concat(lines, "\n")
    assert.is_truthy(mail:find("RCPT TO:<you@there>", 1, true) and mail:find("all is well", 1, true), mail)
  end)

  it("ftp gets a file", function()
    local ftp = require "socket.ftp"
    local data
    local answers = {
      USER = "331 who\r\n", PASS = "230 welcome\r\n", TYPE = "200 ok\r\n", QUIT = "221 bye\r\n", CWD = "250 ok\r\n",
      EPSV = function()
        data = assert(iocp.listen("127.0.0.1"))
        return ("229 entering extended passive mode (|||%d|)\r\n"):format(select(2, data:address()))
      end,
    }
    serving(function(client)
      client:write("220 mock\r\n")
      local line = client:read()
      while line do
        local word = line:match("^%a+")
        if word == "RETR" then
          client:write("150 here it comes\r\n")
          local transfer = data:accept()
          transfer:write("the file")
          transfer:close()
          data:close()
          client:write("226 done\r\n")
        else
          local given = answers[word] or "500 what\r\n"
          client:write(type(given) == "function" and given() or given)
        end
        line = word ~= "QUIT" and client:read()
      end
    end, function(host, port)
      local parts = {}
      assert(ftp.get { host = host, port = port, path = "file", type = "i", sink = ltn12.sink.table(parts) })
      assert.equal("the file", table.concat(parts))
    end)
  end)
end)

describe("redis-lua over iocp.luasocket", function()
  local has_redis, redis = pcall(require, "redis")

  --- Calls f with the path of a server's socket while it runs.
  local function with_server(f)
    local probe = assert(socket.bind("127.0.0.1", 0))
    local _, port = probe:getsockname()
    probe:close()
    local server = iocp.Process {
      "redis-server", "--port", tostring(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1",
      stdout = false, stderr = false,
    }
    if not server then
      pending("there is no redis-server here")
      return
    end
    local deadline = iocp.clock() + support.patience(20000)
    local client
    repeat
      iocp.sleep(20)
      client = socket.connect("127.0.0.1", port)
    until client or iocp.clock() > deadline
    assert.is_truthy(client)
    client:close()
    local ok, message = pcall(f, port)
    server:kill()
    server:wait(10000)
    assert(ok, message)
  end

  it("serves a hundred fibers at once", function()
    if not has_redis then
      pending("redis-lua is not installed here")
      return
    end
    with_server(function(port)
      iocp.run(function()
        for i = 1, 100 do
          iocp.spawn(function()
            local client = redis.connect("127.0.0.1", port)
            client:set("key" .. i, i)
            client:incrby("key" .. i, 1000)
            assert.equal(tostring(1000 + i), client:get("key" .. i))
            client:incr("all")
            client:quit()
          end)
        end
      end)
      assert.equal("100", redis.connect("127.0.0.1", port):get("all"))
    end)
  end)
end)

describe("modules of C", function()
  local has_json, json = pcall(require, "cjson")
  local has_sql, sql = pcall(require, "luasql.sqlite3")

  it("work in fibers beside what waits: cjson and LuaSQL", function()
    if not (has_json and has_sql) then
      pending("lua-cjson or LuaSQL is not installed here")
      return
    end
    local sqlite = assert(sql.sqlite3())
    serving(answer, function(host, port)
      local fibers = {}
      for i = 1, 20 do
        fibers[i] = iocp.spawn(function()
          local database = assert(sqlite:connect(":memory:"))
          assert(database:execute("create table numbers (n integer)"))
          for n = 1, 5 do
            local parts, text = {}, json.encode { n = n * i }
            assert(http.request {
              url = ("http://%s:%d/"):format(host, port), method = "POST", headers = { ["content-length"] = #text },
              source = ltn12.source.string(text), sink = ltn12.sink.table(parts),
            })
            assert(database:execute(("insert into numbers values (%d)"):format(json.decode(table.concat(parts)).n)))
          end
          local cursor = assert(database:execute("select sum(n) from numbers"))
          local sum = cursor:fetch()
          cursor:close()
          database:close()
          return tonumber(sum)
        end)
      end
      for i, fiber in ipairs(fibers) do
        assert.equal(15 * i, select(2, assert(fiber:wait())))
      end
    end)
    sqlite:close()
  end)
end)

describe("LuaSec over iocp.luasocket", function()
  local has_luasec, ssl = pcall(require, "ssl")
  local luasocket, files, pem = require "iocp.luasocket", require "support.files", require "support.tls"

  it("shakes hands, and carries ten megabytes both ways, in fibers", function()
    if not has_luasec then
      pending("there is no LuaSec here")
      return
    end
    local key, certificate = files.with(pem.key), files.with(pem.certificate)
    local part, parts = ("0123456789abcdef"):rep(65536), 10
    local function tls_of(tcp, parameters)
      parameters.protocol = "any"
      local tls = assert(luasocket.wrap(assert(ssl.wrap(tcp, parameters))))
      tls:settimeout(support.patience(60))
      assert(tls:dohandshake())
      return tls
    end
    iocp.run(function()
      local server = assert(socket.bind("127.0.0.1", 0))
      local host, port = server:getsockname()
      iocp.spawn(function()
        local tls = tls_of(assert(server:accept()), { mode = "server", key = key, certificate = certificate })
        local line = tls:receive()
        while line do
          assert(tls:send(line .. "\n"))
          line = tls:receive()
        end
        tls:close()
      end)
      local tls = tls_of(assert(socket.connect(host, port)), { mode = "client", verify = "none" })
      assert.is_truthy(tls:getpeercertificate()) -- LuaSec's own methods are there, too
      local sender = iocp.spawn(function()
        for _ = 1, parts do
          assert(tls:send(part .. "\n"))
        end
      end)
      for _ = 1, parts do
        assert.is_true(part == assert(tls:receive()))
      end
      assert(sender:wait())
      tls:settimeout(0)
      assert.same({ nil, "timeout", "" }, { tls:receive() })
      assert.equal(1, tls:close())
      assert.equal(1, tls:close())
      server:close()
    end)
    os.remove(key)
    os.remove(certificate)
  end)
end)
