--- The names of the article that started this ("The Lazy Programmer Multitasks", William Adams) and of its author's
-- TINN modules, over iocp's objects. After `require "iocp.tinn"`, or under `luajit -liocp.tinn script.lua`, the modules
-- IOCompletionPort, Heap, TINNThread, core_synch_l1_2_0 and WTypes can be required, in this state and in every thread
-- that it starts. Needs LuaJIT, as those modules did.
-- @module iocp.tinn
if not rawget(_G, "jit") then
  error("iocp.tinn needs LuaJIT: the article's scripts use its ffi", 2)
end

-- An entry of package.preload crosses into threads, being a Lua function, and is called with the name.
local function load_module(name)
  return require("iocp.tinn." .. name)
end

for _, name in ipairs { "IOCompletionPort", "Heap", "TINNThread", "core_synch_l1_2_0", "WTypes" } do
  package.preload[name] = package.preload[name] or load_module
end

return {
  IOCompletionPort = require "iocp.tinn.IOCompletionPort",
  Heap = require "iocp.tinn.Heap",
  TINNThread = require "iocp.tinn.TINNThread",
}
