-- Writes iocp.remote's scripts to build/remote/NAME.redis, for queue.c.
for name, text in pairs(require "iocp.remote.scripts") do
  local file = assert(io.open("build/remote/" .. name .. ".redis", "wb"))
  file:write(text)
  file:close()
end
