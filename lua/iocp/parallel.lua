--- Loops over a pool's workers: map, parallel_for and reduce.
-- A list is cut into chunks, each a task, so a million cheap items do not cost a million packets. The function crosses
-- to a worker once; what calls it for each item of a chunk is in runners.lua, the chunks' way there and back in
-- loop.lua.
local options = require "iocp.options"
local runners = require "iocp.runners"
local calls, inputs = require "iocp.calls", require "iocp.inputs"
local private = require "iocp.private"
local check = options.check
local methods = {}
local core, parts, numbers, slices_of, loop -- those of this state: see the end

local rules = {
  { "chunk", function(v) return type(v) == "number" and v >= 1 and v % 1 == 0 end, "an integer from 1 on" },
  { "errors", function(v) return v == "raise" or v == "collect" end, '"raise" or "collect"' },
  { "progress", function(v) return type(v) == "boolean" or type(v) == "function" end, "a boolean or a function" },
  { "timeout", function(v) return type(v) == "number" and v >= 0 end, "milliseconds, a number from 0 on" },
  options.NAME, calls.ARGS, calls.INDEX, calls.RESULTS,
}

-- ---- jobs: see run in loop.lua ----

-- Of a list: what its chunks are called with are slices of it.
local function list_job(runner, call, list, given)
  local slices = slices_of(list)
  return calls.apply(call, runner, {
    count = #list, options = given, slices = slices,
    cut = function(_, first, n) return slices:cut(first, n) end,
    close = function() slices:close() end,
  })
end

-- What was collected in a chunk, by places in it: into `all`, by key_of(index).
local function gather(all, chunk, collected, key_of)
  for i, value in pairs(collected) do
    all[key_of(chunk.first + i - 1)] = value
  end
end

local function itself(index)
  return index
end

-- results: a list to be filled; errors, values: tables, if they are collected.
local function map_job(call, list, given, results, errors, values)
  local job = list_job(errors and runners.COLLECT or runners.MAP, call, list, given)
  job.collects = errors ~= nil
  function job.take(_, chunk, completed, some, wrong, why)
    if completed and not numbers.unpack(some, chunk.n, results, chunk.first) then
      for i = 1, chunk.n do
        results[chunk.first + i - 1] = some[i]
      end
    end
    if completed and errors then
      gather(errors, chunk, wrong, itself)
      gather(values, chunk, why, itself)
    end
    job.slices:free(chunk.packed)
  end
  return job
end

