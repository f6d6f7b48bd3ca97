--- What a worker of iocp.serve does: a fiber for each connection that it is given. The first one also accepts, chooses
-- who is to have the connection when it is there, hands it over by its handle, and replaces workers that have died.
--
-- Packets to a worker: key, verb. All connections that it is given come before the STOP. A worker that dies loses the
-- packets that its scheduler had taken; so those connections that it had not begun are given anew, and the generation
-- tells its successor which packets in the port are for the dead one.
-- @module iocp.serve_worker
local core, fibers, scheduler = require "iocp.core", require "iocp.fiber", require "iocp.scheduler"
local counters, server = require "iocp.counters", require "iocp.server"

local serve = {
  STOP = 1,
  CANCEL = 2,
  DIED = 3, -- the overlapped of the packet that tells the end of a thread; the key is the worker's number
  CONNECTION = 4, -- this plus the generation of the worker that is to have it; the key is its handle
  -- What its thread runs; the argument is a worker's setup: see serve.lua. What it fails with is told at once: whoever
  -- could join it may never do. It is the thread's result.
  BODY = [[
    local ok, message = pcall(function(...)
      require "iocp"
      require "iocp.serve_worker".work(...)
    end, ...)
    if not ok then
      io.stderr:write("iocp.serve: a worker failed: ", tostring(message), "\n")
      return tostring(message)
    end]],
}

local SLACK = 4 -- connections that one may have more than the least
local FULL = 20 -- ms between two looks whether there is room for one more
local GENERATION = 4294967296 -- numbers of packets that a worker expects, before its successor's begin

-- ---- a connection ---------------------------------------------------------------------------------------------------

--- What is to be done when its handler has ended.
local function at_end(worker, client)
  return function(fiber)
    worker.counters:finish(worker.setup.number)
    if not client.is_closed then
      fiber.scope:begin("report", client.close, "close", nil, client)
    end
  end
end

--- One was given to this worker.
local function begin(worker, socket)
  local client = server.stream_of(worker.server, socket)
  if not client then
    worker.counters:finish(worker.setup.number)
    return
  end
  local fiber = worker.scope:begin("report", worker.setup.handler, worker.handler_name, nil, client, worker.face)
  fiber.kind, fiber.at_end = nil, at_end(worker, client)
  if worker.is_cancelled then
    fiber:cancel()
  end
end

-- ---- who is to have it ----------------------------------------------------------------------------------------------

--- The number of a worker: this one while it has nothing else to do, else the first that is parked, unless they have
-- much more than the others; else the one that has least.
local function choose(worker)
  local ports, loads, best = worker.setup.ports, {}, 1
  for i = 1, #ports do
    local _, load = worker.counters:of(i)
    loads[i] = worker.is_gone[i] and math.huge or load
    best = loads[i] < loads[best] and i or best
  end
  local most = loads[best] + SLACK
  if loads[1] <= most and fibers.are_idle() then
    return 1
  end
  for i = 2, #loads do
    if loads[i] <= most and ports[i]:stats().waiting > 0 then
      return i
    end
  end
  return best
end

