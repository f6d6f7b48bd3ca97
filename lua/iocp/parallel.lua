--- Loops over a pool's workers: map, parallel_for and reduce.
-- A list is cut into chunks, each a task, so a million cheap items do not cost a million packets; and the function crosses to
-- a worker once, within the function that runs a chunk.
local progress = require "iocp.progress"

local CHUNKS = 16 -- for each worker: what one has more of than the others is then a sixteenth
local LARGEST = 65536 -- items in a chunk

-- ---- what runs in the workers ----

-- Calls body(i) for i = 1 .. n; an error says which item it was, and has its traceback.
local function each(n, first, body)
  local at = 0
  local ok, message = xpcall(function()
    for i = 1, n do
      at = i
      body(i)
    end
  end, function(message)
    message = type(message) == "string" and message or "(error object is a " .. type(message) .. " value)"
    return debug.traceback(message, 2)
  end)
  if not ok then
    error(("item %d: %s"):format(first + at - 1, message), 0)
  end
end

local function mapper(f, collect)
  if collect then
    return function(first, n, items)
      local results, errors = {}, {}
      for i = 1, n do
        local ok, result = xpcall(function()
          return f(items[i], first + i - 1)
        end, function(message)
          return debug.traceback(tostring(message), 2)
        end)
        if ok then
          results[i] = result
        else
          errors[i] = result
        end
      end
      return results, errors
    end
  end
  return function(first, n, items)
    local results = {}
    each(n, first, function(i)
      results[i] = f(items[i], first + i - 1)
    end)
    return results
  end
end

local function looper(f, from, step)
  return function(first, n)
    each(n, first, function(i)
      f(from + (first + i - 2) * step)
    end)
  end
end

local function reducer(f)
  return function(first, n, items)
    local sum = items[1]
    each(n - 1, first + 1, function(i)
      sum = f(sum, items[i + 1])
    end)
    return sum
  end
end

-- ---- what runs in the caller ----

-- Raises where the method was called, which is `level` functions up.
local function check(level, name, value, ok, expected)
  if not ok then
    error(("bad argument '%s' (expected %s, got %s)"):format(name, expected, type(value)), level)
  end
end

local function check_options(options)
  options = options or {}
  check(4, "options", options, type(options) == "table", "a table")
  for name, value in pairs(options) do
    if name == "chunk" then
      check(4, "chunk", value, type(value) == "number" and value >= 1 and value % 1 == 0, "an integer from 1 on")
    elseif name == "errors" then
      check(4, "errors", value, value == "raise" or value == "collect", '"raise" or "collect"')
    elseif name == "progress" then
      check(4, "progress", value, type(value) == "boolean" or type(value) == "function", "a boolean or a function")
    elseif name == "name" then
      check(4, "name", value, type(value) == "string", "a string")
    else
      error(("bad argument 'options' ('%s' is none of chunk, errors, progress, name)"):format(tostring(name)), 3)
    end
  end
  return options
end

