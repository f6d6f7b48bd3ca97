--- The scheduler: fibers over one port of the thread. Its loop runs those that can, then takes what has come to the
-- port, waiting for it while nobody can run.
--
-- fiber.lua has what fibers wait by, scope.lua run and spawn, timers.lua who is due when, condition.lua, deadline.lua
-- and coroutines.lua what they are named for, await.lua and waits.lua the module's own waits inside fibers. Nothing of
-- it is loaded before a script asks for it.
-- @module iocp.scheduler
local core, private, fibers = require "iocp.core", require "iocp.private", require "iocp.fiber"
local scopes, timers = require "iocp.scope", require "iocp.timers"
local clock, take_shielded = core.clock, require("iocp.private").take_shielded
local scheduler = {}

local BATCH = 64 -- packets, and fibers that run, between two looks at the other

local port -- the thread's
local dequeue_many -- of it
local batch = {}
local inbox = { first = 1, last = 0 } -- packets of others: key, bytes, overlapped, key ...
local readers = { first = 1, last = 0 } -- fibers that wait for one, and false where one went away
local pending = {} -- by key: streams with sends that bear no overlapped
local blocks = {} -- by address: functions(bytes) for operations that went on with a block
scheduler.pending, scheduler.blocks = pending, blocks
local looping = false

-- ---- the port ------------------------------------------------------------------------------------------------------

local function open_port()
  port = assert(core.IOCompletionPort())
  inbox, readers = { first = 1, last = 0 }, { first = 1, last = 0 }
  fibers.expect_none()
end

--- The port is to be this one, to which others may have sent already; before the first run. `first`: see expect_none.
function scheduler.use_port(its_port, first)
  port = its_port
  fibers.expect_none(first)
end

--- The port of this thread's scheduler.
function scheduler.port()
  if not port or not port:native() then
    open_port()
  end
  return port
end

local function wake_reader()
  while readers.first <= readers.last do
    local fiber = readers[readers.first]
    readers[readers.first] = nil
    readers.first = readers.first + 1
    if fiber and fibers.wake(fiber, inbox, true) then
      return
    end
  end
end

--- Takes a packet of the port that is not the scheduler's own: key, bytes, overlapped; or nil, nil, TIMEOUT.
function scheduler.take()
  local first = inbox.first
  if first > inbox.last then
    return nil, nil, "TIMEOUT"
  end
  local key, bytes, overlapped = inbox[first], inbox[first + 1], inbox[first + 2]
  inbox[first], inbox[first + 1], inbox[first + 2] = nil, nil, nil
  inbox.first = first + 3
  return key, bytes, overlapped or nil
end

--- Waits until there may be one: nil, or TIMEOUT, CANCELLED.
function scheduler.wait_for_packet(me, limit)
  local index = readers.last + 1
  readers.last, readers[index] = index, me
  local value = fibers.park(me, inbox, limit)
  if type(value) == "string" then
    if readers[index] then
      readers[index] = false
    end
    return value
  end
  return nil
end

local function deliver(key, bytes, overlapped)
  if overlapped and blocks[overlapped] then
    local ended = blocks[overlapped]
    blocks[overlapped] = nil
    ended(bytes)
  elseif not overlapped and pending[key] then
    pending[key](bytes)
  else
    local last = inbox.last
    inbox[last + 1], inbox[last + 2], inbox[last + 3] = key, bytes, overlapped or false
    inbox.last = last + 3
    wake_reader()
  end
end

-- ---- the loop ------------------------------------------------------------------------------------------------------

--- Whether a fiber waits for packets of others, which may always come.
local function has_readers()
  for i = readers.first, readers.last do
    if readers[i] and readers[i].waits == inbox then
      return true
    end
  end
  return false
end

--- How long to wait for packets; nil: for ever; false: nothing can come.
local function patience()
  if not fibers.are_idle() then
    return 0
  end
  local due = timers.first()
  if due then
    local ms = due - clock()
    return ms > 0 and ms or 0
  elseif fibers.expected() > 0 or has_readers() or next(pending) or next(blocks) then
    return nil
  end
  return false
end

