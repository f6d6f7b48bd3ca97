--- iocp.remote.serve: a process that takes jobs from a queue in Redis and runs them in a local pool.
--
-- Four fibers: one takes jobs, no more than the pool runs and `prefetch` besides; one sends what came of them, many at
-- once; one renews the leases; one waits for the end. What the process has taken is `jobs`, from the take on until
-- Redis has the outcome; what is not in it is nobody's but Redis'.
-- @module iocp.remote.worker
local core = require "iocp"
local address, links = require "iocp.remote.address", require "iocp.remote.link"
local allow, job = require "iocp.remote.allow", require "iocp.remote.job"
local options, random = require "iocp.options", require "iocp.remote.random"
local clock, check = core.clock, options.check

local MANY = 200 -- outcomes, or leases, in one call
local WAIT = 250 -- ms of a read that waits for jobs
local AWAY = 2000 -- ms for which Redis may be away before that is logged
local LAST = 3000 -- ms for which Redis may be away once the worker is to end
local RUN = "iocp.remote.job:run"
local ORDERS = { "hnl", "lnh" } -- of the streams; the second with each eighth take, so that nobody starves

local function is_count(least)
  return function(v) return type(v) == "number" and v >= least and v <= 1e6 and v % 1 == 0 end
end

local function is_ms(least)
  return function(v) return type(v) == "number" and v >= least and v <= 1e12 end
end

local rules = {
  { "redis", function(v) return address.read(v) ~= nil end, address.WHAT },
  { "queue", function(v) return type(v) == "string" and v:find("^[%w_.%-]+$") ~= nil and #v <= 100 end,
    "a name of letters, digits, _ . and -" },
  { "modules", function(v) return allow.read(v) ~= nil end, allow.WHAT },
  { "workers", is_count(1), "a number from 1 on" },
  { "prefetch", is_count(0), "a number from 0 on" },
  { "lease", is_ms(100), "milliseconds, a number from 100 on" },
  { "deaths", is_count(1), "a number from 1 on" },
  { "grace", is_ms(0), "milliseconds, a number from 0 on" },
  { "pool", function(v) return type(v) == "table" end, "a table, options of iocp.Pool" },
  { "stop", function(v) return type(v) == "userdata" end, "a port" },
  { "log", function(v) return type(v) == "function" end, "a function(text)" },
}

local function to_stderr(text)
  io.stderr:write("iocp-worker: ", text, "\n")
  io.stderr:flush()
end

--- A line of the log, whatever came in it: control characters do not reach a terminal.
local function log(self, text, ...)
  self.log((text:format(...):gsub("[%c\127-\255]", "?")))
end

local SAME = 10000 -- ms after which the same trouble is logged again

--- What does not work, now and then: it is tried again and again.
local function log_trouble(self, message)
  if message ~= self.trouble or clock() >= self.trouble_until then
    self.trouble, self.trouble_until = message, clock() + SAME
    log(self, "%s; trying again", message)
  end
end

-- ---- taking ---------------------------------------------------------------------------------------------------------

