--- Fibers: coroutines that wait by yielding to the scheduler's loop (scheduler.lua), which resumes them. Here is what
-- they wait by, which the module's other files use, and their class.
--
-- A fiber that waits has `waits`, what for: whoever wakes it names that, so that nobody wakes a later wait. It is one
-- of the packets that it expects, a number (see expect), or any table. What it is woken with is what `park` returns: a
-- string, TIMEOUT or CANCELLED, says that it has waited in vain.
-- @module iocp.fiber
local core, private, timers = require "iocp.core", require "iocp.private", require "iocp.timers"
local options = require "iocp.options"
local co_create, co_resume, co_status = coroutine.create, coroutine.resume, coroutine.status
local co_running, co_yield = coroutine.running, coroutine.yield
local error, setmetatable, tostring, type = error, setmetatable, tostring, type
local clock, set_timer = core.clock, timers.set
local unpack = rawget(table, "unpack") or unpack
local is_yieldable = coroutine.isyieldable or function() return true end
local CAN_ASK = coroutine.isyieldable ~= nil

if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then -- there C functions have no coroutines of their own
  local create = co_create
  function co_create(f)
    return create(debug.getinfo(f, "S").what ~= "C" and f or function(...) return f(...) end)
  end
end

local fibers = {
  create = co_create,
  now = clock(), -- when the loop looked last
  left = 0, -- how many more operations, of those that may end without a wait, are to go on without a look: see operate
  locks = 0, -- of heaps that fibers of this thread hold, as far as is known: waits.lua
  holds_lock = nil, -- function(): whether they do
}

--- The first of the numbers that the scheduler's own packets have for their overlapped: no address is so large.
local RESERVED = 4503599627370496
fibers.RESERVED = RESERVED

local PARK, NONE = {}, {} -- what a fiber yields; the arguments of one that has none
fibers.PARK = PARK

local Fiber = {} -- methods
local class = { __index = Fiber }
private.stays(class, "iocp.Fiber: it stays in its thread")

local TURN = 64 -- operations without a wait

local current -- the fiber that runs; nil: none does
local top -- the coroutine that runs: the fiber's, or one that iocp.coroutine resumed in it
local drive -- drive(what): runs the loop until what.over

-- ---- those that can run --------------------------------------------------------------------------------------------

local ready, last = {}, 0 -- in this order: fiber, what it is woken with, fiber ...
local turn, at, ends = {}, 0, 0 -- those of which it is the turn now

local function make_ready(fiber, value)
  ready[last + 1], ready[last + 2] = fiber, value
  last = last + 2
end

--- Wakes a fiber that waits for this; whether it did.
function fibers.wake(fiber, waits, value)
  if fiber.waits ~= waits then
    return false
  end
  fiber.waits, fiber.limit = nil, nil
  make_ready(fiber, value)
  return true
end
local wake = fibers.wake

local MESSAGES = {
  TIMEOUT = "timed out: nothing happened within the time given",
  CANCELLED = "this fiber was cancelled: clean up and return",
}

--- A text for any error value, which its own __tostring may fail to give.
local function text_of(value)
  local ok, text = pcall(tostring, value)
  local metatable = getmetatable(value) -- or what is to be seen in its place
  local has_text = ok and type(metatable) == "table" and rawget(metatable, "__tostring")
  if type(value) == "string" or type(value) == "number" or has_text then
    return text
  end
  return ("(error object is a %s value)"):format(type(value))
end

local ADVICE = " (a wait inside pcall, a for-loop's iterator, a metamethod or a function of C, through which "
  .. _VERSION .. " cannot wait: use iocp.pcall and while-loops)"

--- The message of a fiber that failed, with its traceback.
local function message_of(fiber, value)
  local text, traced = text_of(value), fiber.traced
  if text:find("attempt to yield across", 1, true) then
    text = text .. ADVICE
  end
  if traced and rawequal(traced.value, value) then
    return text .. "\n" .. traced.text
  end
  return debug.traceback(fiber.thread, text)
end

