--- The compiled methods of atomics: see iocp.jit. What loops, waits or wakes stays classic.
-- @module iocp.jit.atomic
local fast, ffi = require "iocp.jit.fast", require "ffi"
local tonumber, type, floor = tonumber, type, math.floor
local C, EXACT, object_of, left = fast.C, fast.EXACT, fast.object_of, fast.left
local c_get, c_set, c_add = C.iocp_jit_atomic_get, C.iocp_jit_atomic_set, C.iocp_jit_atomic_add
local c_compare_exchange = C.iocp_jit_atomic_compare_exchange
local LIMIT = EXACT - 1
local expected_found = ffi.new("int64_t[1]")
local class, classic = fast.class "Atomic"

local methods = {}

--- Whether it is an integer that no other is rounded to.
local function is_exact(value)
  return type(value) == "number" and value > -EXACT and value < EXACT and floor(value) == value
end

local classic_get = classic.get
function methods.get(self)
  local atomic = object_of(self, class)
  if atomic then
    local value = tonumber(c_get(atomic))
    if value > -EXACT and value < EXACT then
      return value
    end
  end
  return classic_get(self)
end

local classic_set = classic.set
function methods.set(self, value)
  local atomic = object_of(self, class)
  if atomic and is_exact(value) then
    c_set(atomic, value)
    return true
  end
  return classic_set(self, value)
end

local classic_add = classic.add
function methods.add(self, by)
  local atomic = object_of(self, class)
  if atomic and is_exact(by) then
    local value = tonumber(c_add(atomic, by, LIMIT))
    if value > -EXACT then
      return value
    end
  end
  return classic_add(self, by) -- it was refused: why, the classic method says
end

local classic_sub = classic.sub
function methods.sub(self, by)
  local atomic = object_of(self, class)
  if atomic and is_exact(by) then
    local value = tonumber(c_add(atomic, -by, LIMIT))
    if value > -EXACT then
      return value
    end
  end
  return classic_sub(self, by)
end

local classic_compare_exchange = classic.compare_exchange
function methods.compare_exchange(self, expected, value)
  local atomic = object_of(self, class)
  if atomic and left.busy == 0 and is_exact(expected) and is_exact(value) then
    left.busy = 1
    expected_found[0] = expected
    local done = c_compare_exchange(atomic, expected_found, value)
    local found = tonumber(expected_found[0])
    left.busy = 0
    if found > -EXACT and found < EXACT then
      return done == 1, found
    end
  end
  return classic_compare_exchange(self, expected, value)
end

return function()
  return methods
end
