--- The libraries of others that this stands on: none of them is needed by `iocp` itself.
-- @module iocp.remote.libraries
local libraries = {}

local WHERE = {
  redis = "the rock redis-lua, Debian's package lua-redis",
  MessagePack = "the rock lua-messagepack, Debian's package lua-messagepack",
}

-- Debian's packages know of Luas up to 5.3; the modules run on later ones.
local LATER = _VERSION > "Lua 5.3" and " with /usr/share/lua/5.3/?.lua in LUA_PATH" or ""

local function find(name)
  local ok, found = pcall(require, name)
  if ok then
    return found
  end
  error(("iocp.remote needs the Lua module '%s' (%s%s), which is not installed for %s: %s"):format(name, WHERE[name],
    LATER, _VERSION, tostring(found)), 0)
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
