--- The names of the article that started this ("The Lazy Programmer Multitasks", William Adams) and of its author's
-- TINN modules, over iocp's objects. After `require "iocp.tinn"`, or under `luajit -liocp.tinn script.lua`, they can be
-- required, in this state and in every thread that it starts. Needs LuaJIT, as those modules did.
-- @module iocp.tinn
if not rawget(_G, "jit") then
  error("iocp.tinn needs LuaJIT: the article's scripts use its ffi", 2)
end

-- An entry of package.preload crosses into threads, being a Lua function, and is called with the name.
local function load_module(name)
  return require("iocp.tinn." .. name)
end

for name in ([[ IOCompletionPort Heap TINNThread core_synch_l1_2_0 core_profile_l1_1_0 WTypes Application Scheduler Task
  waitForCondition waitForIO waitForSignal waitForTime Collections Functor arch tabutils StopWatch Computicle
  ComputicleOps Messenger NativeSocket NetStream SocketOps SocketServer SocketUtils ]]):gmatch "%S+" do
  package.preload[name] = package.preload[name] or load_module
end

require "iocp.tinn.globals"

return {
  IOCompletionPort = require "iocp.tinn.IOCompletionPort",
  Heap = require "iocp.tinn.Heap",
  TINNThread = require "iocp.tinn.TINNThread",
}