--- Tells those who wait for the fiber's end, fibers and functions; whether there were any.
local function tell_joiners(fiber)
  local joiners, told = fiber.joiners, false
  fiber.joiners = nil
  for i = 1, joiners and #joiners or 0 do
    local joiner = joiners[i]
    if type(joiner) == "function" then
      joiner()
      told = true
    elseif joiner then
      told = wake(joiner, fiber, true) or told
    end
  end
  return told
end

local function finish(fiber, outcome)
  fiber.outcome, fiber.waits, fiber.limit, fiber.arguments = outcome, nil, nil, nil
  fiber.since = fibers.now
  timers.remove(fiber)
  if fiber.at_end then
    fiber.at_end(fiber)
  end
  fiber.scope:ended(fiber, tell_joiners(fiber))
  fiber.thread = nil
end

local function fail(fiber, value)
  fiber.value, fiber.message = value, message_of(fiber, value)
  finish(fiber, fiber.stopped and "cancelled" or "failed")
end

local function end_of_turn(fiber, ok, ...)
  current, top = nil, nil
  if (...) == PARK and ok then
    return
  elseif not ok then
    fail(fiber, (...))
  elseif co_status(fiber.thread) ~= "dead" then
    fail(fiber, "coroutine.yield in a fiber, which nothing resumes: iocp.yield lets others run")
  else
    local n = select("#", ...)
    fiber.results = n > 0 and { n = n, ... } or nil
    fiber.message = fiber.stopped and "the fiber was cancelled" or nil
    finish(fiber, fiber.kind == "periodic" and fiber.stopped and "cancelled" or "completed")
  end
end

local LONG = 100 -- ms

--- With IOCP_DEBUG=1: what a fiber's turn gave, and that it was a long one.
local function told(fiber, began, ...)
  local ms = clock() - began
  if ms >= LONG then
    local where = fiber.thread and debug.traceback(fiber.thread) or ""
    io.stderr:write(("iocp: fiber %s ran for %.0f ms without a wait, which all others waited for%s\n"):format(
      fiber:name(), ms, where:gsub("^stack traceback:\n", ":\n")))
  end
  return ...
end

if private.debugs() then
  local resume = co_resume
  function co_resume(thread, ...)
    return told(current, clock(), resume(thread, ...))
  end
end

--- The first turn of a fiber. One that was cancelled before has none.
local function begin(fiber, value)
  local thread, arguments = fiber.thread, fiber.arguments
  if fiber.is_outside then -- see park
    fiber.value, fiber.over = value, true
  elseif thread then
    current, top, fiber.arguments = fiber, thread, nil
    fibers.left = TURN
    if arguments == NONE then
      end_of_turn(fiber, co_resume(thread))
    else
      end_of_turn(fiber, co_resume(thread, unpack(arguments, 1, arguments.n)))
    end
  end
end

--- Runs fibers that can, until none can or `most` have.
function fibers.run(most)
  repeat
    if at == ends then
      if last == 0 then
        return
      end
      ready, turn = turn, ready
      at, ends, last = 0, last, 0
    end
    local fiber, value = turn[at + 1], turn[at + 2]
    turn[at + 1], turn[at + 2] = false, false
    at, most = at + 2, most - 1
    local thread = fiber.thread
    if thread and not fiber.arguments then
      current, top = fiber, thread
      fibers.left = fiber.is_watched and 0 or TURN
      end_of_turn(fiber, co_resume(thread, value))
    else
      begin(fiber, value)
    end
  until most == 0
end

--- Forgets all of them: nobody runs them any more.
function fibers.abandon()
  ready, last, turn, at, ends, current, top = {}, 0, {}, 0, 0, nil, nil
  timers.clear()
end

--- Whether none can run.
function fibers.are_idle()
  return last == 0 and at == ends
end

-- ---- packets that are expected -------------------------------------------------------------------------------------

-- By its number: the fiber that waits for it, or a function(bytes). A number: its bytes, for a fiber that was woken by
-- something else and is still to give it up. false: the number is free.
local owners, free, frees, slots, open = {}, {}, 0, 0, 0
local kept = {} -- numbers that are used again and again

local function ignore() end

--- A number for the overlapped of an operation that ends in one packet. `owner`: the fiber that is woken with its
-- bytes, if it waits for that number, or a function(bytes).
function fibers.expect(owner)
  local slot = slots + 1
  if frees > 0 then
    slot, frees = free[frees], frees - 1
  else
    slots = slot
  end
  owners[slot], open = owner, open + 1
  return RESERVED + slot
