-- iocp.serve: threads that serve one place, each connection in one of them.
local iocp = require "iocp"
local support = require "support"
local run, spawn = iocp.run, iocp.spawn

--- Answers each line with the worker's number and the line.
local function echo(client, worker)
  local line = client:read()
  while line do
    client:write(worker.number, " ", line, "\n")
    line = client:read()
  end
end

--- Runs f(service, host, port) over a service, and stops it.
local function served(options, f)
  options.host, options.handler = "127.0.0.1", options.handler or echo
  local service = assert(iocp.serve(options))
  local host, port = service:address()
  run(f, service, host, port)
  assert.is_true(service:stop(support.patience(5000)))
  return service
end

local function ask(client, text)
  client:write(text, "\n")
  local answer = assert(client:read())
  local worker, rest = answer:match("^(%d+) (.*)$")
  assert.equal(text, rest)
  return tonumber(worker)
end

local function connected(n, host, port)
  local clients = {}
  for i = 1, n do
    clients[i] = assert(iocp.connect(host, port, { timeout = 10000 }))
  end
  return clients
end

--- One of them that the second worker serves; all are asked.
local function one_of_second(clients)
  local found
  for _, client in ipairs(clients) do
    found = ask(client, "x") == 2 and client or found
  end
  return assert.is_truthy(found) and found
end

local function kill(number)
  for _, thread in ipairs(iocp.threads()) do
    if thread:name() == "iocp serve " .. number then
      thread:cancel("hard")
    end
  end
end

describe("iocp.serve", function()
  it("calls the handler for each connection, and closes it when that has ended", function()
    served({ workers = 2, handler = function(client, worker)
      client:write(worker.number, "\n", (client:peer()), "\n")
    end }, function(service, host, port)
      for _ = 1, 10 do
        local client = assert(iocp.connect(host, port, { timeout = 10000 }))
        assert.matches("^[12]$", client:read())
        assert.equal("127.0.0.1", client:read())
        assert.is_nil(client:read())
        client:close()
      end
      assert.equal(10, service:stats().accepted)
      assert.matches("^iocp.Service: 127.0.0.1:%d+ %(2 workers%)$", tostring(service))
    end)
  end)

  it("keeps a connection in its thread, and shares many among all", function()
    served({ workers = 3 }, function(service, host, port)
      local clients, workers, n = {}, {}, 30
      for i = 1, n do
        clients[i] = assert(iocp.connect(host, port, { timeout = 10000 }))
        workers[i] = ask(clients[i], "first")
      end
      for i = 1, n do
        assert.equal(workers[i], ask(clients[i], "again"))
      end
      local stats = service:stats()
      assert.same({ n, n }, { stats.connections, stats.accepted })
      for i = 1, 3 do
        assert.is_true(stats.workers[i].connections >= n / 3 - 5, i)
      end
      for i = 1, n do
        clients[i]:close()
      end
      assert.is_true(support.eventually(function() return service:stats().connections == 0 end))
    end)
  end)

  it("has one worker hot, where little is to be done", function()
    local n = 50
    served({ workers = 3 }, function(service, host, port)
      for i = 1, n do
        local client = assert(iocp.connect(host, port, { timeout = 10000 }))
        ask(client, tostring(i))
        client:close()
        iocp.sleep(3)
      end
      if support.measures and support.divisor == 1 then
        -- All of them on a machine that has nothing else to do.
        assert.is_true(service:stats().workers[1].accepted > n / 2, service:stats().workers[1].accepted)
      end
    end)
  end)

  it("has at most so many connections at a time; others wait", function()
    served({ workers = 2, max = 3 }, function(service, host, port)
      local clients = {}
      for i = 1, 5 do
        clients[i] = assert(iocp.connect(host, port, { timeout = 10000 }))
        clients[i]:write(i, "\n")
      end
      for i = 1, 3 do
        assert(clients[i]:read())
      end
      iocp.sleep(50)
      assert.equal(3, service:stats().connections)
      clients[1]:close()
      clients[2]:close()
      assert(clients[4]:read())
      assert(clients[5]:read())
      for i = 3, 5 do
        clients[i]:close()
      end
    end)
  end)

  it("tells handlers' errors, and goes on", function()
    local code, output = support.child([[
      local iocp = require "iocp"
      local service = assert(iocp.serve { host = "127.0.0.1", workers = 2, handler = function(client)
        error(client:read())
      end })
      iocp.run(function()
        for _ = 1, 3 do
          local client = assert(iocp.connect(service:address()))
          client:write("boom\n")
          assert(client:read() == nil)
          client:close()
        end
      end)
      assert(service:stop(10000))
    ]])
    assert.equal(0, code, output)
    assert.equal(3, select(2, output:gsub("failed: [^\n]*boom\n", "")))
  end)

  it("is quiet about them, and keeps none, if it is to", function()
    local code, output = support.child([[
      local iocp = require "iocp"
      local service = assert(iocp.serve { host = "127.0.0.1", workers = 1, on_error = "keep", handler = function(client)
        error(client:read())
      end })
      iocp.run(function()
        local client = assert(iocp.connect(service:address()))
        client:write("boom\n")
        assert(client:read() == nil)
        client:close()
      end)
      assert(service:stop(10000))
    ]])
    assert.equal(0, code, output)
    assert.equal("", output)
  end)

  it("says when it ends that its first worker had", function()
    local service = assert(iocp.serve { host = "127.0.0.1", workers = 2, handler = echo })
    kill(1)
    local ok, message, code = service:stop(20000)
    assert.is_nil(ok)
    assert.equal("CANCELLED", code)
    assert.matches("the first worker had ended, and nobody was served from then on: ", message, 1, true)
  end)

  it("is a port's error where it cannot listen, and says which argument is wrong", function()
    local service = assert(iocp.serve { host = "127.0.0.1", workers = 1, handler = echo })
    local _, port = service:address()
    assert.equal("EADDRINUSE", select(3, iocp.serve { host = "127.0.0.1", port = port, handler = echo }))
    assert.is_true(service:stop())
    assert.is_true(service:stop())
    for text, options in pairs { handler = { port = 0 }, workers = { handler = echo, workers = 0 },
      max = { handler = echo, max = 0.5 }, on_error = { handler = echo, on_error = "raise" },
      nonsense = { handler = echo, nonsense = 1 } } do
      local ok, message = pcall(iocp.serve, options)
      assert.is_false(ok)
      assert.matches(text, message, 1, true)
    end
  end)

  it("replaces a worker that has died, and closes what it had", function()
    served({ workers = 2 }, function(service, host, port)
      local clients = connected(12, host, port)
      local of_second = one_of_second(clients)
      kill(2)
      assert.is_nil(of_second:read())
      for _, client in ipairs(clients) do
        client:close()
      end
      local is_back = false
      for i = 1, 50 do
        clients[i] = assert(iocp.connect(host, port, { timeout = 10000 }))
        is_back = is_back or ask(clients[i], "y") == 2
      end
      assert.is_true(is_back)
      for _, client in ipairs(clients) do
        client:close()
      end
      assert.is_true(support.eventually(function() return service:stats().connections == 0 end))
    end)
  end)

  it("gives the connections that a dead worker had not begun to its successor", function()
    local stuck = iocp.Atomic()
    served({ workers = 2, handler = function(client, worker)
      local line = client:read()
      while line do
        if line == "stay" then
          if jit then jit.off(true, true) end -- luacheck: ignore
          stuck:set(1)
          while true do tostring({}) end
        end
        client:write(worker.number, " ", line, "\n")
        line = client:read()
      end
    end }, function(service, host, port)
      local clients = connected(12, host, port)
      one_of_second(clients):write("stay\n")
      assert.is_true(support.eventually(function() return stuck:get() == 1 end))
      local before, late = service:stats().workers[2].accepted, connected(12, host, port)
      assert.is_true(support.eventually(function() return service:stats().accepted == 24 end))
      assert.is_true(service:stats().workers[2].accepted > before)
      kill(2)
      for i, client in ipairs(late) do
        ask(client, "late " .. i)
      end
      for i = 1, 12 do
        clients[i]:close()
        late[i]:close()
      end
      assert.is_true(support.eventually(function() return service:stats().connections == 0 end))
    end)
  end)
end)

