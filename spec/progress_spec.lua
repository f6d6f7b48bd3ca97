-- What a loop over a pool shows of its progress.
local iocp = require "iocp"
local support = require "support"

describe("progress", function()
  local pool
  before_each(function()
    pool = iocp.Pool(2)
  end)
  after_each(function()
    pool:close()
  end)
  local list = {}
  for i = 1, 100 do
    list[i] = i
  end

  it("is told to a function", function()
    local calls, last, total = 0, 0, nil
    pool:map(list, function(x) return x end, { chunk = 10, progress = function(done, all, ms)
      assert.is_true(done > last and ms >= 0)
      calls, last, total = calls + 1, done, all
    end })
    assert.same({ 10, 100, 100 }, { calls, last, total })
  end)

  it("is a line at the end where there is no terminal", function()
    local code, output = support.child([[
      local list = {}
      for i = 1, 1234 do list[i] = i end
      local pool = require("iocp").Pool(2)
      pool:map(list, function(x) return x end, { progress = true, name = "work" })
      pool:map({}, function(x) return x end, { progress = true, name = "nothing" })
      pool:shutdown()
    ]])
    assert.equal(0, code, output)
    assert.matches("^work 100 %% 1234/1234, [%d.]+ ?[kM]?/s, ETA 0:00\r?\nnothing 100 %% 0/0, 0/s, ETA 0:00", output)
  end)

  describe("on a terminal", function()
    -- The lines that a reader sees in the end: each is what the last carriage return left of it.
    local function screen(output)
      local lines = {}
      for line in output:gmatch("([^\n]*)\n?") do
        lines[#lines + 1] = line:gsub("\r$", ""):gsub(".*\r", "")
      end
      return lines
    end

    local function run(options, f, columns, kind)
      return support.on_terminal(support.interpreter(), ([[
        local iocp = require "iocp"
        local list = {}
        for i = 1, 40 do list[i] = i end
        print(pcall(function()
          iocp.Pool(2):map(list, %s, { chunk = 1, progress = true, name = %s })
        end))
      ]]):format(f, options), columns, kind or "xterm")
    end

    local slow = "function(x) require('iocp').sleep(20) return x end"

    local names = { '"a"', '("long"):rep(15)', '("\195\164"):rep(30)',
      '("\230\188\162"):rep(21)', '"a\\nb\\27[2J"' }

    it("is a line that never reaches the last column, however long the name", function()
      for _, columns in ipairs { 30, 80 } do
        for _, name in ipairs(names) do
          local output = run(name, slow, columns)
          local drawn = 0
          for line in (output:match("^(.-)\n") .. "\r"):gmatch("([^\r]*)\r") do
            local _, letters = line:gsub("[%z\1-\127\192-\255]", "")
            local _, wide = line:gsub("[\224-\255]", "")
            assert.is_true(letters + wide < columns, line)
            assert.is_nil(line:find("\27", 1, true))
            drawn = drawn + (line ~= "" and 1 or 0)
          end
          assert.is_true(drawn >= 3, output)
          assert.equal("true", screen(output)[2])
        end
      end
      assert.matches("^%[#+%] a 100 %% 40/40, [%d.]+/s, ETA 0:00 *$", screen(run('"a"', slow, 80))[1])
    end)

    it("is left by a new line after an error, or Ctrl-C", function()
      local failing = "function(x) require('iocp').sleep(20) if x > 20 then error('bad', 0) end end"
      assert.matches("^false\titem %d+: bad", screen(run('"a"', failing, 80))[2])
      assert.matches("^%[#+%.+%] a +%d+ %%", screen(run('"a"', failing, 80))[1])
      local output = support.on_terminal(support.interpreter(), [[
        require("support").interrupt_soon()
        local list = {}
        for i = 1, 1000 do list[i] = i end
        local pool = require("iocp").Pool(2)
        pool:map(list, function() require("iocp").sleep(20) end, { chunk = 1, progress = true, name = "a" })
      ]], 80, "xterm")
      assert.matches("^%[[#.]+%] a +%d+ %% [^\r\n]* *\r?\n[^\r\n]*interrupted!", output:gsub("^.*\r(%[)", "%1"))
    end)

    it("that is dumb is lines", function()
      local output = run('"a"', slow, 80, "dumb")
      assert.matches("^a 100 %% 40/40, [^\r\n]*\r?\ntrue", output)
    end)
  end)
end)
