--- iocp.serve: n threads, each with a scheduler, that serve what connects to one place. serve_worker.lua is what each
-- of them does; here is what begins, asks and ends them.
-- @classmod iocp.Service
local core, options, private = require "iocp.core", require "iocp.options", require "iocp.private"
local listener, counters, workers = require "iocp.server", require "iocp.counters", require "iocp.serve_worker"
local check = options.check

local Service = {} -- methods
local class = { __index = Service }
private.stays(class, "iocp.Service: it stays in its thread")

local function is_count(v)
  return type(v) == "number" and v >= 1 and v % 1 == 0
end

local rules = {
  { "host", options.is_host, '"*", ' .. options.HOST },
  { "port", options.is_port, options.PORT },
  { "workers", function(v) return is_count(v) and v <= 1000 end, "an integer from 1 to 1000" },
  { "handler", function(v) return type(v) == "function" end, "a function" },
  { "max", is_count, "an integer from 1 on" },
  { "on_error", function(v) return v == "log" or v == "keep" or type(v) == "function" end,
    '"log", "keep" or a function' },
}
for _, rule in ipairs(listener.rules) do
  rules[#rules + 1] = rule
end

local function check_self(self)
  if getmetatable(self) ~= class then
    options.refuse("self", "what iocp.serve gives", self, "; methods are called with a colon")
  end
end

-- ---- beginning ------------------------------------------------------------------------------------------------------

-- Nobody can ask what became of a handler, so nothing is kept.
local ON_ERROR = { log = "log", keep = function() end }

--- What a worker is told; it crosses to its thread.
local function setup_of(service, number)
  local streams = {}
  for _, rule in ipairs(listener.rules) do
    streams[rule[1]] = service.options[rule[1]]
  end
  return {
    number = number,
    generation = 0,
    ports = service.ports,
    counters = service.counters.shared,
    handler = service.options.handler,
    on_error = ON_ERROR[service.options.on_error or "log"] or service.options.on_error,
    max = service.options.max,
    listener = number == 1 and service.socket or nil,
    family = service.family,
    streams = streams,
  }
end

local function begin(service)
  for i = 1, #service.ports do
    local thread, message, code = core.Thread({ body = workers.BODY, name = "iocp serve " .. i }, setup_of(service, i))
    if not thread then
      service:stop(0)
      return nil, message, code
    end
    service.threads[i] = thread
    if i > 1 then
      thread:notify(service.ports[1], i, workers.DIED)
    end
  end
  return service
end

--- Serves.
-- @param given options: host ("*"), port (0: the system chooses), workers (as many as processors), handler, a
-- function(stream, worker) that crosses to the threads and is called in a fiber for each connection, which is closed
-- when it has ended; max, how many connections there are at most; on_error: what becomes of handlers' errors, as in
-- run, "log" by default; those of listen
-- @return the service; or nil, message, code
local function serve(given)
  check("options", given, type(given) == "table", "a table: { port = 8080, handler = function(client) ... end }")
  given = options.read(given, rules)
  check("handler", given.handler, given.handler ~= nil, "a function")
  local socket, family, code = listener.open(given.host or "*", given.port or 0, given)
  if not socket then
    return nil, family, code
  end
  local service = setmetatable({ socket = socket, family = family, options = given, ports = {}, threads = {} }, class)
  service.where = { socket:address() }
  service.counters = counters.new(given.workers or core.processors())
  for i = 1, given.workers or core.processors() do
    service.ports[i] = assert(core.IOCompletionPort())
  end
  local ok, message
  ok, message, code = socket:associate(service.ports[1])
  if not ok then
    socket:close()
    return nil, message, code
  end
  return begin(service)
end

-- ---- asking and ending ----------------------------------------------------------------------------------------------

--- @return host, port where it serves
function Service:address()
  check_self(self)
  return self.where[1], self.where[2]
end

--- @return a table: connections, how many there are; accepted, how many there were; workers, the same of each
function Service:stats()
  check_self(self)
  local stats = { connections = 0, accepted = 0, workers = {} }
  for i = 1, #self.ports do
    local accepted, live = self.counters:of(i)
    stats.workers[i] = { connections = live, accepted = accepted }
    stats.connections, stats.accepted = stats.connections + live, stats.accepted + accepted
  end
  return stats
end

--- Tells the first worker, which tells the others; or all of them.
local function tell(service, verb, all)
  local first = service.threads[1]
  local count = (all or not first or first:status() ~= "running") and #service.ports or 1
  for i = 1, count do
    service.ports[i]:enqueue(0, verb)
  end
end

--- Whether all threads have ended, by `limit`; or nil, message, code, also if the first one was no more.
local function join(service, limit)
  local trouble, why
  for i, thread in ipairs(service.threads) do
    local ok, message, code = thread:join(limit and math.max(0, limit - core.clock()))
    if not ok and (code == "TIMEOUT" or code == "CANCELLED" and thread:status() == "running") then
      return nil, message, code
    elseif i == 1 and message then
      trouble, why = message, code or "ERROR"
      tell(service, workers.STOP, true) -- it may have died before it told the others
    end
  end
  if trouble then
    return nil, "the first worker had ended, and nobody was served from then on: " .. trouble, why
  end
  return true
end

--- Ends it: nobody can connect any more; connections that there are go on until their handlers end, and are cancelled
-- after `ms`.
-- @param ms nil: they may take for ever
-- @return true; or nil, message, TIMEOUT: some had to be cancelled; nil, message, CANCELLED: the caller was, or the
-- first worker; nil, message, ERROR: that had failed
function Service:stop(ms)
  check_self(self)
  check("ms", ms, ms == nil or type(ms) == "number" and ms >= 0, "milliseconds, a number from 0 on, or nil")
  if not self.is_stopped then
    self.is_stopped = true
    tell(self, workers.STOP)
  end
  local ok, message, code = join(self, ms and core.clock() + ms)
  if code == "TIMEOUT" then
    local live = self:stats().connections
    message = ("stopped; %d connection%s cancelled after %.0f ms"):format(live, live == 1 and " was" or "s were", ms)
    tell(self, workers.CANCEL, true)
    local ended, why, what = join(self)
    if not ended then
      return nil, why, what
    end
  end
  return options.outcome(ok, message, code)
end
class.__close = Service.stop

function class:__tostring()
  return ("iocp.Service: %s:%s (%d workers%s)"):format(self.where[1], tostring(self.where[2]), #self.ports,
    self.is_stopped and ", stopped" or "")
end

return serve
