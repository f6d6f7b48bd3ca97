--- Addresses: luasocket's dns, and where to bind and connect.
-- @module iocp.luasocket.address
local core, private, words = require "iocp.core", require "iocp.private", require "iocp.luasocket.words"
local address = {}

local function is_name(text)
  return text ~= "" and not text:find("\0", 1, true)
end

local function is_port(number)
  return number >= 0 and number <= 65535 and number % 1 == 0
end

local OCTETS = {}
for i = 0, 255 do
  OCTETS[("%d"):format(i)] = true
end

--- Whether it is an inet address, which needs no lookup.
local function is_digits(host)
  local a, b, c, d = host:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  return OCTETS[a or ""] and OCTETS[b] and OCTETS[c] and OCTETS[d]
end

--- The addresses of a host, of a family ("unspec": any), as iocp.resolve has them; or nil, and the text.
function address.find(host, service, family)
  local port = tonumber(service)
  if port and is_port(port) and family ~= "inet6" and is_digits(host) then
    return { { family = "inet", host = host, port = port } }
  elseif not is_name(host) then
    return nil, words.of "EAI_NONAME"
  elseif port and not is_port(port) or not port and not is_name(service) then
    return nil, words.of "EAI_SERVICE"
  end
  local lookup, message, code = core.resolve(host, port or service)
  local found = lookup
  if lookup then
    found, message, code = lookup:wait()
  end
  if not found then
    return words.failure(found, message, code)
  end
  local those = {}
  for _, one in ipairs(found) do
    if family == "unspec" or one.family == family then
      those[#those + 1] = one
    end
  end
  if not those[1] then
    return nil, "Address family for hostname not supported"
  end
  return those
end

--- The same to bind to; "*" is any address of the family.
function address.find_own(host, service, family)
  if host ~= "*" then
    return address.find(host, service, family)
  end
  return address.find(family == "inet6" and "::" or "0.0.0.0", service, family)
end

--- What an address, in digits, and a port are called. nil: nobody says; `required`: or the address has no name.
local function name_of(host, port, required)
  local lookup = private.resolve_name(host, port, required)
  if not lookup then
    return nil
  end
  local name, service = lookup:wait()
  return name, name and service
end

local dns = {}
address.dns = dns

function dns.getaddrinfo(host)
  local found, text = address.find(words.text("getaddrinfo", 1, host), 0, "unspec")
  if not found then
    return nil, text
  end
  local list = {}
  for i, one in ipairs(found) do
    list[i] = { family = one.family, addr = one.host }
  end
  return list
end

--- What gethostbyname tells: the host's name, and its inet addresses.
local function resolved(name, host)
  local found = address.find(host, 0, "inet")
  if not found then
    return nil, "host not found"
  end
  local about = { name = name or host, alias = {}, ip = {} }
  for i, one in ipairs(found) do
    about.ip[i] = one.host
  end
  return about
end

function dns.toip(host)
  local about, text = resolved(nil, words.text("toip", 1, host))
  if not about then
    return nil, text
  end
  return about.ip[1], about
end

function dns.tohostname(host)
  host = words.text("tohostname", 1, host)
  local name = host
  if is_digits(host) then
    name = name_of(host, nil, true)
    if not name then
      return nil, "host not found"
    end
  end
  local about, text = resolved(name, host)
  if not about then
    return nil, text
  end
  return name, about
end

function dns.getnameinfo(host, service)
  if host == nil and service == nil then
    error("host and serv cannot be both nil", 2)
  end
  local found, text = address.find(host == nil and "localhost" or words.text("getnameinfo", 1, host), service or 0,
    "unspec")
  if not found then
    return nil, text
  end
  local names, its_service = {}, nil
  for i, one in ipairs(found) do
    local name, its = name_of(one.host, one.port)
    names[i], its_service = host ~= nil and (name or one.host) or nil, its or tostring(service)
  end
  if service ~= nil then
    return names, its_service
  end
  return names
end

function dns.gethostname()
  return private.host_name()
end

return address
