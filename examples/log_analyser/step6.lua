-- step6.lua PORT FILE...: a server that counts when it is asked, until Ctrl-C. Port 0: any.
local iocp = require "iocp"
local logs, analyse = require "logs", require "analyse"

local pool = iocp.Pool()

local function answer(client, paths)
  repeat
    local line = client:read() -- the request, its fields, an empty line
  until not line or line == ""
  local total, problems = analyse(pool, paths, function()
    return not iocp.cancelled()
  end)
  local text = logs.text(total) .. "\n" .. table.concat(problems, "\n")
  client:write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n",
    "Content-Length: ", #text, "\r\n\r\n", text)
  client:close()
end

iocp.run(function()
  local server = assert(iocp.listen("127.0.0.1", tonumber(table.remove(arg, 1)), { timeout = 10000 }))
  print(("http://%s:%d/"):format(server:address()))
  io.stdout:flush()
  iocp.spawn(function()
    local told = iocp.IOCompletionPort()
    assert(iocp.signal("INT"):notify(told, 1))
    told:dequeue() -- waits in this fiber alone
    server:close()
  end)
  local client = server:accept()
  while client do
    iocp.spawn(answer, client, arg)
    client = server:accept()
  end
end)
pool:shutdown()
