--- Loops over a pool's workers: map, parallel_for and reduce.
-- A list is cut into chunks, each a task, so a million cheap items do not cost a million packets. The function crosses to a
-- worker once; what calls it for each item of a chunk, a runner, is there already.
local CHUNKS = 16 -- for each worker: what one has more of than the others is then a sixteenth
local LARGEST = 8192 -- items in a chunk: their numbers fit into a processor's cache
local WINDOW = 4 -- chunks for each worker that are under way at once, so that a long list is not in memory twice

local MAP, COLLECT, FOR, REDUCE = 1, 2, 3, 4 -- the runners

-- ---- what runs in the workers ----

local function explain(message)
  message = type(message) == "string" and message or "(error object is a " .. type(message) .. " value)"
  return debug.traceback(message, 2)
end

local function fail(item, message)
  error(("item %.0f: %s"):format(item, message), 0)
end

-- Calls loop(mark), which writes the number of the item that it is at to mark[1]; an error says which item that was, and has
-- its traceback. (A loop here that called a function for each item would cost a call more.)
local function guard(first, loop)
  local mark = { 0 }
  local ok, message = xpcall(function()
    loop(mark)
  end, explain)
  if not ok then
    fail(first + mark[1] - 1, message)
  end
end

local function runners(parts, numbers)
  local run = {}

  run[MAP] = function(f, first, n, packed)
    local results, begin = nil, 1
    if type(packed) == "number" then
      local ok, at, result = numbers.map_block(f, packed, n, first, explain)
      if not ok then
        fail(first + result - 1, at)
      elseif not at then
        return packed
      end
      results = numbers.items(packed, at - 1) -- those before were numbers
      results[at], begin = result, at + 1
    end
    local items = numbers.items(packed, n)
    results = results or parts.new_list(n)
    guard(first, function(mark)
      for i = begin, n do
        mark[1] = i
        results[i] = f(items[i], first + i - 1)
      end
    end)
    return numbers.pack_results(results, n)
  end

  run[COLLECT] = function(f, first, n, packed)
    local items, results, errors = numbers.items(packed, n), {}, {}
    for i = 1, n do
      local ok, result = xpcall(function()
        return f(items[i], first + i - 1)
      end, explain)
      if ok then
        results[i] = result
      else
        errors[i] = result
      end
    end
    return results, errors
  end

  run[FOR] = function(f, first, n, from, step)
    guard(first, function(mark)
      for i = 1, n do
        mark[1] = i
        f(from + (first + i - 2) * step)
      end
    end)
  end

  run[REDUCE] = function(f, first, n, packed)
    local items = numbers.items(packed, n)
    local sum = items[1]
    guard(first, function(mark)
      for i = 2, n do
        mark[1] = i
        sum = f(sum, items[i])
      end
    end)
    return sum
  end

  return run
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

local function cancel_all(chunks)
  for _, chunk in pairs(chunks) do
    chunk.task:cancel()
  end
end

return function(core, parts)
  local methods = parts.methods
  local numbers = require "iocp.numbers"(core, parts)
  local progress = require "iocp.progress"
  parts.set_runners(runners(parts, numbers))

  -- The number of a chunk that has ended; or nil, message, code. Where a worker waits for its own chunks, it first runs those
  -- that nobody has begun, the last first: the others come from the front.
  local function next_ended(port, chunks, last)
    if parts.current_worker() then
      for i = last, 1, -1 do
        if chunks[i] and parts.run_task(chunks[i].task) then
          break
        end
      end
    end
    return parts.wait_blocked(port)
  end

  -- Submits chunks of `count` items, not too many at once, and calls take(first, n, packed, results ...) for each that has
  -- completed, in any order. slice(first, n) gives what a chunk is called with. Returns true; or nil, message, code. Raises
  -- what a chunk raised, once none runs any more.
  local function run(pool, runner, f, count, options, slice, take)
    local workers = math.max(1, pool:workers())
    local size = options.chunk or math.max(1, math.min(LARGEST, math.ceil(count / (workers * CHUNKS))))
    local update = options.progress and progress(core, parts, options.progress, count, options.name or pool:name())
    local work = options.name and parts.work(f, options.name) or f
    local port, chunks, last, open, done = core.IOCompletionPort(), {}, 0, 0, 0
    local failure, message, code

    -- The next chunk; false if there is no room in the queue, or nil, message, code.
    local function submit()
      local first = last * size + 1
      local n = math.min(size, count - first + 1)
      local a, b = slice(first, n)
      local task
      task, message, code = parts.submit_chunk(pool, runner, work, first, n, a, b)
      if not task then
        take(first, n, a)
        return code == "TIMEOUT" and open > 0 and false or nil, message, code
      end
      last, open = last + 1, open + 1
      chunks[last] = { task = task, first = first, n = n, packed = a }
      if not parts.watch_task(task, port, last) then
        port:enqueue(last) -- it has ended already
      end
      return true
    end

    local function receive()
      local i
      i, message, code = next_ended(port, chunks, last)
      if not i then
        return nil, message, code
      end
      local chunk = chunks[i]
      local results = { chunk.task:result() }
      chunks[i], open, done = nil, open - 1, done + chunk.n
      take(chunk.first, chunk.n, chunk.packed, results[1] and not failure, results[2], results[3])
      if not results[1] and not failure then
        failure = { results[2], results[3] }
        cancel_all(chunks)
      elseif update and not failure then
        update(done)
      end
      return true
    end

    while open > 0 or (last * size < count and not failure) do
      local ok = nil
      if last * size < count and open < workers * WINDOW and not failure then
        ok, message, code = submit()
        if ok == nil and open > 0 then -- the pool was closed: the others end by themselves
          failure, ok = { message, code }, false
        elseif ok == nil then
          return nil, message, code
        end
      end
      if not ok then
        ok, message, code = receive()
        if not ok then
          cancel_all(chunks)
          return nil, message, code
        end
      end
    end
    if failure and failure[2] == "ERROR" then
      error(failure[1], 0)
    elseif failure then
      return nil, failure[1], failure[2]
    elseif update and count == 0 then
      update(0)
    end
    return true
  end

  -- What a chunk of a list is called with, and what frees it.
  local function slicer(list)
    local heap = numbers.heap()
    return function(first, n)
      local packed, keeper = numbers.pack(list, first, n, heap)
      if packed then
        return packed, keeper
      end
      local items = {}
      for i = 1, n do
        items[i] = list[first + i - 1]
      end
      return items
    end, function(packed)
      if type(packed) == "number" then
        heap:free(packed)
      end
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
    local results, errors = parts.new_list(#list), collect and {} or nil
    local slice, free = slicer(list)
    local ok, message, code = run(pool, collect and COLLECT or MAP, f, #list, options, slice,
      function(first, n, packed, completed, some, wrong)
        if completed and not numbers.unpack(some, n, results, first) then
          for i = 1, n do
            results[first + i - 1] = some[i]
          end
        end
        for i, text in pairs(completed and wrong or {}) do
          errors[first + i - 1] = text
        end
        free(packed)
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
    return run(pool, FOR, f, count, options, function()
      return from, step
    end, function() end)
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
    local slice, free = slicer(list)
    local ok, message, code = run(pool, REDUCE, f, #list, options, slice, function(first, _, packed, completed, piece)
      if completed then
        pieces[first] = piece
        firsts[#firsts + 1] = first
      end
      free(packed)
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
