--- LuaJIT's fast path: the methods that hot loops call, over the C functions of iocp.h instead of the C functions of
-- Lua. A loop with them compiles to machine code that calls the library directly; a loop that the compiler cannot take
-- calls them as small compiled functions of their own. Both are faster than a call of a classic C function, which no
-- trace can hold.
--
-- Each method does what is usual and leaves the rest to the classic method of the same name: wrong arguments, so that
-- errors are the same; closed objects; interrupted waits, so that hooks run, and on Windows all that wait. Packets that
-- are messages, bring an I/O's error or a key that no number holds go to what stands behind the get in the classic
-- method. Nothing here makes garbage but results.
--
-- Results of built-in functions go through a local: a trace may end in a return, but not in a tail call of one, if the
-- caller is not to be compiled (jit.off).
--
-- jit/library.lua finds the functions in C, jit/fast.lua has what the methods share, jit/operation.lua what those of
-- operations share besides; jit/port.lua, jit/heap.lua, jit/socket.lua, jit/file.lua, jit/atomic.lua and jit/array.lua
-- have the methods, and load the others; jit/frozen.lua has metamethods, and needs none of them.
-- @module iocp.jit
require "iocp.core" -- a thread's state may not have required anything so far
local private = require "iocp.private"
local jit, getenv = jit, os.getenv

local PARTS = {
  IOCompletionPort = "iocp.jit.port", Heap = "iocp.jit.heap", Socket = "iocp.jit.socket", File = "iocp.jit.file",
  Atomic = "iocp.jit.atomic", Array = "iocp.jit.array",
}
local LATER = { Atomic = true, Array = true } -- come when they pay in every state: src/lua/late.c
local ONCE = { packets = true, view = true } -- are called once: what they gave is then what loops
local ENOUGH = 32 -- calls: fewer than those after which the compiler takes a loop, so that it finds what is to stay

--- Not where the compiler is off, since interpreted FFI calls are some ten times slower than classic ones; with
-- IOCP_NOJIT=1 in the environment; or with IOCP_DEBUG=1, which is to see what waits and what is refused.
local function are_wanted()
  return jit.status() and getenv("IOCP_NOJIT") ~= "1" and not private.debugs()
end

local function copy(methods)
  local all = {}
  for method, f in pairs(methods) do
    all[method] = f
  end
  return all
end

local function put(name, index, method, f)
  private.put(index, "iocp.methods\0iocp." .. name, method, f)
end

--- The compiled methods of a class, which has these; the same, if there are to be no others.
local function load_part(name, classic)
  if are_wanted() and require "iocp.jit.library" then
    private.classic[name] = classic
    return require(PARTS[name])()
  end
  return classic
end

--- Has the part loaded when the classic methods have been called often, by functions in their place, which stay good
-- for who keeps one in a local. A method that somebody else has replaced meanwhile stays replaced.
local function put_off(name, ...)
  local index, left = private.class(name).__index, ENOUGH
  local classic, ours, now = copy(index), {}, {}
  local function load_now()
    for method in pairs(ours) do
      now[method] = classic[method]
    end
    local loaded, compiled = pcall(load_part, name, classic)
    for method, f in pairs(ours) do
      now[method] = loaded and compiled[method] or classic[method]
      if index[method] == f then
        put(name, index, method, now[method])
      end
    end
  end
  for _, method in ipairs { ... } do
    now[method] = function(...)
      left = ONCE[method] and 0 or left - 1
      if left > 0 then
        return classic[method](...)
      end
      load_now()
      return now[method](...)
    end
    ours[method] = function(self, a, b, c, d, e) -- as many as any of them has
      return now[method](self, a, b, c, d, e)
    end
    put(name, index, method, ours[method])
  end
end

private.classic = {} -- by class: the methods that its part is to replace

--- Replaces the methods of all classes but for those that come later; or with the name of a class those that are named
-- behind it, when it pays.
return function(name, ...)
  if not are_wanted() then
    return
  elseif name == "Frozen" then -- src/lua/frozen_view.c: it has been read often
    return require "iocp.jit.frozen"
  elseif name then
    return put_off(name, ...)
  end
  for class in pairs(PARTS) do
    if not LATER[class] then
      local index = private.class(class).__index
      for method, f in pairs(load_part(class, copy(index))) do
        put(class, index, method, f)
      end
    end
  end
end
