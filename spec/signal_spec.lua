-- Signals in threads on Linux: that what a thread starts, or does, meets the signals that it meets in the main script.
local iocp = require "iocp"
local support = require "support"

if support.windows then
  support.nothing = "Windows has no signals"
  return
end

-- What `body` returns in the main script and in a thread, as texts.
local function both(body)
  local source = ([[
    local function texts(...)
      local list = { ... }
      for i = 1, select("#", ...) do list[i] = tostring(list[i]) end
      return table.concat(list, " ")
    end
    return texts((function() %s end)())
  ]]):format(body)
  local ok, in_thread = iocp.Thread(source):join(60000)
  assert.is_true(ok, in_thread)
  return (loadstring or load)(source)(), in_thread
end

describe("a program that a thread starts", function()
  -- Some shells clear the mask for what they start; what they are replaced by has theirs.
  local programs = {
    ["a pipe whose reader leaves (PIPE)"] = "exec timeout -s KILL 10 sh -c 'while :; do echo y; done | head -1'",
    ["a shell that waits for its children (CHLD)"] = "exec timeout -s KILL 10 sh -c 'sleep 0.05 & wait'",
    ["Ctrl-C (INT)"] = "exec timeout -s INT 0.2 sleep 5",
    ["kill (TERM)"] = "exec timeout 0.2 sleep 5",
    ["a shell that a signal ends"] = "kill -USR1 $$",
    ["what it blocks and ignores"] = "exec grep -E 'Sig(Blk|Ign)' /proc/self/status",
  }
  for name, command in pairs(programs) do
    it("behaves as in the main script: " .. name, function()
      local main, thread = both(("local p = io.popen(%q) return p:read('*a'), p:close()"):format(command))
      assert.equal(main, thread)
      main, thread = both(("return os.execute(%q)"):format(command .. " >/dev/null"))
      assert.equal(main, thread)
    end)
  end

  it("behaves so in a thread's thread and in a pool", function()
    local command = "exec grep SigBlk /proc/self/status"
    local pool = iocp.Pool(1)
    local function blocked(text)
      return io.popen(text):read("*a")
    end
    local here = blocked(command)
    assert.same({ true, here }, { pool:submit(blocked, command):wait(10000) })
    assert.same({ true, here }, { iocp.Thread([[
      local command = ...
      return select(2, require("iocp").Thread("return io.popen(...):read('*a')", command):join())
    ]], command):join(10000) })
    pool:shutdown()
  end)
end)

describe("a thread", function()
  it("that writes to a broken pipe ends the process as the main script would", function()
    local codes = {}
    for i, where in ipairs { "(loadstring or load)(body)()", "require('iocp').Thread(body):join()" } do
      codes[i] = support.child(([[
        local body = "local p = io.popen('exec true', 'w') for _ = 1, 1000 do p:write(('x'):rep(4096)) p:flush() end"
        %s
        os.exit(7)
      ]]):format(where), 20, nil, true)
    end
    assert.equal(codes[1], codes[2])
  end)

  it("leaves Ctrl-C to the main script, however many run and wait", function()
    for _ = 1, support.scaled(5) > 10 and 5 or 1 do
      local code, output = support.child([[
        local iocp, support = require "iocp", require "support"
        local port = iocp.IOCompletionPort()
        for i = 1, 8 do
          iocp.Thread(i % 2 == 0 and "while true do end" or "local port = ... port:dequeue()", port)
        end
        support.interrupt_soon()
        print(pcall(iocp.sleep, 15000))
      ]], 20, nil, true)
      assert.equal(0, code, output)
      assert.matches("^false.*interrupted!", output)
    end
  end)
end)