return function(core, parts)
  local methods = parts.methods

  local function cancel_all(tasks)
    for _, task in pairs(tasks) do
      task:cancel()
    end
  end

  -- Where a worker waits for its own chunks, it runs those that nobody has begun, the last first: the others come from the
  -- front.
  local function help(tasks, count)
    if parts.current_worker() then
      for i = count, 1, -1 do
        parts.run_task(tasks[i])
      end
    end
  end

  -- Runs work(first, n, slice(first, n)) for chunks of `count` items, and calls take(first, n, results ...) for each, in any
  -- order. Returns true; or nil, message, code. Raises what a chunk raised, once none runs any more.
  local function run(pool, count, options, work, slice, take)
    local size = options.chunk or math.min(LARGEST, math.ceil(count / (math.max(1, pool:workers()) * CHUNKS)))
    local update = options.progress and progress(core, parts, options.progress, count, options.name or pool:name())
    local port, tasks, chunks, done = core.IOCompletionPort(), {}, math.ceil(count / math.max(size, 1)), 0
    local message, code
    for i = 1, chunks do
      local first = (i - 1) * size + 1
      local n = math.min(size, count - first + 1)
      tasks[i], message, code = pool:submit(work, first, n, slice and slice(first, n))
      if not tasks[i] then
        cancel_all(tasks)
        return nil, message, code
      end
      if not parts.watch_task(tasks[i], port, i) then
        port:enqueue(i) -- it has ended already
      end
    end
    help(tasks, chunks)
    local failure
    for _ = 1, chunks do
      local i
      i, message, code = parts.wait_blocked(port)
      if not i then
        cancel_all(tasks)
        return nil, message, code
      end
      local first = (i - 1) * size + 1
      local n = math.min(size, count - first + 1)
      local results = { tasks[i]:result() }
      if results[1] then
        take(first, n, results[2], results[3])
      elseif not failure then
        failure = { results[2], results[3] }
        cancel_all(tasks)
      end
      tasks[i] = nil
      done = done + n
      if update and not failure then
        update(done)
      end
    end
    if failure and failure[2] == "ERROR" then
      error(failure[1], 0)
    elseif failure then
      return nil, failure[1], failure[2]
    end
    if update and chunks == 0 then
      update(0)
    end
    return true
  end

  local function slicer(list)
    return function(first, n)
      local items = {}
      for i = 1, n do
        items[i] = list[first + i - 1]
      end
      return items
    end
  end

  --- Calls f(item, index) for each item of a list, in the workers.
  -- @tparam table list
  -- @tparam function f
  -- @tparam[opt] table options chunk (items in a task), errors ("raise": the first error cancels the rest and is raised
  -- with its item and the worker's traceback; "collect": the results, and the messages by index), progress (true, or a
  -- function(done, total, ms)), name
  -- @return the results, in the list's order; and with "collect" the errors. Or nil, message, code: CLOSED, CANCELLED
  function methods.map(pool, list, f, options)
    check(3, "list", list, type(list) == "table", "a table")
    check(3, "f", f, type(f) == "function", "a function")
    options = check_options(options)
    local collect = options.errors == "collect"
    local results, errors = {}, collect and {} or nil
    local work = parts.work(mapper(f, collect), options.name or "map")
    local ok, message, code = run(pool, #list, options, work, slicer(list), function(first, n, some, wrong)
      for i = 1, n do
        results[first + i - 1] = some[i]
      end
      for i, text in pairs(wrong or {}) do
        errors[first + i - 1] = text
      end
    end)
    if not ok then
      return nil, message, code
    end
    return results, errors
  end

  --- Calls f(i) for i = from, to, step, in the workers.
  -- @return true; or nil, message, code
  function methods.parallel_for(pool, from, to, step, f, options)
    if type(step) == "function" then
      step, f, options = 1, step, f
    end
    check(3, "from", from, type(from) == "number", "a number")
    check(3, "to", to, type(to) == "number", "a number")
    check(3, "step", step, type(step) == "number" and step ~= 0 and step == step, "a number that is not 0")
    check(3, "f", f, type(f) == "function", "a function")
    options = check_options(options)
    local count = math.max(0, math.floor((to - from) / step) + 1)
    return run(pool, count, options, parts.work(looper(f, from, step), options.name or "parallel_for"), nil, function() end)
  end

  --- Combines the items of a list with f(a, b), which must be associative: each chunk in a worker, then what came of
  -- the chunks, in their order, in the caller.
  -- @param[opt] initial comes first
  -- @return what came of it: `initial` or nil for an empty list; or nil, message, code
  function methods.reduce(pool, list, f, initial, options)
    check(3, "list", list, type(list) == "table", "a table")
    check(3, "f", f, type(f) == "function", "a function")
    options = check_options(options)
    local pieces, firsts = {}, {}
    local ok, message, code = run(pool, #list, options, parts.work(reducer(f), options.name or "reduce"), slicer(list),
      function(first, _, part)
        pieces[first] = part
        firsts[#firsts + 1] = first
      end)
    if not ok then
      return nil, message, code
    end
    table.sort(firsts)
    local sum, begin = initial, 1
    if sum == nil and firsts[1] then
      sum, begin = pieces[firsts[1]], 2
    end
    for i = begin, #firsts do
      sum = f(sum, pieces[firsts[i]])
    end
    return sum
  end
end