-- firsts: a list of where the pieces begin, in the order in which they came.
local function reduce_job(call, list, given, pieces, firsts)
  local job = list_job(runners.REDUCE, call, list, given)
  function job.take(_, chunk, completed, piece)
    if completed then
      pieces[chunk.first] = piece
      firsts[#firsts + 1] = chunk.first
    end
    job.slices:free(chunk.packed)
  end
  return job
end

local function nothing() end

local function for_job(call, from, step, count, given, errors, values)
  local function key_of(index)
    return from + (index - 1) * step
  end
  local function take(_, chunk, completed, wrong, why)
    if completed then
      gather(errors, chunk, wrong, key_of)
      gather(values, chunk, why, key_of)
    end
  end
  return calls.apply(call, errors and runners.FOR_COLLECT or runners.FOR, {
    count = count, options = given,
    cut = function() return from, step end,
    take = errors and take or nothing,
    close = nothing,
  })
end

-- ---- methods ----

-- What a loop returns, and behind it what was collected, if that was to be.
local function with_collected(result, errors, values)
  if errors then
    return result, errors, values
  end
  return result
end

-- Two tables if errors are to be collected, else nothing.
local function collectors(given)
  if given.errors == "collect" then
    return {}, {}
  end
end

--- Calls f(item, index) for each item of a list, in the workers.
-- @tparam table|function list or an iterator, which is read to its end first
-- @tparam function|string|table f what submit takes
-- @tparam[opt] table given the options: chunk (items in a task), errors ("raise": the first error cancels the rest and
-- is raised; "collect": see what is returned), progress (true, or a function(done, total, ms)), name, timeout (ms that
-- all of it may take), args (a list of what comes behind item and index), index (false: f is called without), results
-- ("all": a table with n of each call's)
-- @return the results, in the list's order; with "collect" also the messages with tracebacks, and the error values, by
-- index. Or nil, message, code: CLOSED, CANCELLED, TIMEOUT
function methods.map(pool, list, f, given)
  options.check_self(pool, parts.methods)
  check("list", list, inputs.is_input(list), inputs.WHAT, inputs.about_other(list))
  check("f", f, calls.is_work(f), calls.WORK)
  given = options.read(given, rules)
  list = inputs.to_list(list)
  local hole = inputs.hole_of(list)
  check("list", list, not hole, inputs.NO_HOLES, inputs.about_hole(hole))
  local call = calls.read(parts, f, given)
  local results, errors, values = parts.new_list(#list), collectors(given)
  local ok, message, code = loop.run(pool, map_job(call, list, given, results, errors, values))
  check("list", list, code ~= "HOLE", inputs.NO_HOLES, code == "HOLE" and inputs.about_hole(message))
  if not ok then
    return nil, message, code
  end
  return with_collected(results, errors, values)
end

--- Calls f(i) for i = from, to, step, in the workers.
-- @return true; with "collect" also the messages and the error values, by i. Or nil, message, code
function methods.parallel_for(pool, from, to, step, f, given)
  options.check_self(pool, parts.methods)
  if calls.is_work(step) then
    step, f, given = 1, step, f
  end
  check("from", from, type(from) == "number", "a number")
  check("to", to, type(to) == "number", "a number")
  check("f", f, f ~= nil or step ~= nil, calls.WORK)
  check("step", step, type(step) == "number" and step ~= 0, "a number that is not 0")
  check("f", f, calls.is_work(f), calls.WORK)
  given = options.read(given, rules)
  check("results", given.results, given.results ~= "all", '"first" or nil, as nothing is kept of what f returns')
  check("index", given.index, given.index ~= true, "false or nil, as f is called with the number alone")
  local count = math.floor((to - from) / step) + 1
  local bounded = count < 2 ^ 53 -- neither infinite nor NaN
  if not bounded then
    check("from, to, step", ("%.14g, %.14g, %.14g"):format(from, to, step), false, "numbers that bound a loop")
  end
  given.index = false
  local call = calls.read(parts, f, given)
  local errors, values = collectors(given)
  local ok, message, code = loop.run(pool, for_job(call, from, step, math.max(0, count), given, errors, values))
  if not ok then
    return nil, message, code
  end
  return with_collected(true, errors, values)
end

-- An error value of the caller's as it would have come from a worker, so that it does not matter who called; nil if it
-- cannot cross.
local function carried(value)
  local heap, copy = core.Heap(), nil
  local ok, address = pcall(heap.encode, heap, value)
  if ok and address then
    copy = heap:decode(address)
  end
  heap:destroy()
  return copy
end

-- What came of the chunks, in their order. An error is that of the first item of the chunk whose piece comes second.
local function combine(f, initial, pieces, firsts)
  table.sort(firsts)
  local sum, begin = initial, 1
  if sum == nil and firsts[1] then
    sum, begin = pieces[firsts[1]], 2
  end
  for i = begin, #firsts do
    local ok, result, value = parts.attempt(f, sum, pieces[firsts[i]])
    if not ok then
      loop.raise(("item %.0f: %s"):format(firsts[i], result), carried(value))
    end
    sum = result
  end
  return sum
end

-- Options in the place of `initial` are a mistake that would give a wrong result.
local function are_options(initial, given)
  local named = given == nil and type(initial) == "table" and next(initial) ~= nil
  for name in pairs(named and initial or {}) do
    named = named and options.has(rules, name)
  end
  return named
end

--- Combines the items of a list with f(a, b), which must be associative: each chunk in a worker, then what came of
-- the chunks, in their order, in the caller.
-- @param[opt] initial comes first
-- @return what came of it: `initial` or nil for an empty list; or nil, message, code
function methods.reduce(pool, list, f, initial, given)
  options.check_self(pool, parts.methods)
  check("list", list, inputs.is_input(list), inputs.WHAT, inputs.about_other(list))
  check("f", f, calls.is_work(f), calls.WORK)
  check("initial", initial, not are_options(initial, given), "nil or a value to begin with; options come behind it")
  given = options.read(given, rules)
  list = inputs.to_list(list)
  local hole = inputs.hole_of(list)
  check("list", list, not hole, inputs.NO_HOLES, inputs.about_hole(hole))
  check("errors", given.errors, given.errors ~= "collect", '"raise", as what came of every item is needed')
  check("results", given.results, given.results ~= "all", '"first" or nil, as f gives one of two')
  check("index", given.index, given.index == nil, "nil, as f is called with two items")
  local call = calls.read(parts, f, given)
  check("f", f, not call.worker, "a function without worker = true, as the parts are combined in the caller")
  local pieces, firsts = {}, {}
  local ok, message, code = loop.run(pool, reduce_job(call, list, given, pieces, firsts))
  check("list", list, code ~= "HOLE", inputs.NO_HOLES, code == "HOLE" and inputs.about_hole(message))
  if not ok then
    return nil, message, code
  end
  return combine(calls.in_caller(call), initial, pieces, firsts)
end

return function(its_core, its_parts)
  core, parts = its_core, its_parts
  numbers = require "iocp.numbers"(parts)
  slices_of = require "iocp.slices"(core, numbers)
  loop = require "iocp.loop"(core, parts)
  runners.open(parts, numbers)
  for name, method in pairs(methods) do
    private.put(parts.methods, "iocp.methods\0iocp.Pool", name, method)
  end
end
