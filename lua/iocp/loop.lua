--- A loop over a pool's workers: its chunks on their way, not too many at once, and what comes of them in the caller.
local CHUNKS = 16 -- for each worker: what one has more of than the others is then a sixteenth
local LARGEST = 8192 -- items in a chunk: their numbers fit into a processor's cache
local MOST = 2 ^ 30 -- the same where the caller says how many: they are counted in 32 bits
local WINDOW = 4 -- chunks for each worker that are under way at once, so that a long list is not in memory twice
local PATIENCE = 1000 -- ms for what runs, where the caller has an error of its own

local progress = require "iocp.progress"
local core, parts -- those of this state: see the end

-- ---- a loop ----

local function chunk_size(asked, count, workers)
  return asked and math.min(asked, MOST) or math.max(1, math.min(LARGEST, math.ceil(count / (workers * CHUNKS))))
end

-- job: see run, at the end. `own`: the worker that calls is one of the pool's.
local function new(pool, job, own)
  local workers, options = math.max(1, pool:workers()), job.options
  local update, stop
  if options.progress then
    update, stop = progress(core, parts, options.progress, job.count, options.name or pool:name())
  end
  return {
    pool = pool,
    job = job,
    size = chunk_size(options.chunk, job.count, workers),
    window = workers * WINDOW, -- how many chunks may be open
    update = update,
    stop = stop,
    own = own,
    deadline = options.timeout and core.clock() + options.timeout,
    notices = assert(parts.notices()), -- the numbers of chunks that have ended
    waits = false,
    chunks = {}, -- those that are open, by their numbers
    key = 0, -- the number that was given last: each try to submit one has its own
    last = 0, -- how many were submitted
    open = 0,
    done = 0, -- items
  }
end

local function has_more(loop)
  return loop.last * loop.size < loop.job.count
end

-- ---- chunks ----

-- The chunk is in the table before it is under way, so that no lack of memory comes between.
local function post(loop, chunk, refused)
  local key = loop.key + 1
  loop.key, loop.chunks[key], chunk.key = key, chunk, key
  local job = loop.job
  local fine, task, message, code = parts.pcall(parts.submit_chunk, loop.pool, job.runner, loop.notices, key, job.work,
    chunk.first, chunk.n, chunk.packed, chunk.extra, refused, job.how)
  if not fine or not task then
    loop.chunks[key] = nil
  end
  return fine, task, message, code
end

-- Why items of a chunk cannot be sent, by their places in it, and the first such place. nil: all of them can.
local function refusals(items, n)
  local refused, least
  for i = 1, n do
    local ok, why = pcall(parts.probe, items[i], "the item")
    if not ok then
      refused, least = refused or {}, least or i
      refused[i] = why:match("cannot send.*") or why -- without the script's line, which is told of all
    end
  end
  return refused, least
end

-- Submits a chunk: its task; or nil, message, code. An item that cannot be sent is an error of its own. loop: pool,
-- job, notices (nil: who submits is told otherwise), chunks and key, as below.
local function offer(loop, chunk)
  local job = loop.job
  local fine, task, message, code = post(loop, chunk)
  if not fine and type(chunk.packed) == "table" and tostring(task):find("cannot send", 1, true) then
    local refused, least = refusals(chunk.packed, chunk.n)
    if refused and not job.collects then
      return nil, ("item %.0f: %s"):format(chunk.first + least - 1, refused[least]), "ERROR"
    end
    for i in pairs(refused or {}) do
      chunk.packed[i] = nil
    end
    fine, task, message, code = post(loop, chunk, refused)
  end
  if not fine then
    error(task, 0)
  end
  return task, message, code
end

-- Submits the next chunk: true; false if there is no room in the queue; or nil, message, code. HOLE: what it is called
-- with lacks an item, the one with that number.
local function submit(loop)
  local job, first = loop.job, loop.last * loop.size + 1
  local n = math.min(loop.size, job.count - first + 1)
  local packed, extra = job:cut(first, n)
  if packed == nil then
    return nil, extra, "HOLE"
  end
  local chunk = { first = first, n = n, packed = packed, extra = extra, task = false }
  local task, message, code = offer(loop, chunk)
  if not task then
    job:take(chunk, false)
    if code == "TIMEOUT" and loop.open > 0 then
      return false
    end
    return nil, message, code
  end
  loop.last, loop.open, chunk.task = loop.last + 1, loop.open + 1, task
  return true
end

-- A chunk that has ended and is not open any more; or nil, message, code. `one` is one of those that are waited for: if
-- it waits for the task that calls, that is INVALID. What is raised here is Ctrl-C.
local function next_ended(loop, ms, one)
  local i, message, code
  loop.waits = true
  repeat
    i, message, code = parts.wait_notice(loop.notices, ms, one and one.task or nil)
  until not i or loop.chunks[i] -- not one that could not be submitted
  loop.waits = false
  if not i then
    return nil, message, code
  end
  local chunk = loop.chunks[i]
  loop.chunks[i], loop.open = nil, loop.open - 1
  return chunk