--- Has an outcome of its own sent for a job.
local function conclude(self, one, state, outcome)
  one.state, one.outcome = state, outcome
  self.ended[#self.ended + 1] = one
  self.has_ended:signal()
end

local function refuse(self, one)
  log(self, "refused a job of '%s', which this worker does not serve (job %s)", one.f:sub(1, 100),
    one.id:sub(1, 100))
  local text = ("'%s' is none of the functions that the worker which took it serves"):format(one.f:sub(1, 200))
  conclude(self, one, "refused", job.failure(text, "REFUSED"))
end

--- The ms that stand in a job; nil: none, or nothing that is such a number.
local function timeout_of(text)
  local ms = tonumber(text)
  return ms and ms >= 1 and ms <= 1e15 and ms or nil
end

--- Runs a job that was taken, or refuses it.
local function start(self, one)
  if self.jobs[one.key] then
    return -- a lease that ended before it was renewed: it is still ours
  end
  self.jobs[one.key], self.count = one, self.count + 1
  if not allow.has(self.modules, one.f) then
    return refuse(self, one)
  end
  local task, message = self.pool:submit(one.timeout and { body = RUN, timeout = one.timeout, hard = true } or RUN,
    one.f, one.arguments, one.before)
  if not task then
    return conclude(self, one, "failed", job.failure(message, "ERROR"))
  end
  one.task = task
  self.last_number = self.last_number + 1
  one.number, self.by_number[self.last_number] = self.last_number, one
  task:notify(self.ends, one.number)
end

--- What script take gave.
local function start_all(self, taken)
  for i = 2, #taken, 7 do
    -- The key: streams number their entries on their own, so two of them have the same number now and then.
    start(self, { key = taken[i] .. taken[i + 1], level = taken[i], entry = taken[i + 1], id = taken[i + 2],
      f = taken[i + 3], arguments = taken[i + 4], timeout = timeout_of(taken[i + 5]), before = taken[i + 6] })
  end
  return #taken > 1
end

--- Takes what is there, and what a blocking read has taken. Whether there was something, ms until something is due; or
-- nil: Redis does not do it.
local function take(self, read)
  self.takes = self.takes + 1
  local looks = clock() >= self.look_at
  local arguments = { self.name, math.max(0, self.most - self.count), self.lease, looks and "1" or "",
    self.deaths, ORDERS[self.takes % 8 == 0 and 2 or 1] }
  for i = 1, #read do
    arguments[6 + i] = read[i]
  end
  local taken, message, code = self.taking:script("take", self.base, arguments, AWAY)
  if not taken then
    if code == "REDIS" and message:find("NOGROUP", 1, true) then
      self.look_at = 0 -- Redis has lost its memory: the next one makes the group
    else
      log_trouble(self, message)
    end
    return nil
  end
  if self.trouble then
    self.trouble = log(self, "Redis at %s is back", self.taking.name)
  end
  if looks then
    self.look_at = clock() + self.lease / 4
  end
  return start_all(self, taken), taken[1] >= 0 and taken[1] or WAIT
end

local LEVELS = { high = "h", normal = "n", low = "l" }

--- Waits in Redis for one job of each stream: level, entry, id of each.
local function read_some(self, ms)
  local command = { "XREADGROUP", "GROUP", "workers", self.name, "COUNT", 1, "BLOCK", math.max(1, math.ceil(ms)),
    "STREAMS", self.base .. ":high", self.base .. ":normal", self.base .. ":low", ">", ">", ">" }
  local replies, message = self.taking:call({ command }, AWAY, ms)
  local reply, read = replies and replies[1], {}
  if links.failure_of(reply) then
    self.look_at = 0 -- the group is not there: the next take makes it
    core.sleep(50)
  elseif not replies then
    log_trouble(self, message)
  else
    for _, stream in ipairs(reply or {}) do
      for _, entry in ipairs(stream[2]) do
        read[#read + 1], read[#read + 2], read[#read + 3] = LEVELS[stream[1]:match("%a+$")], entry[1], entry[2][2]
      end
    end
  end
  return read
end

--- Says at once whether Redis is there.
local function greet(self)
  local replies, message = self.taking:call({ { "PING" } }, AWAY)
  if replies then
    log(self, "takes jobs from '%s' at %s, %d at once", self.queue, self.taking.name, self.workers)
  else
    log_trouble(self, message)
  end
end

local function take_jobs(self)
  local read = {}
  greet(self)
  while not self.stopping do
    if self.most - self.count < math.max(1, self.prefetch / 2) then
      self.has_room:wait(WAIT)
    else
      local found, due = take(self, read)
      if found == nil then
        self.has_room:wait(WAIT) -- what was read is tried again, and no more is
      else
        read = not found and not self.stopping and read_some(self, math.min(WAIT, due)) or {}
      end
    end
  end
  if #read > 0 then
    take(self, read) -- what the last read took is given back with the rest
  end
end

-- ---- telling --------------------------------------------------------------------------------------------------------

--- Redis has the outcomes of these, or somebody else's: they are ours no more.
local function forget(self, list)
  for _, one in ipairs(list) do
    if self.jobs[one.key] == one then
      self.jobs[one.key], self.count = nil, self.count - 1
    end
  end
  self.has_room:signal()
end

local function send(self, list)
  local arguments = {}
  for _, one in ipairs(list) do
    local n = #arguments
    arguments[n + 1], arguments[n + 2], arguments[n + 3] = one.level, one.entry, one.id
    arguments[n + 4], arguments[n + 5] = one.state, one.outcome
  end
  local ok, message
  repeat
    ok, message = self.telling:script("finish", self.base, arguments, AWAY)
    if not ok then
      log_trouble(self, ("%d outcomes wait for Redis: %s"):format(#list, message))
      core.sleep(WAIT)
    end
  until ok or self.closing
  forget(self, list)
end

local function tell_outcomes(self)
  while not self.closing do
    if #self.ended == 0 then
      self.has_ended:wait(WAIT)
    else
      local list, rest = {}, {}
      for i, one in ipairs(self.ended) do
        local to = i <= MANY and list or rest
        to[#to + 1] = one
      end
      self.ended = rest
      send(self, list)
    end
  end
end

--- What came of a task of the local pool: what job.run returned, or how it did not return.
local function outcome_of(ok, a, b)
  if ok then
    return a, b
  elseif b == "CANCELLED" then
    return "cancelled", job.failure(a, b)
  end
  return "failed", job.failure(a, b)
end

--- Takes the ends of local tasks from their port.
local function hear_ends(self)
  local batch = {}
  while not self.closing do
    local got, n = self.ends:dequeue_many(MANY, WAIT, batch)
    for i = 1, got and n or 0 do
      local number = batch[3 * i - 2]
      local one = self.by_number[number]
      self.by_number[number] = nil
      if one and not one.given_back then
        conclude(self, one, outcome_of(one.task:result()))
      end
    end
  end
end

-- ---- leases ---------------------------------------------------------------------------------------------------------

--- What Redis says of a lease.
local function heed(self, one, letter)
  if letter == "C" and one.task and not one.is_asked then
    one.is_asked = true
    one.task:cancel()
  elseif letter == "L" and not one.is_lost then
    one.is_lost = true
    log(self, "the lease of job %s was taken over: there was no heartbeat for as long", one.id:sub(1, 100))
  end
end

local function beat(self)
  local list = {}
  for _, one in pairs(self.jobs) do
    if not one.outcome then
      list[#list + 1] = one
    end
  end
  for first = 1, #list, MANY do
    local arguments = { self.name }
    for i = first, math.min(first + MANY - 1, #list) do
      arguments[#arguments + 1], arguments[#arguments + 2], arguments[#arguments + 3] = list[i].level, list[i].entry,
        list[i].id
    end
    local answers = self.telling:script("beat", self.base, arguments, self.lease / 3)
    for i = 1, answers and #answers or 0 do
      heed(self, list[first + i - 1], answers:sub(i, i))
    end
  end
end

local function keep_leases(self)
  while not self.closing do
    self.is_closing:wait(self.lease / 3)
    if not self.closing then
      beat(self)
    end
  end
end

-- ---- the end --------------------------------------------------------------------------------------------------------

--- What has not begun, or, `all`, has not ended, is Redis' again.
local function give_back(self, all)
  local arguments, list = { self.name }, {}
  for _, one in pairs(self.jobs) do
    if not one.outcome and not one.given_back and (all or one.task and one.task:status() == "scheduled") then
      one.given_back = true
      one.task:cancel()
      list[#list + 1] = one
      arguments[#arguments + 1], arguments[#arguments + 2], arguments[#arguments + 3] = one.level, one.entry, one.id
    end
  end
  self.telling:script("give_back", self.base, arguments, LAST)
  forget(self, list)
  return #list
end

local function await_end(self, taker)
  self.stop:dequeue()
  self.stopping = true
  self.has_room:signal()
  if not taker:wait(LAST) then
    self.taking:close() -- Redis is away
    taker:wait()
  end
  local returned = give_back(self, false)
  local limit = clock() + self.grace
  if self.count > 0 then
    log(self, "stops; waits for %d jobs, for %.0f s at most, or until it is told again", self.count, self.grace / 1000)
  end
  while self.count > 0 and clock() < limit and not self.stop:dequeue(0) do
    core.sleep(10)
  end
  limit = clock()
  returned = returned + give_back(self, true)
  while #self.ended > 0 and clock() < limit + LAST do
    core.sleep(10)
  end
  self.closing = true
  self.telling:close()
  self.has_ended:signal()
  self.is_closing:signal()
  self.ends:enqueue(0) -- so that hear_ends looks
  log(self, "stopped; %d jobs were given back", returned)
end

-- ---- beginning ------------------------------------------------------------------------------------------------------

local function pool_of(given)
  local its = {}
  for name, value in pairs(given.pool or {}) do
    its[name] = value
  end
  its.workers, its.name = given.workers, its.name or "iocp-worker"
  return core.Pool(its)
end

--- Whether all is there that is to be served, in a thread of the pool: who serves what is not there would have all its
-- jobs fail. nil and what is wrong.
local function check_modules(self)
  for module, functions in pairs(self.modules) do
    local names = {}
    for name in pairs(functions == true and {} or functions) do
      names[#names + 1] = name
    end
    local task, message, code = self.pool:submit("iocp.remote.job:check", module, names)
    local ok = task
    if task then
      ok, message, code = task:wait()
    end
    if not ok then
      return nil, (message:gsub("\nstack traceback:.*", "")), code
    end
  end
  return true
end

local function run(self)
  core.run(function()
    self.has_room, self.has_ended, self.is_closing = core.Condition(), core.Condition(), core.Condition()
    local taker = core.spawn(take_jobs, self)
    core.spawn(tell_outcomes, self)
    core.spawn(hear_ends, self)
    core.spawn(keep_leases, self)
    await_end(self, taker)
  end)
  self.taking:close()
  self.telling:close()
end

local function state_of(given, pool)
  local at, prefetch = address.read(given.redis), given.prefetch or 4 * given.workers
  return {
    queue = given.queue, base = ("iocp:{%s}"):format(given.queue), name = random.name(),
    modules = allow.read(given.modules), pool = pool, workers = given.workers,
    most = math.floor(given.workers + prefetch), prefetch = prefetch, -- in Redis' arguments no number has a point
    lease = math.floor(given.lease or 30000), deaths = given.deaths or 3, grace = given.grace or 30000,
    log = given.log or to_stderr, stop = given.stop or core.IOCompletionPort(),
    taking = links.new(at), telling = links.new(at), ends = core.IOCompletionPort(),
    jobs = {}, count = 0, -- what it has taken, by stream and entry
    by_number = {}, last_number = 0, -- what runs, by the key of its end
    ended = {}, -- what has an outcome that Redis has not
    takes = 0, look_at = 0, stopping = false, closing = false, trouble_until = 0,
  }
end

local function run_until_signal(self)
  local timers = {}
  for i, name in ipairs { "TERM", "INT" } do
    timers[i] = core.signal(name):notify(self.stop, 1)
  end
  run(self)
  for _, timer in ipairs(timers) do
    timer:cancel()
  end
end

--- Takes jobs and runs them until SIGTERM or SIGINT comes, or a packet to the port `stop`. Then it takes no more, gives
-- back what it has not begun, and waits for what runs, for `grace` ms at most.
-- @param given redis, queue; modules, what it serves: a list of modules, or a table { module = { "function", ... } };
-- workers (threads, as many as processors); prefetch (jobs taken ahead, 4 for each worker); lease (ms after which the
-- jobs of a worker that is not heard of are others', 30,000); deaths (how many workers may die of a job, 3); grace
-- (30,000); pool (more options for the local iocp.Pool); stop; log (a function(text), else the error output)
-- @return true; or nil, message, code: what the local pool could not be made for, or ERROR: a module that is to be
-- served is not there
return function(given)
  given = options.read(given, rules)
  check("redis", given.redis, given.redis, address.WHAT)
  check("queue", given.queue, given.queue, "a name of letters, digits, _ . and -")
  check("modules", given.modules, given.modules, allow.WHAT)
  given.workers = given.workers or core.processors()
  local pool, message, code = pool_of(given)
  if not pool then
    return nil, message, code
  end
  local self = state_of(given, pool)
  local ok
  ok, message, code = check_modules(self)
  if ok then
    run_until_signal(self)
  end
  pool:close()
  return options.outcome(ok, message, code)
end
