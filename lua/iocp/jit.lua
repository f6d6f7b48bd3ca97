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
-- operations share besides; jit/port.lua, jit/heap.lua, jit/socket.lua and jit/file.lua have the methods.
-- @module iocp.jit

--- Replaces the methods of this state's metatables, where that pays.
return function()
  if require "iocp.jit.library" then
    require "iocp.jit.port"()
    require "iocp.jit.heap"()
    require "iocp.jit.socket"()
    require "iocp.jit.file"()
  end
end
