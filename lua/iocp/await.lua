--- How fibers wait for what others do: they look, which never blocks; who finds nothing waits for a packet that says to
-- look again, and so on.
-- @module iocp.await
local core, fibers, scheduler = require "iocp.core", require "iocp.fiber", require "iocp.scheduler"
local clock, park, refused, refusal = core.clock, fibers.park, fibers.refused, fibers.refusal
local await = {}

--- What a look gave, as look(object, a, b) gives it, or what a later one gives: TIMEOUT says to wait. `wait(me, object,
-- limit)` waits until it may be worth it: nil; or the code, and a message if it is not the fiber's.
function await.found(me, object, look, wait, limit, a, b, ...)
  local first, _, code, own = ... -- own: the object has ended, and that TIMEOUT is what came of it
  if first ~= nil or code ~= "TIMEOUT" or own ~= nil then
    return ...
  end
  local message
  code = refused(me)
  if not code and limit and clock() >= limit then
    code = "TIMEOUT"
  elseif not code then
    code, message = wait(me, object, limit)
  end
  if message then
    return nil, message, code
  elseif code then
    return refusal(me, code)
  end
  return await.found(me, object, look, wait, limit, a, b, look(object, a, b))
end

-- ---- one who waits --------------------------------------------------------------------------------------------------

--- Waits for the packet that notify(object, port, key, overlapped) has posted.
function await.packet(me, object, notify, limit)
  local overlapped = fibers.expect(me)
  local timer, message, code = notify(object, scheduler.port(), 0, overlapped)
  if not timer then
    fibers.forget(overlapped)
    return code, message
  end
  local value = park(me, overlapped, limit)
  if type(value) == "string" then
    if timer:cancel() then
      fibers.forget(overlapped)
    else
      fibers.give_up(overlapped)
    end
    return value
  end
  return nil
end

-- ---- many who wait --------------------------------------------------------------------------------------------------

-- A source is what several fibers wait for, in the order in which they came, from `first` to `last`. It is asked for
-- one packet at a time, for the first of them; once that has looked, for the next one. `timer`: it is asked.

--- Those of a kind: `notify` as above.
function await.sources(notify)
  return { notify = notify, by_handle = {} }
end

local function next_waiter(source)
  while source.first <= source.last do
    local fiber = source[source.first]
    if fiber and fiber.waits == source then
      return fiber
    end
    source[source.first] = nil
    source.first = source.first + 1
  end
  return nil
end

--- Asks it, if somebody waits: true; or nil, message, code.
local function arm(source)
  if source.timer or not next_waiter(source) then
    return true
  end
  local overlapped = fibers.expect(function()
    source.timer = nil
    local fiber = next_waiter(source)
    if fiber then
      fibers.wake(fiber, source, true)
    end
  end)
  local timer, message, code = source.notify(source.object, scheduler.port(), 0, overlapped)
  if not timer then
    fibers.forget(overlapped)
    return nil, message, code
  end
  source.timer, source.overlapped = timer, overlapped
  return true
end

--- To be called when somebody has looked at the object, or waits no more: the next one is to be told.
function await.leave(sources, object)
  local source = next(sources.by_handle) ~= nil and sources.by_handle[object:handle()]
  if not source then
    return
  elseif next_waiter(source) then
    arm(source)
    return
  end
  if source.timer and source.timer:cancel() then
    fibers.forget(source.overlapped)
    source.timer = nil
  end
  if not source.timer then
    sources.by_handle[source.handle] = nil
  end
end

--- Waits in the row of those who do.
function await.turn(me, sources, object, limit)
  local handle = object:handle()
  local source = sources.by_handle[handle]
  if not source then
    source = { handle = handle, object = object, notify = sources.notify, first = 1, last = 0 }
    sources.by_handle[handle] = source
  end
  local index = source.last + 1
  source.last, source[index] = index, me
  me.waits = source -- arm looks for it
  local ok, message, code = arm(source)
  if not ok then
    me.waits, source[index] = nil, false
    return code, message
  end
  local value = park(me, source, limit)
  if type(value) == "string" then
    await.leave(sources, object)
    return value
  end
  return nil
end

return await