local function everyone_waits()
  local texts = { "every fiber waits, and nothing can come that ends a wait" }
  for _, about in ipairs(scopes.list()) do
    texts[#texts + 1] = ("%s (%s), %s"):format(about.name, about.status, about.traceback)
  end
  return table.concat(texts, "\n")
end

--- The get itself was in vain: the thread was cancelled, of which all are told once, or somebody closed the port.
local function end_all(what, message, code)
  if code == "CANCELLED" then
    what.is_told = true
    scopes.cancel_all()
  else
    scopes.fail_all("the scheduler's port: " .. message)
    open_port()
  end
  if what.is_outside and not (what.is_told and what.shielded) then
    fibers.wake(what, what.waits, "CANCELLED")
  end
end

local SLICE = 100 -- ms after which a hard cancel comes through

--- A get. Once all are told that the thread was cancelled, what no cancel ends goes on, and its packets are to come.
local function get(what, ms)
  if what.is_told then
    return take_shielded(port, BATCH, ms and math.min(ms, SLICE) or SLICE, batch)
  end
  return dequeue_many(port, BATCH, ms, batch)
end

local function fire()
  local now = clock()
  fibers.now = now
  if timers.first() then
    local fiber = timers.take(now)
    while fiber do
      fibers.due(fiber, now)
      fiber = timers.take(now)
    end
  end
end

local RESERVED, arrived = fibers.RESERVED, fibers.arrived
local function take_in(n)
  for i = 1, 3 * n, 3 do
    local overlapped = batch[i + 2]
    if overlapped and overlapped >= RESERVED then
      arrived(overlapped, batch[i + 1])
    else
      deliver(batch[i], batch[i + 1], overlapped)
    end
  end
end

--- Takes what has come to the port.
local function look(what)
  local ms = patience()
  if ms == false then
    local text = everyone_waits()
    if what.is_outside then
      error(text, 0)
    end
    scopes.fail_all(text)
    return
  end
  local got, n, code = get(what, ms)
  if got then
    take_in(n)
  elseif code ~= "TIMEOUT" then
    end_all(what, n, code)
  end
  fire()
end

local function steps(what)
  while true do
    fibers.run(BATCH)
    if what.over then
      return
    end
    look(what)
  end
end

--- Runs until what.over. An error that comes out of the loop is Ctrl-C: the first one cancels what runs, and is raised
-- when that has ended; the second one is raised at once.
local function drive(what)
  scheduler.port()
  looping = true
  local ok, value = pcall(steps, what)
  if not ok and not what.is_outside and not what.over then
    scopes.fail_all(value)
    ok, value = pcall(steps, what)
  end
  looping = false
  if not ok then
    scopes.abandon()
    error(value, 0)
  end
  return what.value
end

--- Raises where the loop runs, but no fiber.
function fibers.check_outside()
  if looping and not fibers.current() then
    error("cannot wait here: the scheduler itself calls this", 0)
  end
end

fibers.set_drive(function(me)
  fibers.check_outside()
  me.over = nil -- of the wait before, if its call waits again
  return drive(me)
end)
scopes.set_drive(drive)

-- ---- the module's functions ----------------------------------------------------------------------------------------

--- Lets other fibers run; where there is none, other threads.
local yield = core.yield
local function yield_fiber()
  local me = fibers.current() and fibers.enter()
  if not me then
    return yield()
  end
  local code = fibers.refused(me)
  if code then
    return fibers.refusal(me, code)
  end
  fibers.pause(me)
  return true
end

local cancelled = core.cancelled
local function is_cancelled()
  local me = fibers.current()
  return me and me.stopped ~= nil or cancelled()
end

--- Makes it known to the state.
function scheduler.install()
  open_port()
  dequeue_many = port.dequeue_many -- as it is before waits.lua replaces it
  for name, f in pairs {
    run = scopes.run, spawn = scopes.spawn, spawn_after = scopes.spawn_after, spawn_every = scopes.spawn_every,
    fibers = scopes.list, fiber = fibers.current, port = scheduler.port, yield = yield_fiber, cancelled = is_cancelled,
    Condition = require("iocp.condition").new, within = require "iocp.deadline",
  } do
    private.put(core, "iocp", name, f)
  end
  local library, pcall_in_fiber = require "iocp.coroutines"()
  for name, f in pairs(library) do
    private.put(library, "iocp\0coroutine", name, f)
  end
  core.coroutine = library
  private.put(core, "iocp", "pcall", pcall_in_fiber)
  require "iocp.waits"()
end

return scheduler
