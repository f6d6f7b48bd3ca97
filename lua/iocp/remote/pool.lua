--- iocp.remote.Pool: the local pool's verbs over a queue in Redis, which workers on any machine take jobs from.
-- @classmod iocp.remote.Pool
local core = require "iocp"
local address, links = require "iocp.remote.address", require "iocp.remote.link"
local options, tasks = require "iocp.options", require "iocp.remote.task"
local random, submission = require "iocp.remote.random", require "iocp.remote.submission"
local check = options.check

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

--- A job for the workers, in Redis when this returns.
-- @param f "module:function", or a table with that as `body`, and id, priority, retries, backoff, timeout. An id of the
-- caller's makes it harmless to submit it again: while the job or its outcome is there it is the same job
-- @return a task; or nil, message, code: TIMEOUT (the queue is full), REDIS, CLOSED, CANCELLED, or what connecting to
-- Redis failed with for longer than `patience`; then it may have been submitted, or not
function Pool:submit(f, ...)
  check_self(self, "submit")
  local task, message, code = submission.one(self, "submit", nil, nil, f, ...)
  return options.outcome(task, message, code)
end

--- The same, not taken by a worker before so many milliseconds have passed on Redis' clock.
function Pool:submit_after(ms, f, ...)
  check_self(self, "submit_after")
  check("ms", ms, is_ms(ms), "milliseconds, a number from 0 to 1e15")
  local task, message, code = submission.one(self, "submit_after", ("d=%.0f"):format(ms), nil, f, ...)
  return options.outcome(task, message, code)
end

--- A job that nobody waits for.
-- @return true; or nil, message, code: as submit
function Pool:post(f, ...)
  check_self(self, "post")
  local ok, message, code = submission.post(self, "post", f, ...)
  return options.outcome(ok, message, code)
end

--- The task of a job that was submitted elsewhere, or before this process began.
-- @param id what task:id gave, or the caller's own
-- @return a task; if there is no such job it ends with the code LOST
function Pool:task(id)
  check_self(self, "task")
  check("id", id, type(id) == "string" and #id > 0, "the id of a job, a string")
  local task = self.tasks[id]
  if not task then
    task = submission.task(self, id)
    task.is_accepted = true
    self.control:send("look", { id })
  end
  return task
end

-- ---- the rest -------------------------------------------------------------------------------------------------------

--- What there is of the queue, for all who use it.
-- @return a table: queued, active, delayed, dead (entries of the dead-letter stream), submitted, completed, failed,
-- cancelled, retried, taken_over, poisoned, refused, duplicates (outcomes that were not the first); or nil, message,
-- code
function Pool:stats()
  check_self(self, "stats")
  local found, message, code = submission.ask(self, "stats", {})
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
    task_class = tasks.class,
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
