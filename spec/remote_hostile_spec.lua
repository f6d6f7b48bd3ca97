-- iocp.remote where two things meet that seldom do, and what somebody writes to Redis who means no good. Some of it is
-- written by hand as it would be by workers that are not there.
local iocp = require "iocp"
local support = require "support"
local redis = require "support.redis"

support.nothing = redis.missing()
if support.nothing then
  return
end
local remote, values, links = require "iocp.remote", require "iocp.remote.values", require "iocp.remote.link"
local unpack = rawget(table, "unpack") or unpack
local LONG = support.patience(20000)
local JOBS = "support.remote_jobs"

local server, link, queue, pool, stop
local names = 0

--- A worker of the queue, in a thread of this process.
local function serve(options)
  options = options or {}
  options.redis, options.queue, options.stop = server.redis, queue, iocp.IOCompletionPort()
  options.modules, options.workers = { JOBS }, options.workers or 1
  local thread = assert(iocp.Thread(function(given)
    given.log = function() end
    return require("iocp.remote").serve(given)
  end, options))
  stop = function()
    options.stop:enqueue(1)
    assert(thread:join(LONG))
    stop = nil
  end
end

--- The reply to one of the scripts, for a worker, or another, that is not there.
local function script(name, ...)
  return assert(link:script(name, "iocp:{" .. queue .. "}", { ... }, LONG))
end

local function key(name)
  return "iocp:{" .. queue .. "}:" .. name
end

--- What a worker of that name takes: level, entry, id, function, arguments, timeout, what came before, of each.
local function take(name, most, lease, looks)
  local taken = script("take", name, most, lease or 1000000, looks or "1", 100, "hnl")
  table.remove(taken, 1)
  return taken
end

setup(function()
  server = redis.start()
  link = links.new { path = server.redis }
end)

teardown(function()
  link:close()
  server:close()
end)

before_each(function()
  names = names + 1
  queue = "h" .. names
  pool = assert(remote.Pool { redis = server.redis, queue = queue })
end)

after_each(function()
  if stop then
    stop()
  end
  pool:close()
end)

