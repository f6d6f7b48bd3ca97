--- TINN's SocketOps: how its sockets number what they do.
-- @module iocp.tinn.SocketOps
return { ERROR = -1, CONNECT = 1, ACCEPT = 2, READ = 3, WRITE = 4 }