end

local function release(slot)
  owners[slot] = false
  if not kept[slot] then
    frees = frees + 1
    free[frees] = slot
  end
end

--- A number for operations of which one at a time is under way: await_kept says each time whose it is.
function fibers.keep()
  local overlapped = fibers.expect(false)
  kept[overlapped - RESERVED], open = true, open - 1
  return overlapped
end

--- The packet will not come.
function fibers.forget(overlapped)
  release(overlapped - RESERVED)
  open = open - 1
end

--- The fiber that expected it does not any more: its bytes, if it has come; else it is for `owner`, a function, or for
-- nobody.
function fibers.give_up(overlapped, owner)
  local slot = overlapped - RESERVED
  local bytes = owners[slot]
  if type(bytes) == "number" then
    release(slot)
    return bytes
  end
  owners[slot] = owner or ignore
  return nil
end

--- It is expected by a fiber again, which waits for it.
function fibers.take_back(overlapped, me)
  owners[overlapped - RESERVED] = me
end

--- A kept number is used no more, but for a packet that may be to come.
function fibers.let_go(overlapped)
  local slot = overlapped - RESERVED
  local owner = owners[slot]
  kept[slot] = nil
  if not owner or type(owner) == "number" then
    release(slot)
  end
end

--- It has come.
function fibers.arrived(overlapped, bytes)
  local slot = overlapped - RESERVED
  local owner = owners[slot]
  if not owner then -- it was expected by somebody before this port was ours
    return
  end
  open = open - 1
  if type(owner) == "function" then
    release(slot)
    owner(bytes)
  elseif owner.waits == overlapped then
    owner.waits, owner.limit = nil, nil
    ready[last + 1], ready[last + 2] = owner, bytes
    last = last + 2
    if kept[slot] then
      owners[slot] = false
    else
      release(slot)
    end
  else
    owners[slot] = bytes
  end
end

--- How many are expected.
function fibers.expected()
  return open
end

--- None of them will come: their port is closed. `first`: the numbers begin behind it, for a port from which others may
-- come that somebody expected who is gone.
function fibers.expect_none(first)
  owners, free, frees, slots, open, kept = {}, {}, 0, first or 0, 0, {}
end

-- ---- waiting -------------------------------------------------------------------------------------------------------

--- The fiber that runs, or nil.
function fibers.current()
  return current
end

--- What iocp.coroutine resumes in the fiber is its coroutine from here on; returns which was it.
function fibers.set_top(thread)
  local before = top
  top = thread
  return before
end

function fibers.top()
  return top
end

local function refuse_wait()
  if co_running() ~= top then
    error("cannot wait inside a coroutine of the script's own: the wait would yield to what resumes it; "
      .. "iocp.coroutine has coroutines that pass it on", 0)
  elseif fibers.locks > 0 and fibers.holds_lock() then
    error("cannot wait while heap:lock is held: two fibers of a thread would both hold it", 0)
  end
  error("cannot wait inside a function that C calls, as table.sort, string.gsub, require and finalizers do "
    .. "(C-call boundary)", 0)
end

--- Who waits: the fiber that runs, or, where none does, somebody for whom the loop runs meanwhile. Raises where nobody
-- can wait.
function fibers.enter()
  local me = current
  if not me then
    return setmetatable({ is_outside = true }, class)
  end
  if co_running() ~= top or not is_yieldable() or fibers.locks > 0 and fibers.holds_lock() then
    refuse_wait()
  end
  return me
end

local function set_wait(me, waits, limit, shielded)
  local deadline = me.deadline
  if deadline and not shielded and not (limit and limit < deadline) then
    limit = deadline
  end
  me.waits, me.limit, me.since = waits, limit, fibers.now
  if limit then
    set_timer(me, limit)
  end
end

--- Waits until somebody wakes it from `waits`, or until `limit`, a time. What it was woken with; TIMEOUT, CANCELLED.
-- `shielded`: neither cancel nor a deadline ends it.
function fibers.park(me, waits, limit, shielded)
  set_wait(me, waits, limit, shielded)
  if not shielded then
    return fibers.yield(me)
  end
  me.shielded = true
  local value = fibers.yield(me)
  me.shielded = nil
  return value
