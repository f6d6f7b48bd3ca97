--- iocp.coroutine: coroutines of the script's own in which fibers can wait, since what resumes them passes the
-- scheduler's yields on; and iocp.pcall, in which they can wait on Lua 5.1 too.
-- @module iocp.coroutines
local fibers = require "iocp.fiber"
local create, status, yield = fibers.create, coroutine.status, coroutine.yield
local co_resume, running = coroutine.resume, coroutine.running
local PARK, set_top = fibers.PARK, fibers.set_top

--- Resumes a coroutine as the one that runs, if the caller is that; and gives the place back.
local function resume_as_top(thread, ...)
  local me = running()
  if fibers.top() ~= me or not fibers.current() then
    return co_resume(thread, ...)
  end
  set_top(thread)
  return (function(...)
    set_top(me)
    return ...
  end)(co_resume(thread, ...))
end

--- Until it yields to its own resumer, or ends.
local function pass_on(thread, ok, first, ...)
  if ok and first == PARK then
    return pass_on(thread, resume_as_top(thread, yield(PARK)))
  end
  return ok, first, ...
end

local function resume(thread, ...)
  return pass_on(thread, resume_as_top(thread, ...))
end

local function unwrap(ok, ...)
  if not ok then
    error((...), 0)
  end
  return ...
end

local function wrap(f)
  local thread = create(f)
  return function(...)
    return unwrap(resume(thread, ...))
  end
end

--- The results of a protected call, which is a coroutine: what it yields is for who resumes the caller.
local function protected(thread, ok, ...)
  if ok and status(thread) == "suspended" then
    return protected(thread, resume(thread, yield(...)))
  end
  return ok, ...
end

local function call_in_coroutine(f, ...)
  local body = type(f) == "function" and f or function(...) return f(...) end
  local thread = create(body)
  return protected(thread, resume(thread, ...))
end

return function()
  local library = {}
  for name, f in pairs(coroutine) do
    library[name] = f
  end
  library.resume, library.wrap = resume, wrap
  local needs_coroutine = _VERSION == "Lua 5.1" and not rawget(_G, "jit")
  return library, needs_coroutine and call_in_coroutine or pcall
end
