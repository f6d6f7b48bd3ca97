-- The steps of doc/tutorial.md, with logs that are made by its first program.
local support = require "support"
local unpack = table.unpack or unpack -- luacheck: ignore

local FOLDER = "examples/log_analyser/"
local LINES, LOGS = 3000, 3

describe("the tutorial", function()
  local logs = {}

  -- A program of the tutorial, with arguments and something before it: its exit code, and what it printed.
  local function run(name, before, ...)
    local arguments = {}
    for i, argument in ipairs { ... } do
      arguments[i] = ("%q"):format(argument)
    end
    return support.child(("package.path = %q .. package.path arg = { [0] = %q, %s } %s dofile(arg[0])"):format(
      FOLDER .. "?.lua;", FOLDER .. name, table.concat(arguments, ", "), before))
  end

  local function succeed(name, ...)
    local code, output = run(name, "", ...)
    assert.equal(0, code, output)
    return output
  end

  setup(function()
    for i = 1, LOGS do
      logs[i] = support.temporary()
    end
    succeed("make_logs.lua", tostring(LINES), unpack(logs))
  end)

  teardown(function()
    for _, log in ipairs(logs) do
      os.remove(log)
    end
  end)

  -- Counted otherwise: how many lines of all logs match a pattern.
  local function lines_with(pattern)
    local count = 0
    for _, log in ipairs(logs) do
      count = count + select(2, support.read(log):gsub(pattern, ""))
    end
    return count
  end

  local function has_counted(output)
    assert.matches(("%d requests, "):format(LINES * LOGS), output, 1, true)
    assert.matches(", 0 other lines", output, 1, true)
    for _, status in ipairs { "200", "404", "500" } do
      assert.matches(("statuses  %8d  %s"):format(lines_with('" ' .. status .. " "), status), output, 1, true)
    end
    assert.matches(("failures  %8d  /missing"):format(lines_with("/missing")), output, 1, true)
  end

  for _, step in ipairs { "step1.lua", "step2.lua", "step3.lua", "step4.lua", "step5.lua" } do
    it("counts all lines: " .. step, function()
      has_counted(succeed(step, unpack(logs)))
    end)
  end

  it("cuts files of any shape into pieces whose lines are all of its lines, once", function()
    local pieces = dofile(FOLDER .. "pieces.lua")
    local path = support.temporary()
    local texts = { "", "\n", "a", "a\n", "\n\n", "a\nbc\n\ndef", "a\nbc\r\n\ndef\n", ("x"):rep(40) .. "\ny" }
    for _, text in ipairs(texts) do
      local file = assert(io.open(path, "wb"))
      file:write(text)
      file:close()
      local expected = {}
      for line in io.open(path, "rb"):lines() do
        expected[#expected + 1] = line
      end
      for size = 1, 9 do
        local list, found = {}, {}
        assert.is_true(pieces.split(path, size, list))
        for _, piece in ipairs(list) do
          for line in pieces.lines(piece) do
            found[#found + 1] = line
          end
        end
        assert.same(expected, found)
      end
    end
    os.remove(path)
  end)

  it("tells of files that cannot be read, and counts the others", function()
    for _, step in ipairs { "step4.lua", "step5.lua" } do
      local output = succeed(step, "doc", logs[1], "doc/none.log", logs[2], logs[3])
      has_counted(output)
      assert.matches("\ndoc: ", "\n" .. output, 1, true)
      assert.matches("doc/none.log: no such file", output, 1, true)
    end
  end)

  -- A signal that comes at once, and before any piece is done.
  local INTERRUPTED = [[
    local iocp = require "iocp"
    iocp.signal = function() return { notify = function(_, port) return port:enqueue(1) end } end
  ]]

  it("ends with what there is when Ctrl-C asks for it", function()
    local code, output = run("step5.lua", INTERRUPTED, unpack(logs))
    assert.equal(0, code, output)
    assert.matches("1 of 3 pieces, and no more: Ctrl-C", output, 1, true)
    assert.matches(("%d requests, "):format(LINES), output, 1, true)
  end)

  -- Asks the server that the program makes, twice at once, and says what it answers. Then comes Ctrl-C.
  local ASKED = [[
    local iocp = require "iocp"
    local listen, told = iocp.listen
    iocp.signal = function() return { notify = function(_, port) told = port return port end } end
    local function ask(host, port)
      local client = assert(iocp.connect(host, port))
      client:write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
      print(client:read("*a"))
      client:close()
    end
    iocp.listen = function(...)
      local server = assert(listen(...))
      iocp.spawn(function()
        local host, port = server:address()
        local one, other = iocp.spawn(ask, host, port), iocp.spawn(ask, host, port)
        assert(one:wait() and other:wait())
        told:enqueue(1)
      end)
      return server
    end
  ]]

  it("answers as a server, several clients at a time, until Ctrl-C", function()
    local code, output = run("step6.lua", ASKED, "0", logs[1], "doc/none.log", logs[2], logs[3])
    assert.equal(0, code, output)
    has_counted(output)
    assert.matches("^http://127.0.0.1:%d+/\n", output)
    assert.equal(2, select(2, output:gsub("HTTP/1.1 200 OK", "")))
    assert.equal(2, select(2, output:gsub("none.log: no such file", "")))
  end)
end)