end

--- Yields, once all is said about what it waits for: what it was woken with.
function fibers.yield(me)
  if not me.is_outside then
    return co_yield(PARK)
  end
  local value = drive(me)
  timers.remove(me)
  return value
end

--- Waits for the packet of a kept number, for which an operation has begun, once it yields. As park.
function fibers.await_kept(me, overlapped, limit)
  owners[overlapped - RESERVED], open = me, open + 1
  if limit or me.deadline then
    set_wait(me, overlapped, limit)
  else
    me.waits, me.limit, me.since = overlapped, nil, fibers.now
  end
end

--- Lets the others run.
function fibers.pause(me)
  if not me.is_outside then
    me.waits, me.limit = nil, nil
    make_ready(me, true)
    co_yield(PARK)
  end
end

--- Why the fiber may not wait, TIMEOUT or CANCELLED; nil: it may. The others have run then.
function fibers.refused(me)
  local code, deadline = me.stopped, me.deadline
  if not code and deadline and clock() >= deadline then
    code = "TIMEOUT"
  end
  if code then
    fibers.pause(me)
  end
  return code
end

--- The fiber is cancelled, or has a deadline: each of its operations is to look.
function fibers.watch(me)
  me.is_watched = (me.stopped or me.deadline) and true or nil
  fibers.left = 0
end

--- For operations that may end without a wait, when nothing is left of the fiber's turn: lets the others run, where
-- that can be. nil; or TIMEOUT, CANCELLED: why it is not to begin.
function fibers.operate()
  local me, code = current, nil
  if me and me.is_watched then
    code = fibers.refused(me)
    fibers.left = 0
  elseif me and CAN_ASK and fibers.locks == 0 and co_running() == top and is_yieldable() then
    fibers.pause(me)
  else
    fibers.left = TURN
  end
  return code
end

--- What a wait returns that was in vain: nil, message, code.
function fibers.failure(me, code)
  if code == "TIMEOUT" then
    me.told = me.deadline -- see deadline.lua
  end
  return nil, MESSAGES[code], code
end

--- The results of a wait: the value and nothing behind it; or nil, message, code. Raises, where that is how the fiber
-- is cancelled.
function fibers.results(value, message, code)
  if code == nil then
    return value
  elseif code == "CANCELLED" and current and current.hard then
    error("this fiber was cancelled", 0)
  end
  return value, message, code
end

--- Both.
function fibers.refusal(me, code)
  return fibers.results(fibers.failure(me, code))
end

local function refuse_ms(ms)
  options.refuse("ms", "milliseconds, a number from 0 on, or nil for ever", ms)
end

--- The time `ms` from now; nil: never. Raises unless it is milliseconds.
function fibers.limit(ms)
  if ms == nil or ms == math.huge then
    return nil
  elseif not (type(ms) == "number" and ms >= 0) then
    refuse_ms(ms)
  end
  return clock() + ms
end

-- ---- the class -----------------------------------------------------------------------------------------------------

local function check_self(self)
  if getmetatable(self) ~= class then
    options.refuse("self", "a fiber", self, "; methods are called with a colon")
  end
end

--- A fiber of the scope that calls f(...) when it is its turn, `due` (nil: at once).
function fibers.new(scope, f, name, due, ...)
  local n = select("#", ...)
  local fiber = setmetatable({
    thread = co_create(f),
    body = f,
    scope = scope,
    arguments = n > 0 and { n = n, ... } or NONE,
    since = fibers.now,
  }, class)
  if name then
    fiber.named = name
  end
  if due then
    set_timer(fiber, due)
  else
    make_ready(fiber, true)
  end
  return fiber
end

--- A fiber is due: it begins, or has waited for so long, or waits for something later by now.
function fibers.due(fiber, now)
  local limit = fiber.limit
  if fiber.arguments then
    make_ready(fiber, true)
  elseif limit and limit <= now then
    wake(fiber, fiber.waits, "TIMEOUT")
  elseif limit then
    set_timer(fiber, limit)
  end
