--- Where Redis is: what the option `redis` says.
-- @module iocp.remote.address
local address = {}

address.WHAT = '"host:port", a unix socket\'s path, "redis://[[user]:password@]host[:port][/database]", the same with '
  .. '"rediss://" for TLS, or a table with host, port, path, username, password, database, tls'

local FIELDS = { host = "string", port = "number", path = "string", username = "string", password = "string",
  database = "number", tls = "table" }

local function unescape(text)
  return text and (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function of_host(text)
  local host, port = text:match("^%[(.-)%]:?(%d*)$")
  if not host then
    host, port = text:match("^([^:]+):?(%d*)$")
  end
  if not host or host == "" then
    return nil
  end
  return { host = host, port = tonumber(port) or 6379 }
end

local function of_url(text)
  local scheme, rest = text:match("^(rediss?)://(.+)$")
  if not scheme then
    return nil
  end
  local who, place = rest:match("^(.*)@([^@]*)$")
  local host, database = (place or rest):match("^([^/]*)/?(%d*)$")
  local read = host and of_host(host)
  if not read then
    return nil
  end
  read.database = tonumber(database)
  read.tls = scheme == "rediss" and {} or nil
  if who then
    local name, password = who:match("^([^:]*):(.*)$")
    read.username = name ~= "" and unescape(name) or nil
    read.password = unescape(password or who)
  end
  return read
end

local function of_table(given)
  for name, value in pairs(given) do
    if type(value) ~= FIELDS[name] then
      return nil
    end
  end
  return (given.host or given.path) and { host = given.host, port = given.port or 6379, path = given.path,
    username = given.username, password = given.password, database = given.database, tls = given.tls } or nil
end

--- A table with host and port, or path, and what else is known; nil: it is no such thing.
function address.read(given)
  if type(given) == "table" then
    return of_table(given)
  elseif type(given) ~= "string" or given == "" then
    return nil
  elseif given:find("://", 1, true) then
    return of_url(given)
  elseif given:find("/", 1, true) then
    return { path = given }
  end
  return of_host(given)
end

--- How messages name it: without the password.
function address.name(at)
  return at.path or ("%s:%d"):format(at.host, at.port)
end

return address
