--- Loops over a pool's workers: map, parallel_for and reduce.
-- A list is cut into chunks, each a task, so a million cheap items do not cost a million packets. The function crosses
-- to a worker once; what calls it for each item of a chunk is in runners.lua, the chunks' way there and back in loop.lua.
local options = require "iocp.options"
local runners = require "iocp.runners"
local check = options.check
local methods = {}
local parts, numbers, slices_of, run -- those of this state: see the end

local rules = {
  { "chunk", function(v) return type(v) == "number" and v >= 1 and v % 1 == 0 end, "an integer from 1 on" },
  { "errors", function(v) return v == "raise" or v == "collect" end, '"raise" or "collect"' },
  { "progress", function(v) return type(v) == "boolean" or type(v) == "function" end, "a boolean or a function" },
  { "name", function(v) return type(v) == "string" end, "a string" },
}

-- ---- jobs: see run in loop.lua ----

-- Of a list: what its chunks are called with are slices of it.
local function list_job(runner, f, slices, count, given)
  return {
    runner = runner, f = f, count = count, options = given,
    cut = function(_, first, n) return slices:cut(first, n) end,
    close = function() slices:close() end,
  }
end

local function map_job(f, slices, count, given, results, errors)
  local job = list_job(errors and runners.COLLECT or runners.MAP, f, slices, count, given)
  function job.take(_, chunk, completed, some, wrong)
    local first, n = chunk.first, chunk.n
    if completed and not numbers.unpack(some, n, results, first) then
      for i = 1, n do
        results[first + i - 1] = some[i]
      end
    end
    for i, text in pairs(completed and wrong or {}) do
      errors[first + i - 1] = text
    end
    slices:free(chunk.packed)
  end
  return job
end

-- firsts: a list of where the pieces begin, in the order in which they came.
local function reduce_job(f, slices, count, given, pieces, firsts)
  local job = list_job(runners.REDUCE, f, slices, count, given)
  function job.take(_, chunk, completed, piece)
    if completed then
      pieces[chunk.first] = piece
      firsts[#firsts + 1] = chunk.first
    end
    slices:free(chunk.packed)
  end
  return job
end

local function nothing() end

local function for_job(f, from, step, count, given)
  return {
    runner = runners.FOR, f = f, count = count, options = given,
    cut = function() return from, step end,
    take = nothing,
    close = nothing,
  }
end

-- ---- methods ----

local function combine(f, initial, pieces, firsts)
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

--- Calls f(item, index) for each item of a list, in the workers.
-- @tparam table list
-- @tparam function f
-- @tparam[opt] table given the options: chunk (items in a task), errors ("raise": the first error cancels the rest and
-- is raised with its item and the worker's traceback; "collect": the results, and the messages by index), progress
-- (true, or a function(done, total, ms)), name
-- @return the results, in the list's order; and with "collect" the errors. Or nil, message, code: CLOSED, CANCELLED
function methods.map(pool, list, f, given)
  check("list", list, type(list) == "table", "a table")
  check("f", f, type(f) == "function", "a function")
  given = options.read(given, rules)
  local results, errors = parts.new_list(#list), given.errors == "collect" and {} or nil
  local ok, message, code = run(pool, map_job(f, slices_of(list), #list, given, results, errors))
  if not ok then
    return nil, message, code
  end
  return results, errors
end

--- Calls f(i) for i = from, to, step, in the workers.
-- @return true; or nil, message, code
function methods.parallel_for(pool, from, to, step, f, given)
  if type(step) == "function" then
    step, f, given = 1, step, f
  end
  check("from", from, type(from) == "number", "a number")
  check("to", to, type(to) == "number", "a number")
  check("step", step, type(step) == "number" and step ~= 0, "a number that is not 0")
  check("f", f, type(f) == "function", "a function")
  given = options.read(given, rules)
  local count = math.floor((to - from) / step) + 1
  check("from, to, step", from, count < 2 ^ 53, "numbers that bound a loop") -- neither infinite nor NaN
  return run(pool, for_job(f, from, step, math.max(0, count), given))
end

--- Combines the items of a list with f(a, b), which must be associative: each chunk in a worker, then what came of
-- the chunks, in their order, in the caller.
-- @param[opt] initial comes first
-- @return what came of it: `initial` or nil for an empty list; or nil, message, code
function methods.reduce(pool, list, f, initial, given)
  check("list", list, type(list) == "table", "a table")
  check("f", f, type(f) == "function", "a function")
  given = options.read(given, rules)
  local pieces, firsts = {}, {}
  local ok, message, code = run(pool, reduce_job(f, slices_of(list), #list, given, pieces, firsts))
  if not ok then
    return nil, message, code
  end
  return combine(f, initial, pieces, firsts)
end

return function(core, its_parts)
  parts = its_parts
  numbers = require "iocp.numbers"(parts)
  slices_of = require "iocp.slices"(core, numbers)
  run = require "iocp.loop"(core, parts)
  runners.open(parts, numbers)
  for name, method in pairs(methods) do
    parts.methods[name] = method
  end
end
