--- What runs in the workers: a runner calls the function for each item of a chunk. It is there already when the function crosses.
local runners = {
  MAP = 1, COLLECT = 2, FOR = 3, REDUCE = 4, -- their numbers
}

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

-- f of each number of a block, in place. Returns how many were replaced by numbers, and what came of the next.
local function map_block(numbers, f, address, n, first)
  local ok, at, result = numbers.map_block(f, address, n, first, explain)
  if not ok then
    fail(first + result - 1, at)
  end
  return at and at - 1 or n, result
end

function runners.make(parts, numbers)
  local run = {}

  run[runners.MAP] = function(f, first, n, packed)
    local results, begin = nil, 1
    if type(packed) == "number" then
      local done, result = map_block(numbers, f, packed, n, first)
      if done == n then
        return packed
      end
      results = numbers.items(packed, n, done)
      results[done + 1], begin = result, done + 2
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

  run[runners.COLLECT] = function(f, first, n, packed)
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

  run[runners.FOR] = function(f, first, n, from, step)
    guard(first, function(mark)
      for i = 1, n do
        mark[1] = i
        f(from + (first + i - 2) * step)
      end
    end)
  end

  run[runners.REDUCE] = function(f, first, n, packed)
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

return runners
