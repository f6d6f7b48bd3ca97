-- iocp.remote: the pool beyond one machine, over a redis-server of this spec's own.
local iocp = require "iocp"
local support = require "support"
local redis = require "support.redis"

support.nothing = redis.missing()
if support.nothing then
  return
end
local remote = require "iocp.remote"
local LONG = support.patience(20000)
local JOBS = "support.remote_jobs"

local server, names = nil, 0
local pools, services = {}, {}

--- A queue that no other spec uses.
local function new_queue()
  names = names + 1
  return "q" .. names
end

local function new_pool(queue, options)
  options = options or {}
  options.redis, options.queue = server.redis, queue
  local pool = assert(remote.Pool(options))
  pools[#pools + 1] = pool
  return pool
end

--- A worker in a thread of this process; a function that ends it.
local function serve(queue, options)
  options = options or {}
  options.redis, options.queue, options.stop = server.redis, queue, iocp.IOCompletionPort()
  options.modules, options.workers = options.modules or { JOBS }, options.workers or 2
  local thread = assert(iocp.Thread(function(given, log)
    local file_of_log = log
    given.log = function(text) file_of_log:send(text) end
    return require("iocp.remote").serve(given)
  end, options, server.log))
  local function stop()
    if options.stop then
      options.stop:enqueue(1)
      options.stop = nil
      assert(thread:join(LONG))
    end
  end
  services[#services + 1] = stop
  return stop
end

--- Something in the log of the workers of this process that matches.
local function logged(pattern)
  return support.eventually(function()
    local ok, text = server.log:receive(0)
    return ok and text:find(pattern) ~= nil
  end)
end

setup(function()
  server = redis.start()
  server.log = iocp.IOCompletionPort()
end)

teardown(function()
  server:close()
end)

after_each(function()
  for _, stop in ipairs(services) do
    stop()
  end
  for _, pool in ipairs(pools) do
    pool:close()
  end
  services, pools = {}, {}
end)

describe("a remote pool", function()
  it("runs jobs elsewhere: results, errors with tracebacks and values", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    serve(queue)
    local task = assert(pool:submit(JOBS .. ":add", 1, 2))
    assert.same({ true, 3 }, { task:wait(LONG) })
    assert.same({ true, 3 }, { task:wait() })
    assert.same({ true, 3 }, { task:result() })
    assert.equal("completed", task:status())
    local ok, message, code, value = pool:submit(JOBS .. ":fail", "broken"):wait(LONG)
    assert.is_nil(ok)
    assert.matches("remote_jobs.lua:%d+: broken\nstack traceback:\n.*remote_jobs.lua", message)
    assert.equal("ERROR", code)
    assert.is_nil(value)
    ok, message, code, value = pool:submit(JOBS .. ":fail", { code = 5 }):wait(LONG)
    assert.is_nil(ok)
    assert.is_string(message)
    assert.equal("ERROR", code)
    assert.same({ code = 5 }, value)
  end)

  it("keeps arguments and results as they are", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    serve(queue)
    local list = { pool:submit(JOBS .. ":echo", nil, false, "a\0b\255", 1.5, { 1, { x = { 2, 3 } } }, nil):wait(LONG) }
    assert.same({ true, nil, false, "a\0b\255", 1.5, { 1, { x = { 2, 3 } } } }, list)
    assert.equal(7, select("#", pool:submit(JOBS .. ":echo", nil, 1, 2, 3, 4, nil):wait(LONG)))
    local long = ("0123456789"):rep(100000) -- too long for the stream of outcomes
    assert.is_true(long == select(2, pool:submit(JOBS .. ":echo", long):wait(LONG)))
    local ok, message = pool:submit(JOBS .. ":gives_function"):wait(LONG)
    assert.is_nil(ok)
    assert.matches("^result 1.inner%[1%]: a function cannot cross to another machine", message)
  end)

  it("refuses what cannot cross, with its path, before anything is sent", function()
    local pool = new_pool(new_queue())
    local port, cycle = iocp.IOCompletionPort(), {}
    cycle.inner = { cycle }
    for text, value in pairs {
      ["argument 2.users[3].callback: a function cannot cross to another machine"] =
        { users = { 1, 2, { callback = print } } },
      ["argument 2.port: userdata (iocp.IOCompletionPort) cannot cross to another machine"] = { port = port },
      ["argument 2[\"a b\"]: a coroutine cannot cross to another machine"] =
        { ["a b"] = coroutine.create(function() end) },
      ["argument 2.inner[1]: a table that contains itself cannot cross to another machine"] = cycle,
      ["a key of argument 2: a function cannot cross to another machine"] = { [print] = 1 },
    } do
      local ok, message = pcall(pool.submit, pool, JOBS .. ":echo", 1, value)
      assert.is_false(ok)
      assert.matches(text, message, 1, true)
    end
    assert.equal(0, pool:stats().submitted)
  end)

  it("says what is wrong with its arguments", function()
    local pool = new_pool(new_queue())
    for pattern, f in pairs {
      ["'f' to 'submit' %(expected \"module:function\""] = function() pool:submit(print) end,
      ["'priority' to 'submit' %(expected \"high\""] = function() pool:submit({ body = "a:b", priority = 1 }) end,
      ["'ms' to 'submit_after' %(expected milliseconds"] = function() pool:submit_after(-1, "a:b") end,
      ["'queue' .*expected a name of letters"] = function() remote.Pool { redis = "x", queue = "a}b" } end,
      ["'redis' .*expected \"host:port\""] = function() remote.Pool { redis = 5, queue = "q" } end,
      ["'modules' .*expected a list of modules"] = function() remote.serve { redis = "x", queue = "q" } end,
      ["'wait' %(a task of iocp.remote expected"] = function() pool:submit("a:b").wait() end,
    } do
      local ok, message = pcall(f)
      assert.is_false(ok, pattern)
      assert.matches(pattern, message)
    end
  end)

  it("makes a repeated submit of an id one job", function()
    local queue = new_queue()
    local pool, other = new_pool(queue), new_pool(queue)
    local work = { body = JOBS .. ":add", id = "the one" }
    local first, again, third = pool:submit(work, 1, 2), pool:submit(work, 5, 6), other:submit(work, 7, 8)
    assert.equal(1, pool:stats().queued)
    serve(queue)
    for _, task in ipairs { first, again, third, other:task("the one") } do
      assert.same({ true, 3 }, { task:wait(LONG) })
      assert.equal("the one", task:id())
    end
    assert.same({ true, 3 }, { other:submit(work, 9, 9):wait(LONG) }) -- its outcome is there
    assert.equal(1, pool:stats().completed)
    local ok, _, code = pool:task("another"):wait(LONG)
    assert.is_nil(ok)
    assert.equal("LOST", code)
  end)

  it("lets outcomes expire", function()
    local queue = new_queue()
    local pool = new_pool(queue, { ttl = 300 })
    serve(queue)
    assert.is_true(pool:submit({ body = JOBS .. ":echo", id = "short" }):wait(LONG))
    assert.is_true(support.eventually(function()
      return server:command("EXISTS", "iocp:{" .. queue .. "}:job:short") == 0
    end))
  end)

  it("takes high before normal before low, and starves none", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    local path = support.temporary()
    for _, priority in ipairs { "low", "normal", "high" } do
      for i = 1, 3 do
        pool:post({ body = JOBS .. ":note", priority = priority }, path, priority .. i)
      end
    end
    serve(queue, { workers = 1, prefetch = 0 })
    assert.is_true(support.eventually(function() return pool:stats().completed == 9 end))
    local order = support.read(path):gsub("\n", " ")
    os.remove(path)
    -- One worker takes one at a time; with every eighth take the order of the streams is the other way round.
    local place, before = {}, 0
    for word in order:gmatch("%S+") do
      before = before + 1
      place[word] = before
    end
    assert.is_true(place.high1 < place.high2 and place.high2 < place.normal2 and place.normal2 < place.low2
      and place.low2 < place.low3, order)
  end)

  it("runs later what is for later", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    serve(queue)
    local began = iocp.clock()
    local task = pool:submit_after(400, JOBS .. ":add", 1, 1)
    assert.equal("scheduled", task:status())
    assert.equal(1, pool:stats().delayed)
    assert.same({ true, 2 }, { task:wait(LONG) })
    assert.is_true(iocp.clock() - began >= 395)
  end)

  it("cancels what is queued, delayed, and what runs", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    local queued, delayed = pool:submit(JOBS .. ":add", 1, 1), pool:submit_after(1e9, JOBS .. ":add", 1, 1)
    for _, task in ipairs { queued, delayed } do
      assert.is_true(task:cancel())
      local ok, message, code = task:wait(LONG)
      assert.is_nil(ok)
      assert.matches("cancelled", message)
      assert.equal("CANCELLED", code)
      assert.equal("cancelled", task:status())
      assert.is_false(task:cancel())
    end
    serve(queue, { lease = 300 })
    local running = pool:submit(JOBS .. ":sleep", 1e9)
    assert.is_true(support.eventually(function() return running:status() == "running" end))
    assert.is_true(running:cancel())
    assert.is_truthy(running:wait(LONG) ~= nil or running:status() == "cancelled")
    assert.equal(0, pool:stats().active)
  end)

  it("runs what comes after another, with its results; cancels it if that fails", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    local first = pool:submit(JOBS .. ":add", 1, 2)
    local second = first:then_(JOBS .. ":add", 10)
    assert.equal("unscheduled", second:status())
    local bad = pool:submit(JOBS .. ":fail", "x")
    local never = bad:then_(JOBS .. ":add", 1):then_(JOBS .. ":add", 1)
    serve(queue)
    assert.same({ true, 13 }, { second:wait(LONG) })
    assert.same({ true, 113 }, { second:then_(JOBS .. ":add", 100):wait(LONG) }) -- it has ended by now
    local ok, message, code = never:wait(LONG)
    assert.is_nil(ok)
    assert.matches("was to run after, has been cancelled", message)
    assert.equal("CANCELLED", code)
    assert.equal("CANCELLED", select(3, bad:then_(JOBS .. ":add", 1):wait(LONG)))
  end)

  it("waits for room in a queue with a limit, or refuses", function()
    local queue = new_queue()
    local pool = new_pool(queue, { queue_limit = 2, queue_wait = 50 })
    assert(pool:submit(JOBS .. ":add", 1, 1))
    assert(pool:submit(JOBS .. ":add", 1, 1))
    local task, message, code = pool:submit(JOBS .. ":add", 1, 1)
    assert.is_nil(task)
    assert.matches("is full: 2 jobs are queued", message)
    assert.equal("TIMEOUT", code)
    assert.is_truthy(pool:submit_after(1e9, JOBS .. ":add", 1, 1):cancel()) -- does not count
    serve(queue)
    local patient = new_pool(queue, { queue_limit = 2 })
    for i = 1, 20 do
      assert.is_truthy(patient:submit(JOBS .. ":add", i, 1))
    end
    assert.is_true(support.eventually(function() return pool:stats().completed == 22 end))
  end)

  it("tells ports, whatever this thread does", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    local port = iocp.IOCompletionPort()
    local task = pool:submit(JOBS .. ":add", 1, 1)
    assert.is_true(task:notify(port, 17))
    serve(queue)
    assert.equal(17, port:dequeue(LONG))
    assert.is_true(task:wait(LONG))
    assert.is_true(task:notify(port, 18))
    assert.equal(18, port:dequeue(LONG))
  end)

  it("says when a wait was too short", function()
    local pool = new_pool(new_queue())
    local task = pool:submit(JOBS .. ":add", 1, 1)
    assert.equal("TIMEOUT", select(3, task:wait(20)))
    assert.equal("TIMEOUT", select(3, task:result()))
    assert.equal("scheduled", task:status())
  end)

  it("serves many fibers at once, of which each waits for its own", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    serve(queue)
    iocp.run(function()
      for i = 1, 50 do
        iocp.spawn(function()
          for n = 1, 5 do
            assert.same({ true, i + n }, { pool:submit(JOBS .. ":add", i, n):wait(LONG) })
          end
        end)
      end
    end)
    assert.equal(250, pool:stats().completed)
  end)

  it("is closed once", function()
    local pool = new_pool(new_queue())
    assert.is_true(pool:close())
    assert.is_true(pool:close())
    assert.equal("CLOSED", select(3, pool:submit(JOBS .. ":add", 1, 1)))
    assert.equal("CLOSED", select(3, pool:post(JOBS .. ":add", 1, 1)))
    local another = new_pool(new_queue())
    local task = another:submit(JOBS .. ":add", 1, 1)
    iocp.run(function()
      local waits = {}
      for i = 1, 3 do
        waits[i] = iocp.spawn(function() return select(3, task:wait(LONG)) end)
      end
      iocp.sleep(20)
      another:close()
      for i = 1, 3 do
        assert.same({ true, "CLOSED" }, { waits[i]:wait(LONG) })
      end
    end)
    assert.equal("CLOSED", select(3, task:wait(LONG)))
  end)

  it("says where Redis is not", function()
    local pool, message, code = remote.Pool { redis = "/nowhere/redis", queue = "q", patience = 50 }
    assert.is_nil(pool)
    assert.matches("^Redis at /nowhere/redis cannot be used: [^/]", message)
    assert.equal("ENOENT", code)
  end)
end)

describe("the way to Redis", function()
  --- Two numbers of ports that are free.
  local function free_ports()
    local one, two = iocp.listen("127.0.0.1"), iocp.listen("127.0.0.1")
    local a, b = select(2, one:address()), select(2, two:address())
    one:close()
    two:close()
    return a, b
  end

  local addresses = require "iocp.remote.address"

  it("is what the option says", function()
    for text, place in pairs {
      ["host:70"] = { host = "host", port = 70 }, host = { host = "host", port = 6379 },
      ["[::1]:70"] = { host = "::1", port = 70 }, ["/a/b"] = { path = "/a/b" },
      ["redis://host"] = { host = "host", port = 6379 },
      ["redis://:p%40ss@host:70/3"] = { host = "host", port = 70, password = "p@ss", database = 3 },
      ["rediss://me:secret@host"] = { host = "host", port = 6379, username = "me", password = "secret", tls = {} },
    } do
      assert.same(place, addresses.read(text), text)
    end
    for _, wrong in ipairs { "", "a:b:c", "http://host", "redis://", 5, true, {}, { host = 1 }, { hots = "x" } } do
      assert.is_nil(addresses.read(wrong), tostring(wrong))
    end
    assert.equal("host:70", addresses.name(addresses.read("redis://:secret@host:70")))
  end)

  it("has a password, a database, TCP, and TLS with a verified name where LuaSec is there", function()
    local files, pem = require "support.files", require "support.tls"
    local key, certificate = files.with(pem.key), files.with(pem.certificate)
    local port, tls_port = free_ports()
    local words = { "--port", tostring(port), "--bind", "127.0.0.1", "--requirepass", "secret" }
    local has_tls = pcall(require, "ssl") and not support.windows
    for _, word in ipairs(has_tls and { "--tls-port", tostring(tls_port), "--tls-cert-file", certificate,
      "--tls-key-file", key, "--tls-ca-cert-file", certificate, "--tls-auth-clients", "no" } or {}) do
      words[#words + 1] = word
    end
    local own = redis.start(false, words, "secret")
    local tls = { host = "localhost", port = tls_port, password = "secret", tls = { cafile = certificate } }
    for _, place in ipairs { ("redis://:secret@127.0.0.1:%d/2"):format(port), has_tls and tls or nil } do
      local pool = assert(remote.Pool { redis = place, queue = "q" })
      pools[#pools + 1] = pool
      local task = assert(pool:submit(JOBS .. ":add", 1, 2))
      assert.equal("scheduled", task:status())
      assert.equal(1, pool:stats().queued)
    end
    local pool, message = remote.Pool { redis = ("redis://:wrong@127.0.0.1:%d"):format(port), queue = "q",
      patience = 50 }
    assert.is_nil(pool)
    assert.matches("WRONGPASS", message)
    if has_tls then
      tls.host, tls.tls = "127.0.0.1", {} -- whom nobody vouches for
      assert.is_nil((remote.Pool { redis = tls, queue = "q", patience = 50 }))
    end
    own:close()
    os.remove(key)
    os.remove(certificate)
  end)
end)

describe("the loops of a remote pool", function()
  local queue, pool

  before_each(function()
    queue = new_queue()
    pool = new_pool(queue)
    serve(queue)
  end)

  local function numbers(n)
    local i = 0
    return function()
      i = i + 1
      return i <= n and i or nil
    end
  end

  it("map gives the results in order", function()
    local squares = pool:map({ 1, 2, 3 }, JOBS .. ":add")
    assert.same({ 2, 4, 6 }, squares)
    assert.same({ 11, 12 }, pool:map({ 1, 2 }, JOBS .. ":add", { index = false, args = { 10 } }))
    assert.same({ { n = 2, 5, 1 } }, pool:map({ 5 }, JOBS .. ":echo", { results = "all" }))
    assert.same({}, pool:map({}, JOBS .. ":add"))
  end)

  it("map raises the first error, or collects all", function()
    local ok, message = pcall(pool.map, pool, { 1, 2 }, JOBS .. ":fail")
    assert.is_false(ok)
    assert.matches("^item 1: ", message)
    local results, messages, values = pool:map({ { 1 }, { 2 } }, JOBS .. ":fail", { errors = "collect" })
    assert.same({}, results)
    assert.equal(2, #messages)
    assert.same({ { 1 }, { 2 } }, values)
  end)

  it("imap gives results as they come, of an input that is read as needed", function()
    local n, seen = 0, 0
    local each = pool:imap(function() n = n + 1 return n end, JOBS .. ":add", { window = 10 })
    for i = 1, 100 do
      local index, sum = each()
      assert.equal(i, index)
      assert.equal(2 * i, sum)
    end
    assert.is_true(n <= 110, n)
    each:close()
    assert.is_nil(each())
    each = pool:imap(numbers(500), JOBS .. ":add", { ordered = false })
    local sum, index, got = 0, each()
    while index do
      assert.equal(2 * index, got)
      sum, seen = sum + got, seen + 1
      index, got = each()
    end
    assert.equal(500, seen)
    assert.equal(500 * 501, sum)
  end)

  it("imap ends when its time has passed", function()
    local ok, message = pcall(pool:imap({ 1e9 }, JOBS .. ":sleep", { index = false, timeout = 50 }))
    assert.is_false(ok)
    assert.matches("imap: the loop ran out of its time", message)
  end)
end)

describe("a worker", function()
  it("serves what it was told and nothing else, and logs the rest", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    serve(queue, { modules = { [JOBS] = { "add" } } })
    for _, name in ipairs { JOBS .. ":echo", "os:execute", "io:popen", "string:dump", "_G:load", "iocp.remote:serve",
      JOBS .. ":constant" } do
      local ok, message, code = pool:submit({ body = name, retries = 5 }, "touch /tmp/never"):wait(LONG)
      assert.is_nil(ok)
      assert.equal("REFUSED", code)
      assert.matches(name, message, 1, true)
    end
    assert.is_true(logged("^refused a job of 'os:execute'"))
    assert.equal(7, pool:stats().refused)
    assert.same({ true, 3 }, { pool:submit(JOBS .. ":add", 1, 2):wait(LONG) })
    local ok, message = pool:submit({ body = JOBS .. ":nothing" }):wait(LONG)
    assert.is_nil(ok)
    assert.matches("none of the functions", message)
  end)

  it("runs functions of a module, and nothing else that it has", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    serve(queue)
    local ok, message, code = pool:submit(JOBS .. ":constant"):wait(LONG)
    assert.is_nil(ok)
    assert.matches("has no function 'constant'", message)
    assert.equal("ERROR", code)
  end)

  it("does not begin where what it is to serve is not there, or no module of functions", function()
    for pattern, modules in pairs { ["module 'not_there' not found"] = { "not_there" },
      ["has no function 'add_'"] = { [JOBS] = { "add", "add_" } },
      ["gives no table of functions"] = { "support.no_module" } } do
      local done, message, code = remote.serve { redis = server.redis, queue = "q", modules = modules, workers = 1,
        pool = { init = function() package.preload["support.no_module"] = function() return 5 end end } }
      assert.is_nil(done)
      assert.matches(pattern, message)
      assert.is_nil(message:find("traceback"))
      assert.equal("ERROR", code)
    end
  end)

  it("retries what fails, with a backoff, and keeps what failed for good with its traceback", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    serve(queue)
    local path = support.temporary()
    os.remove(path)
    assert.same({ true, 3 }, { pool:submit({ body = JOBS .. ":flaky", retries = 5, backoff = 1 }, path, 3):wait(LONG) })
    assert.equal(2, pool:stats().retried)
    local ok, message = pool:submit({ body = JOBS .. ":flaky", retries = 1 }, path, 100):wait(LONG)
    os.remove(path)
    assert.is_nil(ok)
    assert.matches("not yet", message)
    local dead = server:command("XRANGE", "iocp:{" .. queue .. "}:dead", "-", "+")
    assert.equal(1, #dead)
    local fields = {}
    for i = 1, #dead[1][2], 2 do
      fields[dead[1][2][i]] = dead[1][2][i + 1]
    end
    assert.equal(JOBS .. ":flaky", fields.f)
    assert.equal("2", fields.n)
    assert.matches("not yet\nstack traceback:", fields.o)
  end)

  it("ends what runs out of its time", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    serve(queue)
    local ok, _, code = pool:submit({ body = JOBS .. ":sleep", timeout = 30 }, 1e9):wait(LONG)
    assert.is_nil(ok)
    assert.equal("TIMEOUT", code)
  end)

  it("keeps the lease of what takes long", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    serve(queue, { lease = 600 })
    serve(queue, { lease = 600 })
    assert.is_true(pool:submit(JOBS .. ":sleep", 2000):wait(LONG))
    local stats = pool:stats()
    assert.equal(support.divisor > 1 and stats.taken_over or 0, stats.taken_over)
    assert.equal(1, stats.completed)
  end)

  it("gives back what it has not begun when it is told to stop, and finishes what runs", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    local stop = serve(queue, { workers = 1, prefetch = 4 })
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = pool:submit(JOBS .. ":sleep", 300)
    end
    assert.is_true(support.eventually(function() return pool:stats().active == 4 end))
    stop()
    local stats = pool:stats()
    assert.equal(0, stats.active)
    assert.equal(4, stats.queued + stats.completed)
    assert.is_true(stats.queued >= 1)
    serve(queue)
    for _, task in ipairs(tasks) do
      assert.is_true(task:wait(LONG))
    end
    assert.equal(4, pool:stats().completed)
    assert.equal(0, pool:stats().duplicates)
  end)

  it("that is killed has its jobs taken over; one that kills workers is given up", function()
    local queue = new_queue()
    local pool = new_pool(queue)
    local words = { "--modules", JOBS, "--workers", "1", "--lease", "400", "--deaths", "2" }
    local first = redis.worker(server, queue, words)
    local task = pool:submit(JOBS .. ":sleep", 700)
    assert.is_true(support.eventually(function() return task:status() == "running" end))
    first:kill("KILL")
    local second = redis.worker(server, queue, words)
    assert.is_true(task:wait(LONG))
    assert.is_true(pool:stats().taken_over >= 1)
    local poison = pool:submit(JOBS .. ":die")
    local replaced = 0
    while not poison:wait(100) and select(3, poison:result()) == "TIMEOUT" and replaced < 100 do
      if second:wait(0) then
        second, replaced = redis.worker(server, queue, words), replaced + 1
      end
    end
    assert.equal("DIED", select(3, poison:result()))
    assert.equal(1, pool:stats().poisoned)
    second:kill("TERM")
    local ended, code = second:wait(LONG)
    assert.is_true(ended)
    assert.equal(0, code)
  end)

  it("goes on after Redis was away, and so does the pool", function()
    local own = redis.start(true)
    local pool = assert(remote.Pool { redis = own.redis, queue = "q" })
    pools[#pools + 1] = pool
    local shared = server
    server = setmetatable({ log = shared.log }, { __index = own })
    local stop = serve("q", { lease = 1000, grace = 1000 })
    server = shared
    assert.same({ true, 2 }, { pool:submit(JOBS .. ":add", 1, 1):wait(LONG) })
    for _, signal in ipairs { "TERM", "KILL" } do
      local slow = pool:submit(JOBS .. ":sleep", 300)
      assert.is_true(support.eventually(function() return slow:status() == "running" end))
      own:kill(signal)
      iocp.sleep(200)
      own:start()
      assert.is_true(slow:wait(LONG))
      assert.same({ true, 3 }, { pool:submit(JOBS .. ":add", 1, 2):wait(LONG) })
    end
    own:command("SCRIPT", "FLUSH")
    assert.same({ true, 4 }, { pool:submit(JOBS .. ":add", 2, 2):wait(LONG) })
    own:command("FLUSHALL") -- all is lost, which is told
    assert.same({ true, 5 }, { pool:submit(JOBS .. ":add", 2, 3):wait(LONG) })
    own:kill("KILL")
    stop() -- though Redis is away
    own:start()
    own:close()
  end)
end)
