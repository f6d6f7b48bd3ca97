--- Values on their way to another machine: MessagePack, with two extensions. What cannot cross is refused with its
-- path.
--
-- A list of values is how many there are, an integer, and then each: so nils in the middle and at the end are kept.
-- Numbers: integers go as integers, floats as doubles, so -0 and NaN arrive; a Lua without integers sends whole numbers
-- below 2^53 as integers. An integer from 2^53 on is extension 1, eight bytes, the first the highest: a Lua that cannot
-- hold it refuses it, where MessagePack's own integer would be rounded. A number nearer to 0 than 2^-1022 is extension
-- 2, its digits, since the library reads such doubles wrong where Lua has no string.unpack.
-- Tables go without their metatables; one that is in two places arrives as two; one that contains itself is refused.
-- Nothing that arrives is ever loaded as code: there is no format for it.
-- @module iocp.remote.values
local pack_library = require("iocp.remote.libraries").message_pack()
local packers = pack_library.packers
local math_type, is_huge = math.type, 2 ^ 53
local unpack = rawget(table, "unpack") or unpack
local values = {}

local LEVELS = 100 -- of tables in tables
local MOST = 4000 -- values in a list: LuaJIT and 5.1 pass 8000 at most, and two lists may be passed together
local INTEGER, TINY = 1, 2 -- the extensions

-- ---- writing --------------------------------------------------------------------------------------------------------

local level, open = 0, {} -- of what is being written: how deep, and the tables that it is in

--- Whether a table is a list without holes, and how many entries it has.
local function look(t)
  local n = 0
  for _ in next, t do
    n = n + 1
  end
  for i = 1, n do
    if rawget(t, i) == nil then
      return false, n
    end
  end
  return true, n
end

local function plain(t)
  local copy = {}
  for key, value in next, t do
    copy[key] = value
  end
  return copy
end

function packers.table(buffer, t)
  if open[t] or level == LEVELS then
    error("refused", 0)
  end
  open[t], level = true, level + 1
  local is_list, n = look(t)
  local raw = getmetatable(t) and plain(t) or t
  packers[is_list and "array" or "map"](buffer, raw, n)
  open[t], level = nil, level - 1
end

local integer = packers.integer

local function double(buffer, n)
  if n ~= 0 and n < 2 ^ -1022 and n > -2 ^ -1022 then
    packers.ext(buffer, TINY, (("%.17g"):format(n):gsub(",", ".")))
  else
    packers.double(buffer, n)
  end
end

if math_type then
  local high = string.pack
  function packers.number(buffer, n)
    if math_type(n) == "float" then
      double(buffer, n)
    elseif n < is_huge and n > -is_huge then
      integer(buffer, n)
    else
      packers.ext(buffer, INTEGER, high(">i8", n))
    end
  end
else
  function packers.number(buffer, n)
    if n == 0 and 1 / n < 0 then
      buffer[#buffer + 1] = "\203\128\0\0\0\0\0\0\0" -- the library's double would be 0
    elseif n % 1 == 0 and n < is_huge and n > -is_huge then
      integer(buffer, n)
    else
      double(buffer, n)
    end
  end
end

-- ---- what is wrong with a value -------------------------------------------------------------------------------------

local KINDS = { ["function"] = "a function", thread = "a coroutine", cdata = "cdata" }

local function kind_of(value)
  local kind = type(value)
  local metatable = kind == "userdata" and getmetatable(value)
  if type(metatable) == "table" and type(metatable.__name) == "string" then
    return "userdata (" .. metatable.__name .. ")"
  end
  return KINDS[kind] or kind
end

local function step(path, key)
  if type(key) == "string" and key:find("^[%a_][%w_]*$") then
    return path .. "." .. key
  elseif type(key) == "string" then
    return ("%s[%q]"):format(path, key)
  end
  return ("%s[%s]"):format(path, tostring(key))
end

local CROSSES = { ["nil"] = true, boolean = true, number = true, string = true }

--- Why a value cannot cross, with the path to it; nil: it can.
local function fault_of(value, path, deep, within)
  if CROSSES[type(value)] then
    return nil
  elseif type(value) ~= "table" then
    return ("%s: %s cannot cross to another machine"):format(path, kind_of(value))
  elseif within[value] then
    return path .. ": a table that contains itself cannot cross to another machine"
  elseif deep == LEVELS then
    return ("%s: tables in tables cross to another machine up to %d deep"):format(path, LEVELS)
  end
  within[value] = true
  for key, part in next, value do
    local fault = fault_of(key, "a key of " .. path, deep + 1, within)
      or fault_of(part, step(path, key), deep + 1, within)
    if fault then
      return fault
    end
  end
  within[value] = nil
  return nil
end

-- ---- the module's functions -----------------------------------------------------------------------------------------

local function write(n, ...)
  local buffer = {}
  integer(buffer, n)
  for i = 1, n do
    local value = (select(i, ...))
    packers[type(value)](buffer, value)
  end
  return table.concat(buffer)
end

--- The values as a string; or nil and why one of them cannot cross.
-- @param what what they are called: "argument"
function values.encode(what, ...)
  local n = select("#", ...)
  if n > MOST then
    return nil, ("%ss: %d values cross to another machine at most, in a table any number"):format(what, MOST)
  end
  local ok, text = pcall(write, n, ...)
  if ok then
    return text
  end
  level, open = 0, {}
  for i = 1, n do
    local fault = fault_of((select(i, ...)), ("%s %d"):format(what, i), 0, {})
    if fault then
      return nil, fault
    end
  end
  return nil, tostring(text)
end

function pack_library.build_ext(tag, data)
  local tiny = tag == TINY and #data < 40 and data:find("^[%d.eE+-]+$") and tonumber(data)
  if tiny then
    return tiny
  elseif tag ~= INTEGER or #data ~= 8 then
    error(("extension %s of MessagePack is none that iocp.remote knows"):format(tostring(tag)), 0)
  elseif not math_type then
    error("an integer from 2^53 on came, which this Lua cannot hold", 0)
  end
  return (string.unpack(">i8", data))
end

local function read(text)
  local each = pack_library.unpacker(text)
  local _, n = each()
  if type(n) ~= "number" or n % 1 ~= 0 or n < 0 or n > #text or n > MOST then
    error("no list of values", 0)
  end
  local list = { n = n }
  for i = 1, n do
    local at
    at, list[i] = each()
    if not at then
      error("missing bytes", 0)
    end
  end
  if each() then
    error("extra bytes", 0)
  end
  return list
end

--- The values of a string as a table with `n`; or nil and why it is none that encode wrote.
function values.list(text)
  local ok, list = pcall(read, text)
  if ok then
    return list
  end
  return nil, "what came is damaged, or not of iocp.remote: " .. tostring(list)
end

--- The values themselves. Raises what list returns.
function values.decode(text)
  local list, message = values.list(text)
  if not list then
    error(message, 0)
  end
  return unpack(list, 1, list.n)
end

return values
