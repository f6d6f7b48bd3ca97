--- TINN's SocketServer: calls a function with each client's socket.
-- @module iocp.tinn.SocketServer
local Application, NativeSocket = require "iocp.tinn.Application", require "iocp.tinn.NativeSocket"

local SocketServer = require "iocp.tinn.class"()

--- @param port a number
-- @param on_accept called with the system's number of each connection, for NativeSocket:init(number)
-- @return the server; or `nil, err`
function SocketServer:create(port, on_accept)
  local socket, err = NativeSocket:createServer { port = port or 9090, backlog = 150 }
  if not socket then
    return nil, err
  end
  return setmetatable({ ServerSocket = socket, OnAccept = on_accept }, self)
end

function SocketServer:handleAccepted(native)
  if self.OnAccept then
    return self.OnAccept(native)
  end
  return NativeSocket.refuse(native)
end

--- Accepts clients until the socket is closed.
function SocketServer:loop()
  local native, err = self.ServerSocket:accept()
  while native or err ~= "CLOSED" and err ~= "CANCELLED" do
    if native then
      self:handleAccepted(native)
    else
      io.stderr:write("SocketServer: ", tostring(err), "\n")
    end
    native, err = self.ServerSocket:accept()
  end
end

function SocketServer:run()
  Application:coop(self.loop, self)
  return Application:run()
end

return SocketServer
