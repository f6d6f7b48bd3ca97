--- TINN's Messenger: sends a computicle code. What is assigned to its fields becomes globals there.
-- @module iocp.tinn.Messenger
local ffi = require "ffi"
local ComputicleOps = require "iocp.tinn.ComputicleOps"

local Messenger = {}
local targets = setmetatable({}, { __mode = "k" }) -- by messenger: computicles

local class = {
  __index = function(self, key)
    return key == "Target" and targets[self] or Messenger[key]
  end,
  __newindex = function(self, key, value)
    return self:exec(("%s = %s"):format(key, ComputicleOps.datumToString(value)))
  end,
}

function Messenger:create(target)
  local messenger = setmetatable({}, class)
  targets[messenger] = target
  return messenger
end
Messenger.init = Messenger.create

--- Has it run a chunk of code: true; or `false, err`.
function Messenger:exec(chunk)
  if not chunk then
    return false, "no code specified"
  end
  local target = targets[self]
  local data, err = target:allocData(#chunk + 1) -- of the receiver's heap, which frees it
  if not data then
    return false, err
  end
  ffi.copy(data, chunk)
  return target:receiveMessage(ComputicleOps.Messages.CODE, data, #chunk)
end

function Messenger:execFile(filename)
  local file = io.open(filename)
  if not file then
    return false, "could not load file"
  end
  local chunk = file:read("*a")
  file:close()
  return self:exec(chunk)
end

return setmetatable(Messenger, {
  __call = function(messengers, ...)
    return messengers:create(...)
  end,
})
