-- A chat: what one says all others hear. A fiber for each who is there, in one thread, so the list of them needs no
-- lock. Who does not read for a while is left out, and holds nobody for longer than that.
--
--     lua examples/chat.lua            three people talk to each other, then it ends
--     lua examples/chat.lua 7777       for others: nc 127.0.0.1 7777
local iocp = require "iocp"

local PATIENCE = 500 -- ms

local people = {} -- by name: their streams
local came = iocp.Condition()

local function tell(text, from)
  local all = {} -- who comes and goes while we wait
  for name in pairs(people) do
    all[#all + 1] = name
  end
  for _, name in ipairs(all) do
    local stream = people[name]
    if stream and name ~= from and not iocp.within(PATIENCE, stream.write, stream, text, "\n") then
      people[name] = nil
    end
  end
end

--- One who has come, until they leave.
local function welcome(stream)
  stream:write("your name?\n")
  local name = stream:read()
  if not name or name == "" or people[name] then
    stream:close()
    return
  end
  people[name] = stream
  came:broadcast()
  tell(name .. " is here", name)
  local line = stream:read()
  while line do
    tell(name .. ": " .. line, name)
    line = stream:read()
  end
  people[name] = nil
  tell(name .. " has left")
  stream:close()
end

local function serve(server)
  local stream = server:accept()
  while stream do
    iocp.spawn(welcome, stream)
    stream = server:accept()
  end
end

--- Waits until so many are here.
local function company(count)
  local here
  repeat
    here = 0
    for _ in pairs(people) do
      here = here + 1
    end
  until here >= count or not came:wait(10000)
end

--- Somebody who says something, and hears what the others do.
local function talk(host, port, name, others)
  local stream = assert(iocp.connect(host, port, { timeout = 10000 }))
  assert(stream:read() == "your name?")
  stream:write(name, "\n")
  company(others + 1)
  stream:write("hello, I am ", name, "\n")
  local heard = 0
  while heard < others do
    local line = assert(stream:read())
    heard = heard + (line:find(": hello", 1, true) and 1 or 0)
    print(("%-6s hears: %s"):format(name, line))
  end
  stream:close()
end

iocp.run({ on_error = arg[1] and "log" or "raise", main = function()
  local server = assert(iocp.listen("127.0.0.1", tonumber(arg[1]) or 0, { max_line = 1000, linger = 100 }))
  local host, port = server:address()
  if arg[1] then
    print(("nc %s %d"):format(host, port))
    serve(server)
  else
    iocp.spawn(serve, server)
    local fibers = {}
    for i, name in ipairs { "Ada", "Grace", "Edith" } do
      fibers[i] = iocp.spawn(talk, host, port, name, 2)
    end
    for _, fiber in ipairs(fibers) do
      assert(fiber:wait())
    end
    server:close()
  end
end })
