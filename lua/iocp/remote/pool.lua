--- iocp.remote.Pool: the local pool's verbs over a queue in Redis, which workers on any machine take jobs from.
-- @classmod iocp.remote.Pool
local core = require "iocp"
local address, links = require "iocp.remote.address", require "iocp.remote.link"
local options, tasks = require "iocp.options", require "iocp.remote.task"
local random, values, work = require "iocp.remote.random", require "iocp.remote.values", require "iocp.remote.work"
local clock, check = core.clock, options.check
local unpack = rawget(table, "unpack") or unpack

local Pool = {} -- methods
local class = { __index = Pool }

local function is_ms(v)
  return type(v) == "number" and v >= 0 and v <= 1e15
end

local rules = {
  { "redis", function(v) return address.read(v) ~= nil end, address.WHAT },
  { "queue", function(v) return type(v) == "string" and v:find("^[%w_.%-]+$") ~= nil and #v <= 100 end,
    "a name of letters, digits, _ . and -" },
  { "queue_limit", function(v) return type(v) == "number" and v >= 1 and v % 1 == 0 end, "an integer from 1 on" },
  { "queue_wait", is_ms, "milliseconds, a number from 0 on" },
  { "ttl", function(v) return is_ms(v) and v >= 1 end, "milliseconds, a number from 1 on" },
  { "patience", is_ms, "milliseconds, a number from 0 on" },
}

local function check_self(self, name)
  if getmetatable(self) ~= class then
    error(("bad argument #0 to '%s' (an iocp.remote.Pool expected, got %s; methods are called with a colon)"):format(
      name, type(self)), 3)
  end
end

-- ---- submitting -----------------------------------------------------------------------------------------------------

