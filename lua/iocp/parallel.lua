--- Loops over a pool's workers: map, parallel_for and reduce.
-- A list is cut into chunks, each a task, so a million cheap items do not cost a million packets. The function crosses to a
-- worker once; what calls it for each item of a chunk, a runner, is there already.
local CHUNKS = 16 -- for each worker: what one has more of than the others is then a sixteenth
local LARGEST = 8192 -- items in a chunk: their numbers fit into a processor's cache
local WINDOW = 4 -- chunks for each worker that are under way at once, so that a long list is not in memory twice

local MAP, COLLECT, FOR, REDUCE = 1, 2, 3, 4 -- the runners

-- ---- what runs in the workers ----

local function explain(message)
  local metatable = type(message) == "table" and getmetatable(message)
  if type(metatable) == "table" and metatable.__tostring then
    message = tostring(message)
  elseif type(message) ~= "string" and type(message) ~= "number" then
    message = "(error object is a " .. type(message) .. " value)"
  end
  return debug.traceback(tostring(message), 2)
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
      results = numbers.items(packed, n, at - 1) -- those before were numbers
      results[at], begin = result, at + 1
    end
    local items = numbers.items(packed, n, n)
    results = results or parts.new_list(n)
    guard(first, function(mark)
      for i = begin, n do
        mark[1] = i
        results[i] = f(items[i], first + i - 1)
      end
    end)
    return results
  end

  run[COLLECT] = function(f, first, n, packed)
    local items, results, errors = numbers.items(packed, n, n), {}, {}
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
    local items = numbers.items(packed, n, n)
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

local function nothing() end

local function cancel_all(chunks)
  for _, chunk in pairs(chunks) do
    chunk.task:cancel()
  end
end