end

--- The thread is cancelled: also what shields a wait ends.
function fibers.stop(fiber)
  fiber.shielded = nil
  fiber:cancel()
end

--- Makes all its waits from now on return CANCELLED, and the one it is in; before it has begun it never runs.
-- @param how nil, or "hard": each of them raises an error
-- @return true; false: it had ended
function Fiber:cancel(how)
  check_self(self)
  if how ~= nil and how ~= "hard" then
    options.refuse("how", '"hard" or nil', how)
  elseif self.outcome then
    return false
  end
  self.stopped, self.is_watched = "CANCELLED", true
  if self == current then
    fibers.left = 0
  end
  if how then
    self.hard = true
  end
  if self.arguments and self.kind ~= "report" then
    self.message = "the fiber was cancelled before it began"
    finish(self, "cancelled")
  elseif self.waits ~= nil and not self.shielded then
    wake(self, self.waits, "CANCELLED")
  end
  return true
end

--- @return true, results...; nil, message with traceback, ERROR or CANCELLED, and the error value; or nil, message,
-- TIMEOUT: it has not ended
function Fiber:result()
  check_self(self)
  local outcome, results = self.outcome, self.results
  if not outcome then
    return nil, MESSAGES.TIMEOUT, "TIMEOUT"
  end
  self.is_observed = true
  if outcome == "completed" then
    if results then
      return true, unpack(results, 1, results.n)
    end
    return true
  end
  return nil, self.message, outcome == "failed" and "ERROR" or "CANCELLED", self.value
end

--- One more who is told of the end of a fiber that has not ended: a fiber that waits for it, or a function. Returns the
-- list of them and its place there, which is false once it is to be told no more.
local function add_joiner(fiber, joiner)
  local joiners = fiber.joiners or {}
  local index = #joiners + 1
  fiber.joiners, joiners[index] = joiners, joiner
  return joiners, index
end

--- Calls f() when the fiber has ended, at once if it has. Returns a function that takes it back.
function fibers.when_ended(fiber, f)
  if fiber.outcome then
    f()
    return function() end
  end
  local joiners, index = add_joiner(fiber, f)
  return function()
    joiners[index] = false
  end
end

--- Whether a value is a fiber.
function fibers.is_fiber(value)
  return getmetatable(value) == class
end

local function join(me, fiber, limit)
  local code = fibers.refused(me)
  if code or fiber.outcome then
    return code
  end
  local joiners, index = add_joiner(fiber, me)
  local value = fibers.park(me, fiber, limit)
  if type(value) == "string" then
    joiners[index] = false
    return value
  end
  return nil
end

--- Waits for its end.
-- @param ms how long; nil for ever
-- @return as result; also nil, message, code: TIMEOUT, CANCELLED (the fiber that waits), INVALID (it waits for itself)
function Fiber:wait(ms)
  check_self(self)
  local limit = fibers.limit(ms)
  if not self.outcome then
    local me = fibers.enter()
    if me == self then
      return nil, "a fiber cannot wait for its own end", "INVALID"
    end
    local code = join(me, self, limit)
    if code then
      return fibers.refusal(me, code)
    end
  end
  return self:result()
end

--- Where a function was written.
function fibers.name_of(f)
  local about = debug.getinfo(f, "S")
  return ("%s:%d"):format(about.short_src, about.linedefined)
end

--- "scheduled", "running", "waiting", "completed", "failed" or "cancelled".
function Fiber:status()
  check_self(self)
  if self.outcome then
    return self.outcome
  elseif self == current then
    return "running"
  end
  return self.waits ~= nil and "waiting" or "scheduled"
end

--- The name it was given, or where its function was written.
function Fiber:name()
  check_self(self)
  return self.named or fibers.name_of(self.body)
end

function class:__tostring()
  return ("iocp.Fiber: %s (%s)"):format(self:name(), self:status())
end

--- Where it is in its code.
function fibers.traceback(fiber)
  if fiber == current then
    return debug.traceback()
  end
  return fiber.thread and debug.traceback(fiber.thread) or ""
end

--- The loop, for those who wait where no fiber runs.
function fibers.set_drive(f)
  drive = f
end

return fibers
