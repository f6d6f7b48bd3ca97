--- What waits of pools and tasks, inside fibers: iocp.waits' part for them.
-- @module iocp.waits_pool
local core, private, fibers = require "iocp.core", require "iocp.private", require "iocp.fiber"
local await = require "iocp.await"
local current, enter = fibers.current, fibers.enter
local unpack = rawget(table, "unpack") or unpack

local parts = private.pool_parts
local finish_pool, wait_notice = parts.finish_pool, parts.wait_notice

-- ---- ends of tasks --------------------------------------------------------------------------------------------------

local waiting = 0 -- fibers of this thread that wait for tasks: while there are any, a worker's thread counts as blocked

--- As wait_for; the pool whose worker this is has another one meanwhile, which may run what is waited for.
local function wait_blocked(me, object, notify, limit)
  if waiting == 0 then
    local ok, message, code = parts.block()
    if not ok then
      return code, message
    end
  end
  waiting = waiting + 1
  local code, message = await.packet(me, object, notify, limit)
  waiting = waiting - 1
  if waiting == 0 then
    parts.unblock()
  end
  return code, message
end

local tasks = package.loaded["iocp.methods"]["iocp.Task"]
local wait_for_task, notify_task = tasks.wait, tasks.notify

local function look_at_task(task)
  return wait_for_task(task, 0)
end

local function wait_in_fiber(me, task, limit)
  return wait_blocked(me, task, notify_task, limit)
end

private.put(tasks, "iocp.methods\0iocp.Task", "wait", function(task, ms)
  if not current() then
    return wait_for_task(task, ms)
  end
  local limit = fibers.limit(ms)
  return await.found(enter(), task, look_at_task, wait_in_fiber, limit, nil, nil, look_at_task(task))
end)

local function look_for_notice(notices)
  return wait_notice(notices, 0)
end

local function wait_for_notice(me, notices, limit)
  return wait_blocked(me, notices, parts.notify_notice, limit)
end

--- What loops over a pool wait by.
function parts.wait_notice(notices, ms, task)
  if not current() then
    return wait_notice(notices, ms, task)
  end
  local limit = fibers.limit(ms)
  return await.found(enter(), notices, look_for_notice, wait_for_notice, limit, nil, nil, look_for_notice(notices))
end

-- ---- a place in a queue with a limit --------------------------------------------------------------------------------

local sources = await.sources(parts.notify_room)

local function wait_for_room(me, pool, limit)
  return await.turn(me, sources, pool, limit)
end

--- What a try gave. One whose time is over says what it lacked.
local function told(task, message, code)
  if task then
    return task
  elseif code == "TIMEOUT" then
    message = "the pool's queue is full"
  end
  return nil, message, code
end

local function looked(pool, ...)
  await.leave(sources, pool)
  return ...
end

--- The method, and in a fiber try(pool, ...), which does not wait, again and again.
local function yielding(method, try)
  local function submit_later(pool, ...)
    local n, arguments, limit = select("#", ...), { ... }, fibers.limit(parts.queue_wait(pool))
    local function look()
      return looked(pool, try(pool, unpack(arguments, 1, n)))
    end
    return told(await.found(enter(), pool, look, wait_for_room, limit, nil, nil, nil, nil, "TIMEOUT"))
  end
  return function(pool, ...)
    if not current() then
      return method(pool, ...)
    end
    local task, message, code = try(pool, ...)
    if task then
      return task
    elseif code ~= "TIMEOUT" then
      return nil, message, code
    end
    return submit_later(pool, ...)
  end
end

local function put(name, method)
  private.put(parts.methods, "iocp.methods\0iocp.Pool", name, method)
end

put("submit", yielding(parts.methods.submit, parts.try_submit))
put("post", yielding(parts.methods.post, parts.try_post))
parts.submit_chunk = yielding(parts.submit_chunk, parts.try_submit_chunk)
parts.pcall = core.pcall -- loops wait inside

-- ---- its end --------------------------------------------------------------------------------------------------------

local function look_at_end(pool)
  return finish_pool(pool, 0)
end

local function wait_for_end(me, pool, limit)
  return await.packet(me, pool, parts.notify_end, limit)
end

function parts.finish_pool(pool, ms)
  if not current() then
    return finish_pool(pool, ms)
  end
  local limit = fibers.limit(ms)
  return await.found(enter(), pool, look_at_end, wait_for_end, limit, nil, nil, look_at_end(pool))
end

return true
