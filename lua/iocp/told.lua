--- on_error_here: failures of a pool's tasks, told in the state that made it, at the next call that waits for the pool
-- or gives it something to do. The workers send them to a port; where no pool has the option, nothing looks for it.
local private = require "iocp.private"

local told = {}
local pools = {} -- of this state, { port =, f =, name =, pool = }, the last a table that has the pool weakly
local telling = false

-- Calls the function for what has come from a pool.
local function tell_of(one)
  local ok, message, task, worker = one.port:receive(0)
  while ok do
    one.f(message, { pool = one.name, task = task, worker = worker })
    ok, message, task, worker = one.port:receive(0)
  end
end

-- The same for all of them. A pool that nobody has any more is forgotten once its failures are told.
local function tell()
  if telling then -- f itself waits
    return
  end
  telling = true
  for i = #pools, 1, -1 do
    local one = pools[i]
    local is_lost = one.pool[1] == nil
    local fine, trouble = pcall(tell_of, one)
    if not fine then
      telling = false
      error(trouble, 0)
    elseif is_lost then
      table.remove(pools, i)
    end
  end
  telling = false
end

local function after(...)
  tell()
  return ...
end

-- The method, with a look before and after.
local function looking(method)
  return function(...)
    tell()
    return after(method(...))
  end
end

local looks = false
local function look_in(class, names)
  local methods = package.loaded["iocp.methods"][class]
  for name in names:gmatch("%S+") do
    private.put(methods, "iocp.methods\0" .. class, name, looking(methods[name]))
  end
end

--- A new pool has the option.
function told.add(pool, port, f)
  pools[#pools + 1] = { port = port, f = f, name = pool:name(), pool = setmetatable({ pool }, { __mode = "v" }) }
  if not looks then
    looks = true
    look_in("iocp.Pool", "submit post map parallel_for reduce imap scope shutdown stats idle")
    look_in("iocp.Task", "wait result")
  end
end

return told
