--- What a computicle's thread does: handles messages, until QUIT. OnMessage(message, data, size), OnIdle(count) and
-- OnExit are the script's globals, if it has them; gIdleTimeout the milliseconds after which it is idle, 15 if not
-- said.
-- @module iocp.tinn.messages
local ffi = require "ffi"
local core_synch, ComputicleOps = require "iocp.tinn.core_synch_l1_2_0", require "iocp.tinn.ComputicleOps"
local QUIT, CODE = ComputicleOps.Messages.QUIT, ComputicleOps.Messages.CODE

local IDLE = 15 -- ms

local function call(name, ...)
  local f = rawget(_G, name)
  return f and f(...)
end

local function run_code(data, size)
  local func, message = loadstring(ffi.string(ffi.cast("const char *", data), size), "=(message)")
  if not func then
    error(message, 0)
  end
  func()
end

--- Does what a message says. Whether it was the last.
local function handle(computicle, message, size, data)
  if not call("OnMessage", message, data, size) then
    if message == QUIT then
      call "OnExit"
      return true
    elseif message == CODE and size > 0 then
      run_code(data, size)
    end
  end
  if size > 0 and data then
    computicle:freeData(data)
  end
  return false
end

return function(computicle)
  local idle = 0
  while true do
    local message, size, data = computicle:getMessage(rawget(_G, "gIdleTimeout") or IDLE)
    if message then
      local ok, is_last = xpcall(function() return handle(computicle, tonumber(message), size, data) end,
        debug.traceback)
      if not ok then
        io.stderr:write("computicle: ", is_last, "\n")
      elseif is_last then
        return require("iocp.tinn.Application"):stop()
      end
    elseif size == core_synch.WAIT_TIMEOUT then
      idle = idle + 1
      call("OnIdle", idle)
    else
      return
    end
  end
end