end

-- A worker that waits for chunks in its own pool first runs one that nobody has begun.
local function run_one(loop)
  for _, chunk in pairs(loop.own and loop.chunks or {}) do
    if parts.run_task(chunk.task) then
      return
    end
  end
end

-- Takes a chunk back that has ended: true; or nil, message, code, and of one that failed, with the code ERROR, the
-- error value.
local function receive(loop)
  run_one(loop)
  local _, one = next(loop.chunks)
  local left = loop.deadline and math.max(0, loop.deadline - core.clock())
  local chunk, message, code = next_ended(loop, left, one)
  if not chunk then
    return nil, code == "TIMEOUT" and "the loop ran out of its time" or message, code
  end
  local completed, a, b, c = chunk.task:result()
  loop.done = loop.done + chunk.n
  loop.job:take(chunk, completed, a, b, c)
  if not completed then
    return nil, a, b, c
  end
  if loop.update then
    loop.update(loop.done)
  end
  return true
end

-- ---- to the end ----

local function go_on(loop)
  while loop.open > 0 or has_more(loop) do
    local ok, message, code, value = false, nil, nil, nil
    if has_more(loop) and loop.open < loop.window then
      ok, message, code = submit(loop)
    end
    if ok == false then
      ok, message, code, value = receive(loop)
    end
    if not ok then
      return nil, message, code, value
    end
  end
  if loop.update and loop.job.count == 0 then
    loop.update(0)
  end
  return true
end

-- Takes chunks back until none is open: nothing of the loop runs any more. If it waits in vain they end by themselves:
-- for `ms`, nil for ever, or until the calling thread is cancelled.
local function abandon(loop, ms)
  local deadline = ms and core.clock() + ms
  for _, chunk in pairs(loop.chunks) do
    chunk.task:cancel()
  end
  while loop.open > 0 do
    local chunk = next_ended(loop, deadline and math.max(0, deadline - core.clock()))
    if not chunk then
      return
    end
    loop.job:take(chunk, false)
  end
end

local lib = { offer = offer }

--- Raises an error of a function that the loop calls, here or in a worker. A text, or what had a text of its own that
-- it lost on its way, since its metatable is not registered: as the message, which has the item and the traceback;
-- anything else as it is. `hint`: what the message says besides, in its first line.
function lib.raise(message, value, hint)
  local kind = type(value)
  local is_text = kind == "nil" or kind == "string" or kind == "number"
    or kind == "table" and not getmetatable(value) and not message:find("(error object is a table value)", 1, true)
  if hint and is_text then
    message = message:gsub("^[^\n]*", function(line) return ("%s (%s)"):format(line, hint) end)
  end
  error(is_text and message or value, 0)
end

--- Runs a job: a table with runner, work and how (see calls.lua), count (of items) and options; job:cut(first, n), what
--- a chunk is called with
-- besides, or nil and the number of an item that is missing; job:take(chunk, completed, results ...), called for each
-- that has ended, in any order, with `chunk.first`, `chunk.n` and `chunk.packed`, the first value that cut gave;
-- job:close(), called when no chunk is open any more; job.collects, whether an item that cannot be sent is told to the
-- runner, or ends the loop. Returns true; or nil, message, code; or nil, the number of an item that is missing, HOLE.
-- Raises what a chunk raised. However it ends, no chunk runs any more, unless the calling thread was cancelled, or is
-- interrupted (Ctrl-C, which raises an error in the wait). Where it raises besides, it may be Ctrl-C as well, and
-- nothing tells: then it waits for a while only.
function lib.run(pool, job)
  local _, current, initialised = parts.current_worker()
  if current == pool and not initialised then
    return nil, "init cannot run loops over its own pool, whose worker is to run them", "INVALID"
  end
  local loop = new(pool, job, current == pool)
  local returned, ok, message, code, value = parts.pcall(go_on, loop)
  if loop.stop and not (returned and ok) then
    loop.stop()
  end
  if not returned then
    abandon(loop, loop.waits and 0 or PATIENCE)
  elseif not ok then
    abandon(loop)
  end
  if loop.open == 0 then
    job:close()
  end
  if not returned then
    error(ok, 0)
  elseif code == "ERROR" then
    lib.raise(message, value, job.hint)
  end
  return ok, message, code
end

return function(its_core, its_parts)
  core, parts = its_core, its_parts
  parts.pcall = parts.pcall or pcall -- waits_pool.lua has one in which fibers can wait everywhere
  return lib
end
