-- What somebody can do who can write to Redis: have a worker run what it serves, with any arguments, and nothing else.
-- And what damaged or hostile bytes do to pools and workers: nothing but errors.
local iocp = require "iocp"
local support = require "support"
local redis = require "support.redis"

support.nothing = redis.missing()
if support.nothing then
  return
end
local remote, values, allow = require "iocp.remote", require "iocp.remote.values", require "iocp.remote.allow"
local LONG = support.patience(20000)
local JOBS = "support.remote_jobs"

describe("values from elsewhere", function()
  local kept = {
    { n = 0 }, { n = 1 }, { n = 3, nil, nil, nil }, { n = 4, 1, "", false, true },
    { n = 4, 0.5, -1.25e300, 2 ^ -1074, -2 ^ -1030 },
    { n = 2, "a\0\255b", ("x"):rep(70000) }, { n = 1, { 1, 2, { 3, { a = {} } } } }, { n = 1, { [1] = 1, [3] = 3 } },
    { n = 1, { [0.5] = 1, [2] = 2 } }, { n = 1, { [true] = 1, [-7] = { "x" } } },
    { n = 4, 127, -32, 128, -33 }, { n = 4, 2 ^ 31, -2 ^ 31 - 1, 2 ^ 53 - 1, 2 ^ 53 + 2 },
  }

  it("are what they were", function()
    for i, list in ipairs(kept) do
      local text = assert(values.encode("argument", (rawget(table, "unpack") or unpack)(list, 1, list.n)))
      assert.same(list, values.list(text), tostring(i))
    end
    local text = values.encode("argument", -1 / math.huge, math.huge - math.huge, math.huge, 3.0)
    local zero, nan, huge, three = values.decode(text)
    assert.equal(-math.huge, 1 / zero)
    assert.is_true(nan ~= nan)
    assert.equal(math.huge, huge)
    if math.type then
      assert.equal("float", math.type(three))
      assert.equal("integer", math.type(values.decode(values.encode("argument", 3))))
      for _, n in ipairs { math.maxinteger, math.mininteger, math.tointeger(2 ^ 53) + 1 } do
        assert.equal(n, (values.decode(values.encode("argument", n))))
      end
    else
      assert.is_nil((values.list("\1\215\1\0\64\0\0\0\0\0\1"))) -- 2^54 + 1, which this Lua would round
    end
  end)

  it("go without metatables, read without metamethods", function()
    local never = function() error("called") end
    local t = setmetatable({ 1, x = 2 }, { __index = never, __pairs = never, __len = never })
    local back = values.decode(values.encode("argument", t))
    assert.same({ 1, x = 2 }, back)
    assert.is_nil(getmetatable(back))
  end)

  it("leave other users of the library alone", function()
    local theirs = require "MessagePack"
    assert.is_false(pcall(theirs.pack, print))
    theirs.set_array "always_as_map"
    local text = values.encode("argument", { 1, 2 })
    theirs.set_array "without_hole"
    assert.equal("\1\146\1\2", text)
  end)

  it("are refused when they are damaged, and never load code", function()
    for _, text in ipairs { "", "\1", "\2\1", "\1\1\1", "\192", "\255", "\1\193", "\1\199\3\9abc", "\1\215\2abcdefgh",
      "\203\127\240\0\0\0\0\0\0", "\221\255\255\255\255", "\1\221\255\255\255\255\1", "\1\219\255\255\255\255x",
      "\27Lua", "\27LJ\2" } do
      local list, message = values.list(text)
      assert.is_nil(list)
      assert.is_string(message)
    end
    for _, opener in ipairs { "\145", "\129\1" } do -- lists and maps in each other, deeper than any stack
      assert.is_nil((values.list("\1" .. opener:rep(1000000))))
    end
  end)

  it("whatever bytes come, are a list or an error", function()
    local seed = values.encode("argument", 1, { a = { 1.5, "x", -700, 2 ^ 40 }, b = true }, ("y"):rep(300), nil)
    for _ = 1, support.soaked(20000) do
      local text = seed
      for _ = 1, math.random(4) do
        local at = math.random(#text)
        text = text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + math.random(0, 2))
      end
      local list, message = values.list(text)
      assert.is_true(type(list) == "table" or type(message) == "string")
    end
  end)
end)