describe("the scripts of iocp.remote", function()
  it("keep an outcome that came while the job waited for its retry elsewhere", function()
    local task = assert(pool:submit({ body = JOBS .. ":echo", id = "a", retries = 3, backoff = 1 }))
    local slow = take("slow", 1)
    server:command("XCLAIM", key "normal", "workers", "quick", 0, slow[2])
    script("finish", "n", slow[2], "a", "failed", values.encode("error", "no", "ERROR"))
    assert.equal(1, pool:stats().delayed)
    script("finish", "n", slow[2], "a", "completed", values.encode("result", 7)) -- the first is back
    assert.is_true(support.eventually(function()
      take("quick", 1) -- has what is due queued, and finds no job in it
      return pool:stats().delayed == 0
    end))
    take("quick", 1)
    assert.same({ true, 7 }, { task:wait(LONG) })
    assert.same({ true, 7 }, { assert(remote.Pool { redis = server.redis, queue = queue }):task("a"):wait(LONG) })
  end)

  it("find a lease that has ended behind any number of others that are kept", function()
    for i = 1, 150 do
      pool:post({ body = JOBS .. ":echo", id = "job" .. i })
    end
    local all = take("living", 149)
    take("dead", 1)
    assert.is_true(support.eventually(function()
      local beats = { "living" }
      for i = 1, #all, 7 do
        beats[#beats + 1], beats[#beats + 2], beats[#beats + 3] = all[i], all[i + 1], all[i + 2]
      end
      script("beat", unpack(beats))
      return take("idle", 1, 500)[3] == "job150"
    end))
  end)

  it("cancel what was asked to end, and whose worker died of something else", function()
    local task = assert(pool:submit(JOBS .. ":echo"))
    take("dead", 1)
    assert.is_true(task:cancel())
    assert.is_true(support.eventually(function() return #take("next", 1, 1) == 0 and task:wait(1) == nil
      and task.state == "cancelled" end))
    assert.equal(0, pool:stats().active)
  end)

  it("end a chain of any length when its first fails", function()
    local first = assert(pool:submit(JOBS .. ":fail", "x"))
    local base = first:id()
    for i = 1, support.soaked(25000) do -- longer than the stack of Redis' Lua
      local id = "c" .. i
      script("submit", "", "", id, JOBS .. ":echo", "\0", "A=" .. base)
      base = id
    end
    local last = pool:task(base)
    serve()
    assert.equal("CANCELLED", select(3, last:wait(LONG)))
    assert.equal("ERROR", select(3, first:wait(LONG)))
  end)

  it("forget workers that have gone", function()
    serve()
    assert.is_true(pool:submit(JOBS .. ":echo"):wait(LONG))
    stop()
    assert.same({}, server:command("XINFO", "CONSUMERS", key "normal", "workers"))
  end)
end)

describe("a task", function()
  it("is caught by what runs with its error, and passed by what need not", function()
    serve()
    local bad = assert(pool:submit(JOBS .. ":fail", { code = 5 }))
    local said = { bad:catch(JOBS .. ":echo", "more"):wait(LONG) }
    assert.same({ true, "ERROR", { code = 5 }, "more" }, { said[1], unpack(said, 3) })
    said = { pool:submit(JOBS .. ":fail", "text"):catch(JOBS .. ":echo", "more"):wait(LONG) }
    assert.matches("text\nstack traceback", said[2])
    assert.same({ "ERROR", nil, "more" }, { unpack(said, 3, 5) })
    assert.same({ true, 3 }, { pool:submit(JOBS .. ":add", 1, 2):catch(JOBS .. ":fail", "never"):wait(LONG) })
    said = { bad:then_(JOBS .. ":echo"):then_(JOBS .. ":echo"):catch(JOBS .. ":echo"):wait(LONG) }
    assert.same({ "ERROR", { code = 5 } }, { unpack(said, 3) }) -- of the first that failed
  end)

  it("is followed by what runs whatever came of it, and ends as it did", function()
    local path = support.temporary()
    serve()
    assert.same({ true, 3 }, { pool:submit(JOBS .. ":add", 1, 2):finally(JOBS .. ":note", path, "a"):wait(LONG) })
    local bad = assert(pool:submit(JOBS .. ":fail", { code = 5 }))
    local said = { bad:then_(JOBS .. ":echo"):finally(JOBS .. ":note", path, "b"):catch(JOBS .. ":echo"):wait(LONG) }
    assert.same({ "ERROR", { code = 5 } }, { unpack(said, 3) })
    local ok, _, code, value = bad:finally(JOBS .. ":note", path, "c"):wait(LONG)
    assert.same({ "ERROR", { code = 5 } }, { code, value })
    assert.is_nil(ok)
    ok, said = pool:submit(JOBS .. ":add", 1, 2):finally(JOBS .. ":fail", "in finally"):wait(LONG)
    assert.is_nil(ok)
    assert.matches("in finally", said)
    assert.equal("a\nb\nc\n", support.read(path))
    os.remove(path)
  end)
end)

describe("a pool", function()
  it("leaves nothing of a loop in a queue that has no room for all of it", function()
    local small = assert(remote.Pool { redis = server.redis, queue = queue, queue_limit = 3, queue_wait = 10 })
    local ok, message = pcall(small.map, small, { 1, 2, 3, 4, 5 }, JOBS .. ":add")
    assert.is_false(ok)
    assert.matches("is full: 3 jobs are queued", message)
    assert.equal(3, small:stats().cancelled)
    small:close()
  end)

  it("has no methods but those that are documented", function()
    for _, name in ipairs { "ask", "submit_behind", "submit_lists" } do
      assert.is_nil(pool[name])
    end
    assert.is_nil(pool:imap({}, JOBS .. ":add").ended)
  end)

  it("is told at once that its password is wrong", function()
    local own = redis.start(false, { "--requirepass", "secret" }, "secret")
    for said, password in pairs { WRONGPASS = "no", NOAUTH = false } do
      local place = { path = own.redis, password = password or nil }
      local made, message, code = remote.Pool { redis = place, queue = "q", patience = 1e9 }
      assert.is_nil(made)
      assert.matches("refuses: " .. said, message)
      assert.equal("REDIS", code)
    end
    own:close()
  end)

  it("gives up where somebody listens and never answers", function()
    local silent = iocp.listen("127.0.0.1")
    local place = { host = "127.0.0.1", port = select(2, silent:address()) }
    local made, message, code = remote.Pool { redis = place, queue = "q", patience = 50 }
    assert.is_nil(made)
    assert.matches("cannot be used", message)
    assert.is_string(code)
    silent:close()
  end)

  it("has an error where an outcome is none, whatever it is", function()
    local odd = {
      { "failed", values.encode("x", { 1 }, {}) }, { "failed", "\0" }, { "cancelled", values.encode("x", "only") },
      { "completed", "\205\255\255" .. ("\192"):rep(65535) }, { "completed", "" }, { "failed", "\1\192" },
    }
    for i, outcome in ipairs(odd) do
      server:command("HSET", key("job:o" .. i), "s", outcome[1], "o", outcome[2])
      local ok, message, code = pool:task("o" .. i):wait(LONG)
      assert.is_nil(ok)
      assert.matches("what came is damaged", message)
      assert.equal("INVALID", code)
    end
    server:command("XADD", key("told:" .. pool.client), "*", "j", "t", "s", "running", "o", "\0")
    assert.equal("TIMEOUT", select(3, pool:submit({ body = JOBS .. ":add", id = "t" }, 1, 2):wait(50)))
  end)

  it("refuses more values than every Lua can pass", function()
    local ok, message = pcall(pool.submit, pool, JOBS .. ":add", unpack({}, 1, 4001))
    assert.is_false(ok)
    assert.matches("arguments: 4000 values cross to another machine at most", message)
  end)
end)

describe("a worker", function()
  it("runs what two streams gave the same number", function()
    for _, level in ipairs { "high", "normal", "low" } do
      server:command("HSET", key("job:" .. level), "f", JOBS .. ":echo", "a", values.encode("argument", level))
      server:command("XADD", key(level), "5-5", "j", level)
    end
    serve({ lease = 1e9, prefetch = 10 })
    for _, level in ipairs { "high", "normal", "low" } do
      assert.same({ true, level }, { pool:task(level):wait(LONG) })
    end
  end)

  it("takes numbers with a point, which Redis would not", function()
    serve({ lease = 30000.5, prefetch = 2.0, workers = 1.0 })
    assert.is_true(pool:submit(JOBS .. ":echo"):wait(LONG))
  end)

  it("runs on whatever stands in a job's fields, or in its place", function()
    local n = 0
    local function forge(...)
      n = n + 1
      server:command("HSET", key("job:f" .. n), "f", JOBS .. ":echo", "a", "\0", ...)
      server:command("XADD", key "normal", "*", "j", "f" .. n)
    end
    for _, number in ipairs { "-1", "0", "nan", "inf", "-inf", "1e400", "0x10", "", "\0", ("9"):rep(400) } do
      for _, field in ipairs { "t", "e", "n", "x", "r", "b", "p", "c", "w", "k", "d", "s", "m", "v", "q", "y" } do
        forge(field, number)
      end
    end
    for _, word in ipairs { "job:text", "told:text", "after:f1", "scan" } do
      server:command("DEL", key(word))
      server:command("SET", key(word), "text")
    end
    server:command("XADD", key "normal", "*", "j", "text")
    forge("c", "text")
    server:command("HSET", key "job:no_a", "f", JOBS .. ":echo")
    server:command("XADD", key "normal", "*", "j", "no_a")
    serve({ prefetch = 20 })
    assert.equal("INVALID", select(3, pool:task("no_a"):wait(LONG)))
    assert.same({ true, 3 }, { pool:submit(JOBS .. ":add", 1, 2):wait(LONG) })
    assert.is_true(support.eventually(function()
      local stats = pool:stats()
      return stats.active + stats.queued == 0
    end))
  end)

  it("takes no more than it has while Redis does not do what it asks", function()
    serve()
    assert.is_true(pool:submit(JOBS .. ":echo"):wait(LONG))
    server:command("RENAME", key "low", key "kept")
    server:command("SET", key "low", "not a stream")
    for _ = 1, 20 do
      pool:post(JOBS .. ":echo")
    end
    iocp.sleep(600)
    assert.is_true(server:command("XPENDING", key "normal", "workers")[1] <= 2)
    server:command("DEL", key "low")
    server:command("RENAME", key "kept", key "low")
    assert.is_true(support.eventually(function() return (pool:stats() or {}).completed == 21 end))
  end)
end)
