-- iocp.resolve: the addresses of hosts.
local iocp = require "iocp"
local support = require "support"

local LOCAL = { { host = "127.0.0.1", port = 0, family = "inet" }, { host = "::1", port = 0, family = "inet6" } }

-- Runs a script in a process whose system makes of "a.hangs" and its like what spec/c/resolver.c says. Its exit code,
-- what it printed, and how many seconds it took.
local function with_resolver(script)
  local linux, library = require "support.linux", "build/c/resolver.so"
  if not io.open(library) then
    pending("make c-tests builds " .. library)
  end
  local start = iocp.clock()
  linux.environment = "LD_PRELOAD=$PWD/" .. library
  local code, output = support.child([[
    local iocp, support = require "iocp", require "support"
    local port = iocp.IOCompletionPort()
  ]] .. script)
  linux.environment = nil
  return code, output, (iocp.clock() - start) / 1000
end

describe("iocp.resolve", function()
  it("knows localhost and digits at once, with a port or a service's name", function()
    assert.same(LOCAL, (iocp.resolve("localhost"):wait(0)))
    assert.same(LOCAL, (iocp.resolve("LOCALHOST"):wait(0)))
    for host, family in pairs { ["127.0.0.1"] = "inet", ["10.1.2.3"] = "inet", ["::1"] = "inet6",
      ["2001:db8::7"] = "inet6" } do
      assert.same({ { host = host, port = 8080, family = family } }, (iocp.resolve(host, 8080):wait(0)))
      assert.same({ { host = host, port = 65535, family = family } }, (iocp.resolve(host, "65535"):wait(0)))
    end
    assert.equal(80, iocp.resolve("127.0.0.1", "http"):wait(0)[1].port)
  end)

  it("gives the same again and again, in every state", function()
    local lookup = iocp.resolve("localhost", 5)
    assert.same(lookup:wait(), lookup:wait())
    local ok, list = iocp.Thread("return (...):wait(0)", lookup):join(20000)
    assert.is_true(ok)
    assert.same(lookup:wait(), list)
    assert.matches("^iocp%.Lookup: 0x%x+$", tostring(lookup))
  end)

  it("says by name why there are none", function()
    for _, host in ipairs { "1.2.3.4.5", "999.1.1.1", "1:2", ":::" } do
      local list, message, code = iocp.resolve(host):wait(10000)
      assert.is_nil(list)
      assert.matches("cannot resolve " .. host .. ": no such host", message, 1, true)
      assert.equal("EAI_NONAME", code)
    end
    local _, message, code = iocp.resolve("127.0.0.1", "no such service"):wait(10000)
    assert.equal("EAI_SERVICE", code, message)
  end)

  it("is told to a port", function()
    local port, lookup = iocp.IOCompletionPort(), iocp.resolve("localhost")
    local timer = assert(lookup:notify(port, 3, 4))
    assert.same({ 3, 0, 4 }, { port:dequeue(0) })
    assert.is_false(timer:cancel())
    assert.is_false(lookup:cancel())
  end)

  it("refuses wrong arguments by name", function()
    for _, bad in ipairs { 1, {}, "", "a\0b", false } do
      local ok, message = pcall(iocp.resolve, bad)
      assert.is_false(ok)
      assert.matches("host: expected a host's name or address, a string", message, 1, true)
    end
    for _, bad in ipairs { -1, 65536, 1.5, "", {}, false } do
      local ok, message = pcall(iocp.resolve, "localhost", bad)
      assert.is_false(ok)
      assert.matches("service: expected a service's name, or a port from 0 to 65535, or nil", message, 1, true)
    end
    local lookup = iocp.resolve("localhost")
    assert.has_error(function() lookup:wait(-1) end)
    assert.has_error(function() lookup:notify(1, 1) end)
    assert.has_error(function() lookup.wait(iocp.IOCompletionPort()) end)
    assert.has_error(function() iocp.Heap():encode(lookup) end)
  end)
end)