--- first: a delay; last: what it runs after.
local function terms_of(self, read, first, last)
  local terms = {}
  for _, part in ipairs { first or "", read.terms, self.ttl and ("e=%.0f"):format(self.ttl) or "", last or "" } do
    if part ~= "" then
      terms[#terms + 1] = part
    end
  end
  return table.concat(terms, ";")
end

local function next_id(self)
  self.last_id = self.last_id + 1
  return ("%s%x"):format(self.client, self.last_id)
end

--- What is submitted: id, function, arguments, terms; or nil and why an argument cannot cross.
local function job_of(self, read, terms, ...)
  local arguments, fault = values.encode("argument", ...)
  if not arguments then
    return nil, fault
  end
  return { id = read.id or next_id(self), body = read.body, arguments = arguments, terms = terms }
end

local ROOM = 200 -- ms at most between looks for room

--- Submits jobs, with one call of the script: the letters of its answer; or nil, message, code. Waits for room.
local function submit(self, jobs, client)
  local limit, pause = self.queue_wait and clock() + self.queue_wait, 5
  local arguments = { self.queue_limit or "", client }
  for _, job in ipairs(jobs) do
    local n = #arguments
    arguments[n + 1], arguments[n + 2], arguments[n + 3], arguments[n + 4] = job.id, job.body, job.arguments, job.terms
  end
  while true do
    local answers, message, code = self:ask("submit", arguments)
    if not answers or not answers:find("F", 1, true) then
      return answers, message, code
    elseif limit and clock() >= limit then
      return nil, ("the queue '%s' is full: %d jobs are queued"):format(self.queue, self.queue_limit), "TIMEOUT"
    end
    local ok
    ok, message, code = core.sleep(pause)
    if not ok then
      return nil, message, code
    end
    pause = math.min(ROOM, pause * 2)
  end
end

--- Tasks for jobs that are to be submitted; those that are known here already are the same tasks.
local function expect(self, jobs)
  local list, fresh = {}, {}
  for i, job in ipairs(jobs) do
    list[i] = self.tasks[job.id]
    if not list[i] then
      list[i] = tasks.new(self, job.id)
      fresh[#fresh + 1] = job.id
    end
  end
  if #fresh > 0 then
    self.control:send("watch", fresh)
  end
  return list
end

local function take_back(self, list)
  for _, task in ipairs(list) do
    if not task.is_accepted then
      self.tasks[task.key] = nil
      self.control:send("forget", task.key)
    end
  end
end

--- Submits jobs: their tasks; or nil, message, code, and none that is new is waited for.
local function submit_all(self, jobs)
  if self.is_closed then
    return nil, "this pool was closed", "CLOSED"
  end
  local list = expect(self, jobs)
  local answers, message, code = submit(self, jobs, self.client)
  if not answers or answers:find("M", 1, true) then
    take_back(self, list)
    return nil, message or "what it is to run after is not there: it never was, or its outcome has expired",
      code or "MISSING"
  end
  local ended = {}
  for i, task in ipairs(list) do
    task.is_accepted = true
    if answers:byte(i) == 69 then -- E
      ended[#ended + 1] = task.key
    end
  end
  if #ended > 0 then
    self.control:send("look", ended)
  end
  return list
end

--- name: the method that was called, where errors are raised.
local function submit_one(self, name, first, last, f, ...)
  local read, wrong = work.read(f, name)
  if not read then
    error(wrong, 3)
  end
  local job, fault = job_of(self, read, terms_of(self, read, first, last), ...)
  if not job then
    error(fault, 3)
  end
  local list, message, code = submit_all(self, { job })
  return list and list[1], message, code
end

--- A job for the workers, in Redis when this returns.
-- @param f "module:function", or a table with that as `body`, and id, priority, retries, backoff, timeout. An id of the
-- caller's makes it harmless to submit it again: while the job or its outcome is there it is the same job
-- @return a task; or nil, message, code: TIMEOUT (the queue is full), REDIS, CLOSED, CANCELLED, or what connecting to
-- Redis failed with for longer than `patience`; then it may have been submitted, or not
function Pool:submit(f, ...)
  check_self(self, "submit")
  local task, message, code = submit_one(self, "submit", nil, nil, f, ...)
  return task, message, code
end

--- The same, not taken by a worker before so many milliseconds have passed on Redis' clock.
function Pool:submit_after(ms, f, ...)
  check_self(self, "submit_after")
  check("ms", ms, is_ms(ms), "milliseconds, a number from 0 to 1e15")
  local task, message, code = submit_one(self, "submit_after", ("d=%.0f"):format(ms), nil, f, ...)
  return task, message, code
end

--- task:then_'s.
function Pool:submit_behind(id, f, ...)
  local task, message, code = submit_one(self, "then_", nil, "A=" .. id, f, ...)
  return task, message, code
end

--- A job that nobody waits for.
-- @return true; or nil, message, code: as submit
function Pool:post(f, ...)
  check_self(self, "post")
  local read, wrong = work.read(f, "post")
  local job, fault
  if read then
    job, fault = job_of(self, read, terms_of(self, read), ...)
  end
  if not job then
    error(wrong or fault, 2)
  elseif self.is_closed then
    return nil, "this pool was closed", "CLOSED"
  end
  local answers, message, code = submit(self, { job }, "")
  return answers and true, message, code
end

--- The task of a job that was submitted elsewhere, or before this process began.
-- @param id what task:id gave, or the caller's own
-- @return a task; if there is no such job it ends with the code LOST
function Pool:task(id)
  check_self(self, "task")
  check("id", id, type(id) == "string" and #id > 0, "the id of a job, a string")
  local task = self.tasks[id]
  if not task then
    task = tasks.new(self, id)
    task.is_accepted = true
    self.control:send("look", { id })
  end
  return task
end

--- For the loops: jobs of a function, in one call.
-- @param lists a list of lists of arguments with n
-- @return tasks; or nil, message, code. Raises where an argument cannot cross
function Pool:submit_lists(read, lists)
  local jobs, terms = {}, terms_of(self, read)
  for i, list in ipairs(lists) do
    local job, fault = job_of(self, read, terms, unpack(list, 1, list.n))
    if not job then
      error(fault, 0)
    end
    jobs[i] = job
  end
  return submit_all(self, jobs)
end

-- ---- the rest -------------------------------------------------------------------------------------------------------

--- One of the scripts, for tasks and this.
function Pool:ask(name, arguments)
  return self.link:script(name, self.base, arguments, self.patience)
end

--- What there is of the queue, for all who use it.
-- @return a table: queued, active, delayed, dead (entries of the dead-letter stream), submitted, completed, failed,
-- cancelled, retried, taken_over, poisoned, refused, duplicates (outcomes that were not the first); or nil, message,
-- code
function Pool:stats()
  check_self(self, "stats")
  local found, message, code = self:ask("stats", {})
  if not found then
    return nil, message, code
  end
  local stats = {}
  for name in ("submitted completed failed cancelled retried taken_over poisoned refused duplicates"):gmatch("%S+") do
    stats[name] = 0
  end
  for i = 1, #found, 2 do
    stats[found[i]] = tonumber(found[i + 1])
  end
  return stats
end

--- Ends the connections; jobs go on. Who waits for a task gets CLOSED.
-- @return true
function Pool:close()
  check_self(self, "close")
  if not self.is_closed then
    self.is_closed = true
    self.control:send("close")
    self.link:close()
    self.inbox:close() -- which ends the wait of who waits for a task
  end
  return true
end

for _, name in ipairs { "imap", "map" } do
  local loop = require("iocp.remote.loops")[name]
  Pool[name] = function(self, ...)
    check_self(self, name)
    return loop(self, ...)
  end
end

class.__close = Pool.close

function class:__tostring()
  return ("iocp.remote.Pool: %s at %s"):format(self.queue, self.link.name)
end

--- What closes it with the last reference: tables have no finalizer in Lua 5.1.
local function guard(control)
  local proxy = rawget(_G, "newproxy") and rawget(_G, "newproxy")(true) or setmetatable({}, {})
  getmetatable(proxy).__gc = function() control:send("close") end
  return rawget(_G, "newproxy") and proxy or setmetatable({}, getmetatable(proxy))
end

local function start_receiver(self, at)
  return core.Thread({ name = "iocp.remote", body = function(...)
    return require("iocp.remote.receiver").run(...)
  end }, at, self.base, self.client, self.inbox, self.control)
end

--- A pool over the queue of that name.
-- @param given redis (where it is), queue, queue_limit (how many may be queued), queue_wait (how many ms submit waits
-- for room, nil: for ever), ttl (how many ms outcomes stay, 3,600,000), patience (for how many ms Redis may be away,
-- 30,000)
-- @return the pool; or nil, message, code
local function new(given)
  given = options.read(given, rules)
  check("redis", given.redis, given.redis, address.WHAT)
  check("queue", given.queue, given.queue, "a name of letters, digits, _ . and -")
  check("queue_wait", given.queue_wait, not given.queue_wait or given.queue_limit, "nil without a queue_limit")
  local at = address.read(given.redis)
  local self = setmetatable({
    queue = given.queue, base = ("iocp:{%s}"):format(given.queue), link = links.new(at), client = random.name(),
    queue_limit = given.queue_limit, queue_wait = given.queue_wait, ttl = given.ttl,
    patience = given.patience or 30000,
    inbox = core.IOCompletionPort(), control = core.IOCompletionPort(),
    tasks = {}, waiters = {}, last_id = 0, -- tasks that have not ended by id
  }, class)
  self.guard = guard(self.control)
  local thread, message, code = start_receiver(self, at)
  if not thread then
    return nil, message, code
  end
  self.thread = thread
  local ok
  ok, message, code = self.link:call({ { "PING" } }, self.patience)
  if not ok then
    self:close()
    return nil, message, code
  end
  return self
end

return { new = new, methods = Pool }
