--- What runs in the workers: a runner calls the function for each item of a chunk. It is there already when the
-- function crosses. Before each item a runner writes which one it is to a cell, where an error finds it, and looks at a
-- word whether it is to stop. An error goes through as it is; the worker tells it, with the item.
local runners = {
  MAP = 1, COLLECT = 2, FOR = 3, FOR_COLLECT = 4, REDUCE = 5, ADAPT = 6, ADAPT_STATE = 7, -- their numbers
}
local unpack = rawget(table, "unpack") or unpack


-- The loops of loops.c, for LuaJIT, compiled: the cell `at` and the word `stop` are pointers to int32_t. (The compiler
-- does not take the load of one out of the loop, since the store to the other might be to the same address.)
local compiled = {}

local function halt(at)
  at[0] = 0
  error("the task was cancelled", 0)
end

function compiled.map(f, items, results, first, from, n, at, stop)
  for i = from, n do
    if stop[0] ~= 0 then
      halt(at)
    end
    at[0] = i
    results[i] = f(items[i], first + i - 1)
  end
  at[0] = 0
end

function compiled.each(f, from, step, first, n, at, stop)
  for i = 1, n do
    if stop[0] ~= 0 then
      halt(at)
    end
    at[0] = i
    f(from + (first + i - 2) * step)
  end
  at[0] = 0
end

function compiled.fold(f, items, n, at, stop)
  local sum = items[1]
  for i = 2, n do
    if stop[0] ~= 0 then
      halt(at)
    end
    at[0] = i
    sum = f(sum, items[i])
  end
  at[0] = 0
  return sum
end

-- ---- those of this state: see the end ----

local parts, numbers, loops

-- Items are first, first + step ... in messages. Returns the cell and the word, where the compiled loops are used.
local function begin(first, step)
  local at, stop = parts.begin_chunk(first, step)
  if numbers.ffi then
    return numbers.ffi.cast("int32_t *", at), numbers.ffi.cast("int32_t *", stop)
  end
end

-- Makes a list of results, with errors and their values if those are collected, what the chunk returns. If one of n
-- cannot cross, that is an error of its item.
local function keep(n, results, errors, values)
  local ok, message = pcall(parts.keep_results, results, errors, values)
  if ok then
    return
  end
  for i = 1, n do
    local fine, why = pcall(parts.probe, results[i], "the result")
    if not fine and not errors then
      parts.fail_item(i, why)
    elseif not fine then
      results[i], errors[i] = nil, why
    end
  end
  if not errors then
    error(message, 0)
  end
  parts.keep_results(results, errors, values)
end

local run = {}

run[runners.MAP] = function(f, first, n, packed)
  local at, stop = begin(first, 1)
  local results, from = nil, 1
  if type(packed) == "number" then
    local i, result = numbers.map(f, packed, n, first, at, stop, halt)
    if not i then
      return packed
    end
    results = numbers.items(packed, n, i - 1) -- those before were numbers
    results[i], from = result, i + 1
  end
  results = results or parts.new_list(n)
  loops.map(f, numbers.items(packed, n, n), results, first, from, n, at, stop)
  keep(n, results)
end

-- refused: why items are missing that could not be sent, by their places in the chunk; or nil.
run[runners.COLLECT] = function(f, first, n, packed, _, refused)
  local errors, values = refused or {}, {}
  begin(first, 1)
  keep(n, parts.loops.collect(f, numbers.items(packed, n, n), first, n, errors, values, true), errors, values)
end

run[runners.FOR] = function(f, first, n, from, step)
  local at, stop = begin(from + (first - 1) * step, step)
  loops.each(f, from, step, first, n, at, stop)
end

run[runners.FOR_COLLECT] = function(f, first, n, from, step)
  local items, errors, values = parts.new_list(n), {}, {}
  for i = 1, n do
    items[i] = from + (first + i - 2) * step
  end
  begin(items[1], step)
  parts.loops.collect(f, items, first, n, errors, values, false)
  return errors, values
end

run[runners.REDUCE] = function(f, first, n, packed)
  local at, stop = begin(first, 1)
  local sum = loops.fold(f, numbers.items(packed, n, n), n, at, stop)
  local ok, message = pcall(parts.keep_results, sum)
  if not ok then
    parts.fail_item(n, message)
  end
end

-- ---- what the function is called with ----

local function pack(...)
  return { n = select("#", ...), ... }
end

-- f as the runners call it, with an item and what comes behind it. how: see calls.lua.
local function adapt(f, how, state)
  local args, n = how.args, how.n
  local call
  if how.worker and how.index then
    call = function(item, index) return f(state, item, index, unpack(args, 1, n)) end
  elseif how.worker then
    call = function(item) return f(state, item, unpack(args, 1, n)) end
  elseif how.index then
    call = function(item, index) return f(item, index, unpack(args, 1, n)) end
  else
    call = function(item) return f(item, unpack(args, 1, n)) end
  end
  return how.all and function(item, index) return pack(call(item, index)) end or call
end

run[runners.ADAPT] = function(f, first, n, a, b, refused, how)
  return run[how.runner](adapt(f, how), first, n, a, b, refused)
end

run[runners.ADAPT_STATE] = function(f, state, first, n, a, b, refused, how)
  return run[how.runner](adapt(f, how, state), first, n, a, b, refused)
end

--- Makes the runners known to the workers of this state.
function runners.open(its_parts, its_numbers)
  parts, numbers = its_parts, its_numbers
  loops = numbers.ffi and compiled or parts.loops
  parts.set_runners(run)
end

return runners
