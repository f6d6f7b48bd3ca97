-- What goes wrong in a server of fibers, a case each: who leaves, is slow, waits in vain, is cancelled, holds the
-- thread, or finds no descriptor left. Lines, limits, slow readers and stops under load are in stream_spec and
-- serve_spec.
local iocp = require "iocp"
local support = require "support"
local run, spawn = iocp.run, iocp.spawn

local PATIENCE = support.patience(20000) -- ms
local LARGE = ("x"):rep(8 * 1024 * 1024)

local function code_of(_, _, code)
  return code
end

--- Calls f with what waits in vain: name -> function.
local function with_waits(f)
  run(function()
    local server = assert(iocp.listen("127.0.0.1"))
    local host, port = server:address()
    local client, peer = assert(iocp.connect(host, port)), assert(server:accept())
    local full = assert(iocp.connect(host, port))
    local idle = assert(server:accept())
    local spare = assert(iocp.connect(host, port, { max_unsent = #LARGE }))
    local spare_peer = assert(server:accept())
    local datagram, other = assert(iocp.datagram("127.0.0.1")), iocp.IOCompletionPort()
    local from, to = iocp.File.pipe()
    local pipe = assert(iocp.open_file(from))
    local sleeper = spawn(function()
      repeat until not iocp.sleep(60000)
    end)
    local condition = iocp.Condition()
    assert(spare:write(LARGE))
    f({
      sleep = function() return iocp.sleep(60000) end,
      condition = function() return condition:wait() end,
      fiber = function() return sleeper:wait() end,
      dequeue = function() return other:dequeue() end,
      receive = function() return other:receive() end,
      own = function() return iocp.port():dequeue() end,
      accept = function() return server:accept() end,
      line = function() return client:read() end,
      whole_line = function() return client:read("L") end,
      bytes = function() return client:read(10) end,
      all = function() return client:read("a") end,
      some = function() return client:read_some() end,
      write = function() return full:write(LARGE) end,
      flush = function() return spare:flush() end,
      datagram = function() return datagram:receive() end,
      pipe = function() return pipe:read() end,
    })
    sleeper:cancel()
    for _, stream in ipairs { client, peer, idle, spare_peer } do
      stream:close()
    end
    spare_peer:close()
    spawn(full.close, full)
    spawn(spare.close, spare)
    pipe:close()
    to:close()
    datagram:close()
    server:close()
    other:close()
  end)
end

describe("every wait", function()
  it("ends when its fiber is cancelled, and has no other outcome", function()
    with_waits(function(waits)
      for name, wait in pairs(waits) do
        local ended = 0
        local fiber = spawn(function()
          local code = code_of(wait())
          ended = ended + 1
          return code
        end)
        iocp.sleep(1)
        assert.equal("waiting", fiber:status(), name)
        assert.is_true(fiber:cancel())
        assert.same({ true, "CANCELLED" }, { fiber:wait() }, name)
        assert.equal(1, ended, name)
      end
    end)
  end)

  it("ends when its time has passed", function()
    with_waits(function(waits)
      for name, wait in pairs(waits) do
        local code = "none"
        local _, _, outer = iocp.within(10, function()
          code = code_of(wait())
        end)
        assert.same({ "TIMEOUT", "TIMEOUT" }, { code, outer }, name)
      end
    end)
  end)

  it("raises when its fiber is cancelled hard", function()
    with_waits(function(waits)
      for name, wait in pairs(waits) do
        local fiber = spawn(function()
          wait()
          return "went on"
        end)
        iocp.sleep(1)
        fiber:cancel("hard")
        local _, message, code = fiber:wait()
        assert.equal("CANCELLED", code, name)
        assert.matches("this fiber was cancelled", message, 1, true)
      end
    end)
  end)
end)

--- Waits, in a fiber, until the list has n entries.
local function wait_for(list, n)
  local limit = iocp.clock() + PATIENCE
  while #list < n and iocp.clock() < limit do
    iocp.sleep(2)
  end
end

describe("a client", function()
  local function served(handler, f, options)
    run(function()
      local server = assert(iocp.listen("127.0.0.1", 0, options))
      local host, port = server:address()
      local ended = {}
      local acceptor = spawn(function()
        local client = server:accept()
        while client do
          spawn(function(own)
            local results = { handler(own) }
            ended[#ended + 1] = results
            own:close()
          end, client)
          client = server:accept()
        end
      end)
      f(host, port, ended)
      server:close()
      acceptor:wait()
    end)
  end

  --- Reads lines until none comes: how many, and why.
  local function count_lines(client)
    local n = 0
    local line, _, code = client:read("L")
    while line and line:sub(-1) == "\n" do
      n = n + 1
      line, _, code = client:read("L")
    end
    return n, line or code
  end

  it("that leaves in the middle of a line has its half line read, and the others their answers", function()
    served(count_lines, function(host, port, ended)
      local stays = assert(iocp.connect(host, port))
      local leaves = assert(iocp.connect(host, port))
      leaves:write("one\ntwo\nhal")
      leaves:close()
      wait_for(ended, 1)
      assert.same({ 2, "hal" }, ended[1])
      stays:write("still here\n")
      stays:close()
      wait_for(ended, 2)
      assert.equal(1, ended[2][1])
    end)
  end)

  it("that leaves while it is written to ends the write", function()
    served(function(client)
      local ok, _, code = true, nil, nil
      while ok do
        ok, _, code = client:write(("x"):rep(100000))
      end
      return code
    end, function(host, port, ended)
      local client = assert(iocp.connect(host, port))
      assert(client:read(1000))
      client:close()
      wait_for(ended, 1)
      local code = ended[1][1]
      assert.is_true(code == "ECONNRESET" or code == "EPIPE" or code == "ECONNABORTED", code)
    end)
  end)

  it("may be one of 1,000 that send a byte now and then: all time out, none holds another", function()
    local n = math.min(1000, support.scaled(5000))
    served(function(client)
      client:timeout(support.patience(2000))
      local line, _, code = client:read()
      if line then
        client:write("answer to ", line, "\n")
      end
      return code or line
    end, function(host, port, ended)
      local slow = {}
      for i = 1, n do
        slow[i] = assert(iocp.connect(host, port))
        slow[i]:write("G")
      end
      local quick = assert(iocp.connect(host, port))
      quick:write("quick\n")
      assert.equal("answer to quick", quick:read())
      quick:close()
      for i = 1, n do
        slow[i]:write("E")
      end
      local codes, seen, limit = { TIMEOUT = 0 }, 0, iocp.clock() + PATIENCE
      while codes.TIMEOUT < n and iocp.clock() < limit do
        wait_for(ended, seen + 1)
        for i = seen + 1, #ended do
          codes[ended[i][1]] = (codes[ended[i][1]] or 0) + 1
        end
        seen = #ended
      end
      codes.ECONNRESET = nil -- a stranger, who looks for ports, may have come by
      assert.same({ TIMEOUT = n, quick = 1 }, codes)
      for i = 1, n do
        slow[i]:close()
      end
    end)
  end)
end)

describe("a server without descriptors", function()
  it("says so, and goes on when there are some", function()
    local code, output = support.child([[
      local iocp = require "iocp"
      local run, spawn = iocp.run, iocp.spawn
      run(function()
        local server = assert(iocp.listen("127.0.0.1", 0, { backlog = 256 }))
        local host, port = server:address()
        local answered, clients, hoard = 0, {}, {}
        for i = 1, 8 do
          clients[i] = assert(iocp.connect(host, port))
        end
        local file = io.open("/dev/null")
        while file do
          hoard[#hoard + 1] = file
          file = io.open("/dev/null")
        end
        local acceptor = spawn(function()
          local told = 0
          local client, _, code = server:accept()
          while code ~= "CLOSED" do
            if client then
              spawn(function(own)
                own:write(own:read(), "\n")
                own:close()
              end, client)
            elseif code == "EMFILE" then
              told = told + 1
              iocp.sleep(5)
            end
            client, _, code = server:accept()
          end
          return told
        end)
        iocp.sleep(100)
        for _, file in ipairs(hoard) do
          file:close()
        end
        for i, client in pairs(clients) do
          client:write("line ", i, "\n")
          answered = answered + (client:timeout(10000):read() == "line " .. i and 1 or 0)
          client:close()
        end
        server:close()
        local _, told = acceptor:wait()
        print("told", told > 0, "answered", answered == #clients)
      end)
    ]], 60, nil, nil, 64)
    assert.equal(0, code, output)
    assert.matches("told%s+true%s+answered%s+true", output)
  end)
end)

describe("a fiber that does not wait", function()
  it("is told with IOCP_DEBUG=1", function()
    local command = support.lua_command([[
      local iocp = require "iocp"
      iocp.run(function()
        iocp.spawn { name = "the busy one", body = function()
          local began = iocp.clock()
          while iocp.clock() - began < 150 do
            iocp.clock()
          end
          iocp.yield()
        end }
        iocp.spawn { name = "the idle one", body = function() iocp.sleep(200) end }
      end)
    ]])
    command.stderr = "pipe"
    command.env = support.environment { IOCP_DEBUG = "1", LUA_PATH = package.path, LUA_CPATH = package.cpath }
    local told = run(function()
      local process = assert(iocp.Process(command))
      local errors = assert(iocp.open_file(process.stderr))
      local text = errors:read("a")
      errors:close()
      assert.same({ true, 0 }, { process:wait() }, text)
      return text
    end)
    os.remove(command[#command])
    assert.matches("fiber the busy one ran for %d+ ms without a wait", told)
    assert.is_nil(told:find("the idle one ran", 1, true))
  end)
end)