--- Remembers which connections a worker has, for when it dies: the one with this handle is the `nth` that it was given.
local function remember(worker, number, nth, handle)
  local list = worker.given[number] or {}
  local _, live = worker.counters:of(number)
  if #list > 64 + 2 * live then
    local open = {}
    for _, known in ipairs(list) do
      open[#open + 1] = core.Socket.open(known.handle) and known or nil
    end
    list = open
  end
  list[#list + 1] = { nth = nth, handle = handle }
  worker.given[number] = list
end

--- Gives it to the worker of this number.
local function give(worker, number, socket)
  local handle, nth = tonumber(socket:handle()), worker.counters:give(number)
  if number == worker.setup.number then
    begin(worker, socket)
  else
    remember(worker, number, nth, handle)
    worker.setup.ports[number]:enqueue(handle, serve.CONNECTION + worker.generations[number])
  end
end

local function hand_over(worker, socket)
  give(worker, choose(worker), socket)
end

-- ---- accepting ------------------------------------------------------------------------------------------------------

--- Waits while there are as many connections as may be.
local function wait_for_room(worker)
  local max = worker.setup.max
  while max and not worker.face.stopping do
    local all = 0
    for i = 1, #worker.setup.ports do
      local _, load = worker.counters:of(i)
      all = all + load
    end
    if all < max then
      return
    end
    core.sleep(FULL)
  end
end

local function accept_one(worker, me, limit)
  local socket, message, code = server.accept(worker.server, me, limit)
  if socket then
    hand_over(worker, socket)
  elseif code ~= "CANCELLED" and code ~= "TIMEOUT" and not worker.has_told then
    worker.has_told = true
    io.stderr:write(("iocp.serve: a client was not accepted: %s\n"):format(message))
  end
  return socket
end

--- Takes those that have come, then closes the listener. The fiber is cancelled, so this does not ask whether it may
-- wait.
local function end_accepting(worker, me)
  repeat
    local socket = accept_one(worker, me, core.clock())
  until not socket
  worker.setup.listener:close()
  while worker.server.idle[1] do -- their packets come
    fibers.park(me, me, core.clock() + 1, true)
  end
  for _, socket in ipairs(worker.server.early) do
    hand_over(worker, socket)
  end
  for i = 2, #worker.setup.ports do
    worker.setup.ports[i]:enqueue(0, serve.STOP)
  end
  for _, thread in ipairs(worker.successors) do
    while select(3, thread:join(FULL)) == "TIMEOUT" do
      fibers.park(me, me, core.clock() + FULL, true)
    end
  end
end

local function accept(worker)
  local me = fibers.enter()
  while not worker.face.stopping do
    wait_for_room(worker)
    if not worker.face.stopping then
      accept_one(worker, me)
    end
  end
  end_accepting(worker, me)
end

-- ---- what others ask for --------------------------------------------------------------------------------------------

local verbs = {}

local function begin_given(worker, key, generation)
  if generation ~= worker.setup.generation then
    return
  end
  local socket = core.Socket.open(key)
  worker.counters:begin(worker.setup.number)
  if socket then
    begin(worker, socket)
  else
    worker.counters:finish(worker.setup.number)
  end
end

verbs[serve.STOP] = function(worker)
  worker.face.stopping = true
  if worker.accepts then
    worker.accepts:cancel()
  end
  worker.stopped:broadcast()
end

verbs[serve.CANCEL] = function(worker)
  worker.is_cancelled = true
  for fiber in pairs(worker.scope.fibers) do
    if fiber.at_end then
      fiber:cancel()
    end
  end
end

--- What a worker that is gone had begun is closed.
-- @return a list of what it had not
local function bury(worker, number)
  local begun, left = worker.counters:begun(number), {}
  for _, known in ipairs(worker.given[number] or {}) do
    local socket = core.Socket.open(known.handle)
    if socket and known.nth > begun then
      left[#left + 1] = socket
    elseif socket then
      socket:close()
    end
  end
  worker.given[number] = nil
  worker.counters:bury(number)
  return left
end

--- Starts a worker in the place of one that is gone. true; or nil, message
local function start(worker, number)
  local setup = {}
  for name, value in pairs(worker.setup) do
    setup[name] = value
  end
  worker.generations[number] = worker.generations[number] + 1
  setup.number, setup.listener, setup.generation = number, nil, worker.generations[number]
  local thread, message = core.Thread({ body = serve.BODY, name = "iocp serve " .. number }, setup)
  if not thread then
    return nil, message
  end
  worker.successors[#worker.successors + 1] = thread
  thread:notify(core.port(), number, serve.DIED)
  return true
end

--- Another worker's thread has ended: another one takes its place, if that can be. What it had not begun is served.
local function replace(worker, number)
  local left, started = bury(worker, number), false
  if not worker.face.stopping then
    local message
    started, message = start(worker, number)
    if not started then
      io.stderr:write(("iocp.serve: worker %d died and was not replaced: %s\n"):format(number, message))
    end
  end
  worker.is_gone[number] = not started
  for _, socket in ipairs(left) do
    give(worker, started and choose(worker) or worker.setup.number, socket)
  end
end

--- Does what packets say, for as long as there are connections.
local function obey(worker)
  local port = core.port()
  while true do
    local key, verb, overlapped = port:dequeue()
    if not key then
      return
    elseif overlapped == serve.DIED then
      replace(worker, key)
    elseif verb >= serve.CONNECTION then
      begin_given(worker, key, verb - serve.CONNECTION)
    else
      verbs[verb](worker, key)
    end
  end
end

-- ---- the worker -----------------------------------------------------------------------------------------------------

local function new(setup)
  local worker = {
    setup = setup,
    handler_name = "iocp.serve: handler " .. fibers.name_of(setup.handler),
    counters = counters.open(setup.counters),
    server = server.new(setup.listener, setup.family, setup.streams),
    face = { number = setup.number, stopping = false }, -- what handlers see of it
    stopped = core.Condition(),
    -- Of the other workers, by their numbers: what each was given, how many died before it, whether nobody replaces it.
    given = {}, generations = {}, is_gone = {},
    successors = {},
  }
  for i = 1, #setup.ports do
    worker.generations[i] = 0
  end
  return worker
end

local function main(worker)
  worker.scope = fibers.current().scope
  worker.scope:begin("periodic", obey, "obey", nil, worker)
  if worker.setup.listener then
    worker.accepts = worker.scope:begin(nil, accept, "accept", nil, worker)
  end
  while not worker.face.stopping do
    if not worker.stopped:wait() then
      return
    end
  end
end

--- Works until it is told to stop, and its connections have ended. After an error of its own it begins anew.
function serve.work(setup)
  local _ = core.run
  scheduler.use_port(setup.ports[setup.number], setup.generation * GENERATION)
  local worker = new(setup)
  repeat
    local ok, message = pcall(core.run, { main = main, on_error = setup.on_error }, worker)
    if not ok then
      io.stderr:write(("iocp.serve: worker %d begins anew: %s\n"):format(setup.number, tostring(message)))
    end
  until ok or core.cancelled()
end

return serve