return function(core, parts)
  local methods = parts.methods
  local numbers = require "iocp.numbers"(parts)
  local progress = require "iocp.progress"
  parts.set_runners(runners(parts, numbers))

  -- The number of a chunk that has ended; or nil, message, code. Where a worker waits for chunks in its own pool, it first runs
  -- one that nobody has begun.
  local function next_ended(notices, chunks, own)
    for _, chunk in pairs(own and chunks or {}) do
      if parts.run_task(chunk.task) then
        break
      end
    end
    local i, message, code
    repeat
      i, message, code = parts.wait_notice(notices)
    until not i or chunks[i] -- not one that could not be submitted
    return i, message, code
  end

  -- Takes chunks back until none is open: nothing of the loop runs any more.
  local function abandon(loop)
    cancel_all(loop.chunks)
    while loop.open > 0 do
      local i = next_ended(loop.notices, loop.chunks, false)
      if not i then
        return -- cancelled, while it waits: then they end by themselves
      end
      local chunk = loop.chunks[i]
      loop.chunks[i], loop.open = nil, loop.open - 1
      loop.take(chunk.first, chunk.n, chunk.packed, false)
    end
  end

  -- Submits the next chunk: true; false if there is no room in the queue; or nil, message, code.
  local function submit(loop)
    local first = loop.last * loop.size + 1
    local n = math.min(loop.size, loop.count - first + 1)
    local i = loop.last + 1
    local a, b = loop.slice(first, n)
    local task, message, code = parts.submit_chunk(loop.pool, loop.runner, loop.notices, i, loop.work, first, n, a, b)
    if not task then
      loop.take(first, n, a, false)
      if code == "TIMEOUT" and loop.open > 0 then
        return false
      end
      return nil, message, code
    end
    loop.last, loop.open = i, loop.open + 1
    loop.chunks[i] = { task = task, first = first, n = n, packed = a }
    return true
  end

  -- Takes a chunk back that has ended: true; or nil, message, code, where a chunk that failed has the code ERROR.
  local function receive(loop)
    local i, message, code = next_ended(loop.notices, loop.chunks, loop.own)
    if not i then
      return nil, message, code
    end
    local chunk = loop.chunks[i]
    local results = { chunk.task:result() }
    loop.chunks[i], loop.open, loop.done = nil, loop.open - 1, loop.done + chunk.n
    loop.take(chunk.first, chunk.n, chunk.packed, results[1], results[2], results[3])
    if not results[1] then
      return nil, results[2], results[3]
    end
    if loop.update then
      loop.update(loop.done)
    end
    return true
  end

  local function go_on(loop)
    while loop.open > 0 or loop.last * loop.size < loop.count do
      local ok, message, code = false, nil, nil
      if loop.last * loop.size < loop.count and loop.open < loop.window then
        ok, message, code = submit(loop)
      end
      if ok == false then
        ok, message, code = receive(loop)
      end
      if not ok then
        return nil, message, code
      end
    end
    if loop.update and loop.count == 0 then
      loop.update(0)
    end
    return true
  end

  -- Submits chunks of `count` items, not too many at once, and calls take(first, n, packed, completed, results ...) for each
  -- that has ended, in any order. slice(first, n) gives what a chunk is called with. Returns true; or nil, message, code.
  -- Raises what a chunk raised. However it ends, no chunk runs any more, unless the calling thread was cancelled.
  -- close() is called when no chunk is open any more.
  local function run(pool, runner, f, count, options, slice, take, close)
    local workers = math.max(1, pool:workers())
    local _, current, initialised = parts.current_worker()
    if current == pool and not initialised then
      return nil, "init cannot run loops over its own pool, whose worker is to run them", "INVALID"
    end
    local loop = {
      pool = pool,
      runner = runner,
      work = options.name and parts.named_work(f, options.name) or f,
      count = count,
      size = options.chunk or math.max(1, math.min(LARGEST, math.ceil(count / (workers * CHUNKS)))),
      window = workers * WINDOW, -- how many chunks may be open
      slice = slice,
      take = take,
      update = options.progress and progress(core, parts, options.progress, count, options.name or pool:name()),
      own = current == pool,
      notices = assert(parts.notices()),
      chunks = {}, -- those that are open, by their numbers
      last = 0, -- the number of the one that was submitted last
      open = 0,
      done = 0, -- items
    }
    local returned, ok, message, code = pcall(go_on, loop)
    if returned and ok then
      close()
      return true
    end
    abandon(loop)
    if loop.open == 0 then
      close()
    end
    if not returned then
      error(ok, 0)
    elseif code == "ERROR" then
      error(message, 0)
    end
    return nil, message, code
  end

  -- Chunks of a list. slice(first, n) gives what a chunk is called with: the items, or a block of numbers and the heap that it
  -- lies in; free(packed) frees the block, close() all there is.
  local function slices_of(list)
    local heap
    local slices = {}

    function slices.slice(first, n)
      if not heap and type(list[first]) == "number" and not getmetatable(list) then
        heap = core.Heap()
      end
      local packed = heap and numbers.pack(list, first, n, heap)
      if packed then
        return packed, heap
      end
      local items = {}
      for i = 1, n do
        items[i] = list[first + i - 1]
      end
      return items
    end

    function slices.free(packed)
      if type(packed) == "number" then
        heap:free(packed)
      end
    end

    function slices.close()
      if heap then
        heap:destroy()
      end
    end

    return slices
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
    local slices = slices_of(list)
    local ok, message, code = run(pool, collect and COLLECT or MAP, f, #list, options, slices.slice,
      function(first, n, packed, completed, some, wrong)
        if completed and not numbers.unpack(some, n, results, first) then
          for i = 1, n do
            results[first + i - 1] = some[i]
          end
        end
        for i, text in pairs(completed and wrong or {}) do
          errors[first + i - 1] = text
        end
        slices.free(packed)
      end, slices.close)
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
    check(3, "step", step, type(step) == "number" and step ~= 0, "a number that is not 0")
    check(3, "f", f, type(f) == "function", "a function")
    options = check_options(options)
    local count = math.floor((to - from) / step) + 1
    check(3, "from, to, step", from, count < 2 ^ 53, "numbers that bound a loop") -- neither infinite nor NaN
    count = math.max(0, count)
    return run(pool, FOR, f, count, options, function()
      return from, step
    end, nothing, nothing)
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
    local slices = slices_of(list)
    local ok, message, code = run(pool, REDUCE, f, #list, options, slices.slice, function(first, _, packed, completed, piece)
      if completed then
        pieces[first] = piece
        firsts[#firsts + 1] = first
      end
      slices.free(packed)
    end, slices.close)
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
