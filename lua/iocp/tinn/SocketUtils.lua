--- TINN's SocketUtils: addresses to connect to.
-- @module iocp.tinn.SocketUtils
local iocp = require "iocp"
local constants = require "iocp.tinn.globals"

local SocketUtils = {}

local FAMILIES = { [constants.AF_INET] = "inet", [constants.AF_INET6] = "inet6" }

local Address = {}
Address.__index = Address

function Address:SetPort(port)
  self.port = port
end

function Address:GetPort()
  return self.port
end

function Address:__tostring()
  return ("%s:%d"):format(self.host, self.port)
end

local function new(host, port)
  return setmetatable({ host = host, port = port or 0 }, Address)
end

--- The first address of a host in the family (AF_INET by default), of "host:port" with that port; or `nil, err`.
function SocketUtils.CreateSocketAddress(hostname, port, family)
  local host, its_port = hostname:match("^([^:]*):(%d+)$")
  local found, _, code = iocp.resolve(host or hostname):wait()
  if not found then
    return nil, code
  end
  for _, one in ipairs(found) do
    if one.family == FAMILIES[family or constants.AF_INET] then
      return new(one.host, tonumber(its_port or port))
    end
  end
  return nil, "EAI_NONAME"
end

--- Any address of this machine.
function SocketUtils.CreateIPV4WildcardAddress(_, port)
  return new("0.0.0.0", port)
end

return SocketUtils