describe("what a worker serves", function()
  it("is what it was told, by the whole name", function()
    local modules = allow.read { "a", "b.c", d = { "f" } }
    for name, served in pairs { ["a:f"] = true, ["a:g"] = true, ["b.c:f"] = true, ["d:f"] = true, ["d:g"] = false,
      ["b:f"] = false, ["c:f"] = false, ["A:f"] = false, ["a:f()"] = false, ["a:f.g"] = false, ["a::f"] = false,
      ["../a:f"] = false, ["a/../b:f"] = false, ["a"] = false, [":f"] = false, ["a:"] = false, ["a:f\n"] = false,
      ["a\0:f"] = false, [""] = false, ["os:execute"] = false, ["_G:load"] = false, ["1:f"] = false } do
      assert.equal(served, allow.has(modules, name), name)
    end
    for _, wrong in ipairs { {}, { 1 }, { "a:b" }, { a = "f" }, { a = { 1 } }, { "" }, { "../a" } } do
      assert.is_nil(allow.read(wrong))
    end
  end)
end)

describe("who can write to Redis", function()
  local server, stop, pool, log

  setup(function()
    server = redis.start()
    log = iocp.IOCompletionPort()
    local options = { redis = server.redis, queue = "q", modules = { [JOBS] = { "add", "echo" } },
      workers = 1, stop = iocp.IOCompletionPort(), lease = 1000 }
    local thread = assert(iocp.Thread(function(given, to)
      local port = to
      given.log = function(text) port:send(text) end
      return require("iocp.remote").serve(given)
    end, options, log))
    stop = function()
      options.stop:enqueue(1)
      assert(thread:join(LONG))
    end
    pool = assert(remote.Pool { redis = server.redis, queue = "q" })
  end)

  teardown(function()
    pool:close()
    stop()
    server:close()
  end)

  local function forge(id, ...)
    server:command("HSET", "iocp:{q}:job:" .. id, ...)
    server:command("XADD", "iocp:{q}:normal", "*", "j", id)
    return pool:task(id):wait(LONG)
  end

  local function works()
    assert.same({ true, 3 }, { pool:submit(JOBS .. ":add", 1, 2):wait(LONG) })
  end

  it("has no function run that is not served, nor code that it sends", function()
    local path = support.temporary()
    os.remove(path)
    local n = 0
    for _, f in ipairs { "os:execute", "io:open", "_G:dofile", "package:loadlib", "debug:sethook", "string:rep",
      "iocp:Thread", "iocp.remote.job:run", JOBS .. ":note", JOBS .. ":die", JOBS .. ":nothing", "os.execute",
      "return os.execute", "\27Lua", ("x"):rep(100000) } do
      n = n + 1
      local ok, _, code = forge("forged" .. n, "f", f, "a", values.encode("argument", "touch " .. path))
      assert.is_nil(ok)
      assert.equal("REFUSED", code)
    end
    assert.is_nil((io.open(path)))
    works()
  end)

  it("has its damaged arguments refused, and the worker goes on", function()
    for i, a in ipairs { "", "x", "\255", "\1", "\27Lua", "\1" .. ("\145"):rep(1000000) } do
      local ok, _, code = forge("damaged" .. i, "f", JOBS .. ":echo", "a", a)
      assert.is_nil(ok)
      assert.equal("INVALID", code)
    end
    assert.equal("INVALID", select(3, forge("absent", "f", JOBS .. ":echo")))
    works()
  end)

  it("writes no control characters to the log", function()
    local text
    forge("esc", "f", "x\27[2J\n:y", "a", "\0")
    assert.is_true(support.eventually(function()
      local ok, line = log:receive(0)
      text = ok and line:find("2J", 1, true) and line or text
      return text ~= nil
    end))
    assert.is_nil(text:find("%c"))
  end)

  it("breaks neither with odd fields, entries and outcomes", function()
    server:command("HSET", "iocp:{q}:job:odd", "f", JOBS .. ":add", "a", "\2\1\2", "t", "x", "n", "x", "x", "y", "r",
      "z")
    server:command("XADD", "iocp:{q}:high", "*", "j", "odd", "more", "fields")
    server:command("XADD", "iocp:{q}:high", "*", "x", "nothing")
    server:command("XADD", "iocp:{q}:low", "*", "j", "not there")
    assert.same({ true, 3 }, { pool:task("odd"):wait(LONG) })
    server:command("HSET", "iocp:{q}:job:bad", "s", "completed", "o", "garbage")
    assert.equal("INVALID", select(3, pool:task("bad"):wait(LONG)))
    local told = "iocp:{q}:told:" .. pool.client
    for _, fields in ipairs { { "x", "y" }, { "j", "no one", "s", "completed", "o", "\0" },
      { "j", "a", "s", "b", "c", "d" } } do
      server:command("XADD", told, "*", (rawget(table, "unpack") or unpack)(fields))
    end
    works()
  end)
end)
