--- The libraries of others that this stands on: none of them is needed by `iocp` itself.
-- @module iocp.remote.libraries
local libraries = {}

local WHERE = {
  redis = "the rock redis-lua, Debian's package lua-redis",
  MessagePack = "the rock lua-messagepack, Debian's package lua-messagepack",
}

local function find(name)
  local ok, found = pcall(require, name)
  if ok then
    return found
  end
  error(("iocp.remote needs the Lua module '%s' (%s), which is not installed for %s: %s"):format(name, WHERE[name],
    _VERSION, tostring(found)), 0)
end

--- redis-lua, which writes commands and reads replies. Raises, and says what to install.
function libraries.redis()
  return find "redis"
end

--- MessagePack, a copy of our own: its settings are the module's, and others may have theirs. Raises as above.
function libraries.message_pack()
  local theirs = package.loaded.MessagePack
  package.loaded.MessagePack = nil
  local ok, own = pcall(find, "MessagePack")
  package.loaded.MessagePack = theirs
  if not ok then
    error(own, 0)
  end
  return own
end

return libraries