describe("a resolver that hangs", function()
  it("holds nobody longer than his time, and queues no digits", function()
    local code, output = with_resolver [[
      local hanging, start = {}, iocp.clock()
      for i = 1, 6 do hanging[i] = iocp.resolve("a.hangs") end
      print(select(3, hanging[1]:wait(20)), select(3, hanging[6]:wait(20)))
      print(iocp.resolve("127.0.0.1"):wait(0)[1].host, #iocp.resolve("localhost"):wait(0))
      print(select(3, iocp.resolve("a.quick"):wait(20)), iocp.clock() - start < 10000)
    ]]
    assert.equal(0, code, output)
    assert.equal("TIMEOUT\tTIMEOUT\n127.0.0.1\t2\nTIMEOUT\ttrue", output)
  end)

  it("can be given up: who waits goes on, and a port is told", function()
    local code, output = with_resolver [[
      local lookup = iocp.resolve("a.hangs")
      local waiting = iocp.Thread("return select(2, (...):wait())", lookup)
      lookup:notify(port, 1)
      lookup:notify(port, 2):cancel()
      iocp.sleep(50)
      print(lookup:cancel(), lookup:cancel())
      print(port:dequeue(10000))
      print(select("#", port:dequeue(10)))
      print(waiting:join(10000))
      print(lookup:wait())
    ]]
    assert.equal(0, code, output)
    assert.equal("true\tfalse\n1\t0\tnil\n3\ntrue\tthe lookup was cancelled\tCANCELLED\n"
      .. "nil\tthe lookup was cancelled\tCANCELLED", output)
  end)

  it("does not keep a cancelled thread", function()
    local code, output = with_resolver [[
      local thread = iocp.Thread("return select(3, (...):wait())", iocp.resolve("a.hangs"))
      iocp.sleep(50)
      thread:cancel()
      print(thread:join(10000))
    ]]
    assert.same({ 0, "true\tCANCELLED" }, { code, output })
  end)

  it("does not keep Ctrl-C (41)", function()
    local code, output = with_resolver [[
      support.interrupt_soon()
      iocp.resolve("a.hangs"):wait()
    ]]
    assert.equal(1, code, output)
    assert.matches("interrupted!", output, 1, true)
  end)

  for name, ending in pairs { ["its end"] = "", ["os.exit"] = "os.exit(0)",
    ["os.exit that closes the state"] = "os.exit(0, true)" } do
    it("does not keep a process from its end: " .. name .. " (41)", function()
      local code, output, seconds = with_resolver([[
        local hanging = {}
        for i = 1, 8 do hanging[i] = iocp.resolve("a.hangs") hanging[i]:notify(port, i) end
        iocp.sleep(50)
      ]] .. ending)
      assert.same({ 0, "" }, { code, output })
      assert.is_true(seconds < 10)
    end)
  end
end)

describe("a resolver that answers", function()
  it("is asked side by side, and what it says comes with its name", function()
    local code, output = with_resolver [[
      local list = {}
      for i = 1, 4 do list[i] = iocp.resolve("a.slow", i) list[i]:notify(port, i) end
      for _ = 1, 4 do assert(port:dequeue(10000)) end
      for i = 1, 4 do io.write(list[i]:wait(0)[1].host, " ", list[i]:wait(0)[1].port, " ") end
      print()
      for _, address in ipairs(iocp.resolve("a.quick", "http"):wait()) do
        io.write(address.host, " ", address.port, " ", address.family, " ")
      end
      print()
      for _, name in ipairs { "again", "fails", "nobody" } do
        io.write(select(3, iocp.resolve("a." .. name):wait()), " ")
      end
    ]]
    assert.equal(0, code, output)
    assert.equal("192.0.2.1 1 192.0.2.1 2 192.0.2.1 3 192.0.2.1 4 \n"
      .. "192.0.2.1 80 inet 2001:db8::1 80 inet6 \nEAI_AGAIN EAI_FAIL EAI_NONAME ", output)
  end)
end)
