--- Random values that two states can make alike from one number, and a comparison that knows identity.
local values = {}

values.unpack = table.unpack or unpack

--- Whether functions can share an upvalue after a crossing: Lua 5.1 cannot say which ones do.
values.shares_upvalues = debug.upvalueid ~= nil

local state
local function random(n)
  state = (state * 48271) % 2147483647
  return state % n + 1
end

local numbers = { 0, 1, -1, 127, 128, -128, 255, 2 ^ 31, -2 ^ 31, 2 ^ 53, -2 ^ 53, 2 ^ 53 - 1, 2 ^ 63, 0.5, -0.1,
  1e-310, 1e308, 1 / 0, -1 / 0, 0 / 0, -0.0, math.pi, math.maxinteger or 3, math.mininteger or -3, 3.0, -7.0 }
local named = { print, string.format, math.floor, string, table, _G, coroutine.wrap, os.time, table.concat }

local function some_string()
  local length = random(20) == 1 and random(3000) or random(70) - 1
  local bytes = {}
  for i = 1, math.min(length, 40) do
    bytes[i] = string.char(random(256) - 1)
  end
  return table.concat(bytes) .. ("z"):rep(length - #bytes)
end

local names = { "id", "name", "args", "x", "y", "a longer name, with spaces", "", "key", "value", "next", "data" }

local make -- function(made, depth): a random value; `made` has what may be shared

local function some_key(made)
  local kind = random(12)
  if kind <= 6 then
    return names[random(#names)]
  elseif kind <= 9 then
    return random(40) - 10
  elseif kind == 10 then
    return random(2) == 1
  elseif kind == 11 and #made > 0 then
    return made[random(#made)]
  end
  return random(1000) + 0.5
end

local function some_table(made, depth)
  local t = {}
  made[#made + 1] = t
  for i = 1, random(5) - 1 do
    t[i] = make(made, depth + 1)
  end
  for _ = 1, random(5) - 1 do
    t[some_key(made)] = make(made, depth + 1)
  end
  return t
end

local function some_function(made, depth)
  local a, b, n = make(made, depth + 1), make(made, depth + 1), random(100)
  local kind = random(4)
  local f, g
  if kind == 1 then
    function f(x) return x, n end -- an upvalue of its own: Lua 5.2 and 5.3 make equal closures one, if they like
  elseif kind == 2 then
    function f() return a, b, tostring(n) end
  elseif kind == 3 then
    function f(x) return x == 0 and n or f(x - 1) end
  else
    function g() n = n + 1 return n, f end
    function f() return n, g, a end
    made[#made + 1] = g
  end
  made[#made + 1] = f
  return f
end

function make(made, depth)
  local kind = random(depth > 5 and 11 or 20)
  if kind <= 2 then
    return random(2) == 1
  elseif kind <= 5 then
    return random(300) - 100
  elseif kind == 6 then
    return numbers[random(#numbers)]
  elseif kind == 7 then
    return nil
  elseif kind <= 9 then
    return some_string()
  elseif kind == 10 and #made > 0 then
    return made[random(#made)]
  elseif kind == 11 then
    return named[random(#named)]
  elseif kind == 12 then
    return some_function(made, depth)
  end
  return some_table(made, depth)
end

--- The values that number `n` stands for, and how many.
function values.random(n)
  state = n % 2147483646 + 1
  random(2)
  local made, list, count = {}, {}, random(4) - 1
  for i = 1, count do
    list[i] = make(made, 0)
  end
  return list, count
end

-- What a and b are to each other is in `pairs_of`: a table or function here goes with one there, and with no other.
local same

local function same_number(a, b)
  if a ~= a then
    return b ~= b
  end
  return a == b and 1 / a == 1 / b and (not math.type or math.type(a) == math.type(b))
end

-- A key that is a table is found by what it was paired with; other keys are themselves.
local function other_key(known, key)
  return known[key] ~= nil and known[key] or key
end

-- Compares what stands under keys that are known by now.
local function same_table(a, b, known, path)
  for key, value in next, a do
    if type(key) ~= "table" and type(key) ~= "function" or known[key] ~= nil then
      local ok, where = same(value, rawget(b, other_key(known, key)), known, path .. "." .. tostring(key))
      if not ok then
        return false, where
      end
    end
  end
  return true
end

local function number_of_keys(t)
  local count = 0
  for _ in next, t do
    count = count + 1
  end
  return count
end

local function same_upvalues(a, b, known, path)
  for i = 1, 255 do
    local name, value = debug.getupvalue(a, i)
    local other_name, other = debug.getupvalue(b, i)
    if name ~= other_name then
      return false, path .. ": names of upvalues"
    elseif not name then
      return true
    end
    if values.shares_upvalues then
      local id, other_id = debug.upvalueid(a, i), debug.upvalueid(b, i)
      if name ~= "_ENV" and (known.upvalues[id] or other_id) ~= other_id then
        return false, path .. ": an upvalue that is shared otherwise"
      end
      known.upvalues[id] = other_id
    end
    local ok, where = same(value, other, known, path .. ".upvalue " .. name)
    if not ok then
      return false, where
    end
  end
  return true
end

-- A function's code, in a form that can be compared. Newer LuaJITs count a function's closures in its dump: of those,
-- the dump's length.
local code_of = string.dump
do
  local closure = function() return function() end end
  local one = closure()
  local before = string.dump(one)
  for _ = 1, 5 do
    closure()
  end
  if string.dump(one) ~= before then
    code_of = function(f)
      return #string.dump(f)
    end
  end
end

function same(a, b, known, path)
  if type(a) ~= type(b) then
    return false, path .. ": " .. type(a) .. ", " .. type(b)
  elseif type(a) == "number" then
    return same_number(a, b), path .. ": number"
  elseif type(a) ~= "table" and type(a) ~= "function" then
    return a == b, path
  elseif known[a] ~= nil or known.back[b] ~= nil then
    return known[a] == b and known.back[b] == a, path .. ": identity"
  end
  known[a], known.back[b] = b, a
  for _, value in ipairs(named) do
    if a == value then
      return b == value, path .. ": named"
    end
  end
  if type(a) == "table" then
    known.tables[#known.tables + 1] = { a, b, path }
    return same_table(a, b, known, path)
  end
  if code_of(a) ~= code_of(b) then
    return false, path .. ": code"
  end
  return same_upvalues(a, b, known, path)
end

--- Whether the lists a and b, of `count` values, are the same: equal in all parts, with the same parts shared.
-- @return true; or false and where they differ
function values.same(a, b, count)
  local known = { back = {}, upvalues = {}, tables = {} }
  for i = 1, count do
    local ok, where = same(a[i], b[i], known, "value " .. i)
    if not ok then
      return false, where
    end
  end
  -- A table may have been compared before what is a key in it had its pair. What is reachable as a key alone never gets
  -- one: it is counted, not compared.
  local compared
  repeat
    compared = #known.tables
    for i = 1, compared do
      local a_table, b_table, path = values.unpack(known.tables[i])
      local ok, where = same_table(a_table, b_table, known, path)
      if not ok then
        return false, where
      elseif number_of_keys(a_table) ~= number_of_keys(b_table) then
        return false, path .. ": number of keys"
      end
    end
  until #known.tables == compared
  return true
end

return values
