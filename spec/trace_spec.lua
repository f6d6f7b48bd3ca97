-- What a pool's workers did, as a file.
local iocp = require "iocp"
local support = require "support"

describe("a trace", function()
  local pool
  before_each(function()
    pool = iocp.Pool(2)
  end)
  after_each(function()
    pool:close()
  end)
  local path = os.tmpname()
  teardown(function()
    os.remove(path)
  end)

  it("says what ran where and when", function()
    assert.same({ nil, "nothing is recorded: call trace with a path first", "INVALID" }, { pool:trace() })
    assert.is_true(pool:trace(path))
    for _ = 1, 600 do -- more than one piece of memory takes
      pool:submit { body = function() end, name = 'a "quoted" \\ name' }
    end
    pool:submit({ body = function() error("x") end, name = "bad" }):wait()
    assert.is_true(support.eventually(function() return pool:idle() end))
    assert.is_true(pool:trace())
    pool:submit(function() end):wait()
    local file = assert(io.open(path))
    local text = file:read("*a")
    file:close()
    assert.matches('^%[{"name":"process_name","ph":"M","pid":1,"args":{"name":"iocp pool"}},\n', text)
    assert.matches("\n%]\n$", text)
    local name = '"name":"a \\u0022quoted\\u0022 \\u005c name"'
    local _, events = text:gsub(name .. ',"ph":"X","pid":1,"tid":%d,"ts":[%d.]+,"dur":[%d.]+', "")
    assert.equal(600, events)
    assert.matches('{"name":"bad",[^\n]*"cat":"failed","args":{"state":"failed"},"cname":"terrible"}', text)
    assert.matches('"name":"thread_name","ph":"M","pid":1,"tid":%d,"args":{"name":"worker %d"}', text)
  end)

  it("that cannot be written says why", function()
    assert.is_true(pool:trace("no/such/folder/x.json"))
    local ok, message, code = pool:trace()
    assert.is_nil(ok)
    assert.matches("no/such/folder", message, 1, true)
    assert.equal("ERROR", code)
  end)

  it("is JSON whatever a task's name is, and the locale", function()
    local code, output = support.child(([[
      local format = string.format
      string.format = function(pattern, ...) -- as where numbers have a comma: not every system has such a locale
        return (format(pattern, ...):gsub("^(.*)$", pattern:find("%%%%%%.[1-9]") and "%%1,5" or "%%1"))
      end
      local pool = require("iocp").Pool(1)
      pool:trace(%q)
      for _, name in ipairs { "\195\164\226\130\172\240\159\153\130", "\228\255 \195", "\237\160\128", "\1\127" } do
        pool:submit({ body = function() end, name = name }):wait()
      end
      assert(pool:trace())
    ]]):format(path))
    assert.same({ 0, "" }, { code, output })
    local names = {}
    for line in io.lines(path) do
      local name = line:match('^{"name":"([^"]*)","ph":"X","pid":1,"tid":1,"ts":%d+%.%d%d%d,"dur":%d+%.%d%d%d,"cat"')
      if line:find('"cat":"completed"', 1, true) then
        names[#names + 1] = assert(name, line)
      end
    end
    local bad = "\239\191\189"
    assert.same({ "\195\164\226\130\172\240\159\153\130", bad .. bad .. " " .. bad, bad .. bad .. bad,
      "\\u0001\\u007f" }, names)
  end)
end)