describe("service:stop", function()
  it("lets connections end, and cancels those that have not after the time", function()
    local service = assert(iocp.serve { host = "127.0.0.1", workers = 2, handler = echo })
    run(function()
      local client = assert(iocp.connect(service:address()))
      ask(client, "x")
      local stops = spawn(function() return service:stop(support.patience(50)) end)
      iocp.sleep(20)
      ask(client, "still there")
      local host, port = service:address()
      assert.is_nil((iocp.connect(host, port)))
      local _, ok, _, code = stops:wait()
      assert.same({ false, "TIMEOUT" }, { ok or false, code })
      assert.is_nil(client:read())
      client:close()
    end)
  end)

  it("tells the handlers that it is to end", function()
    local service = assert(iocp.serve { host = "127.0.0.1", workers = 1, handler = function(client, worker)
      client:write("begun\n")
      while not worker.stopping do
        require("iocp").sleep(1)
      end
      client:write("ended\n")
    end })
    run(function()
      local client = assert(iocp.connect(service:address()))
      assert.equal("begun", client:read())
      local stops = spawn(function() return service:stop(10000) end)
      assert.equal("ended", client:read())
      assert.same({ true, true }, { stops:wait() })
      client:close()
    end)
  end)

  it("loses no request under load: each is answered, or its connection refused", function()
    local service = assert(iocp.serve { host = "127.0.0.1", workers = 2, handler = function(client)
      local line = client:read()
      if line then
        client:write("answer to ", line, "\n")
      end
    end })
    local answered, refused, lost = 0, 0, {}
    run(function()
      local host, port = service:address()
      local stopping = false
      for i = 1, 8 do
        spawn(function()
          for n = 1, 1000 do
            local client = iocp.connect(host, port, { timeout = support.patience(5000) })
            local text = i .. "." .. n
            local answer, message, code
            if client then
              client:write(text, "\n")
              answer, message, code = client:read()
              client:close()
            end
            if answer == "answer to " .. text then
              answered = answered + 1
            elseif not client or code == "ECONNRESET" and stopping then
              refused = refused + 1
              return
            else
              lost[#lost + 1] = ("%s: %s %s"):format(text, tostring(answer), tostring(message))
              return
            end
          end
        end)
      end
      iocp.sleep(100)
      stopping = true
      assert.is_true(service:stop(10000))
    end)
    assert.same({}, lost)
    assert.is_true(answered > 0)
    assert.is_true(answered <= service:stats().accepted)
  end)
end)
