-- Gets a page of 10 KiB again and again by luasocket's socket.http, and prints what each cost.
-- usage: lua bench/luasocket/get.lua KIND COUNT AT_ONCE PORT, where KIND is what socket.http stands on: luasocket;
-- ours, where no fiber runs; fibers, ours, so many at once; copas; nothing, which has the answer already.
local kind, count, at_once, port = arg[1], tonumber(arg[2]), tonumber(arg[3]), arg[4]
local SIZE = 10240
local url = ("http://127.0.0.1:%s/%d.txt"):format(port, SIZE)

if kind == "ours" or kind == "fibers" then
  package.loaded["socket.core"] = require "iocp.luasocket"
end
local copas = kind == "copas" and require "copas" -- which wants to be the first
local http, ltn12, socket = require "socket.http", require "ltn12", require "socket"

--- Gets it n times; `create` makes the sockets, nil: as socket.http does.
local function get(n, create)
  for _ = 1, n do
    local pieces = {}
    local _, code = http.request { url = url, sink = ltn12.sink.table(pieces), create = create }
    assert(code == 200 and #table.concat(pieces) == SIZE, code)
  end
end

local with = {}

function with.luasocket(n)
  get(n)
end

with.ours = with.luasocket

function with.fibers(n)
  local iocp = require "iocp"
  iocp.run(function()
    for _ = 1, at_once do
      iocp.spawn(get, n / at_once)
    end
  end)
end

--- A socket as socket.http needs it over copas 1: what copas.wrap of that gives has no connect and no close, drops the
-- prefix of a receive, and its settimeout returns nothing, which socket.http takes for a failure.
local function copas_socket()
  local methods = { connect = copas.connect, send = copas.send, receive = copas.receive }
  return function()
    local own, wrapped = socket.tcp(), {}
    for name, method in pairs(methods) do
      wrapped[name] = function(_, ...)
        return method(own, ...)
      end
    end
    function wrapped.settimeout()
      return 1
    end
    function wrapped.close()
      return own:close()
    end
    return wrapped
  end
end

function with.copas(n)
  local has_http, its_http = pcall(require, "copas.http") -- from copas 4 on
  local create = not has_http and copas_socket() or nil
  http = has_http and its_http or http
  local left = at_once
  for _ = 1, at_once do
    copas.addthread(function()
      get(n / at_once, create)
      left = left - 1
    end)
  end
  while left > 0 do
    copas.step()
  end
end

function with.nothing(n)
  local head = { "HTTP/", "1.1 200 OK", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Content-Type: text/plain",
    ("Content-Length: %d"):format(SIZE), "" }
  local piece = ("x"):rep(socket.BLOCKSIZE)
  local function done()
    return 1
  end
  get(n, function()
    local i = 0
    return { settimeout = done, connect = done, send = done, close = done, receive = function(_, pattern, prefix)
      i = i + 1
      return head[i] and (prefix or "") .. head[i] or pattern == #piece and piece or piece:sub(1, pattern)
    end }
  end)
end

count = math.ceil(count / at_once) * at_once
with[kind](count) -- LuaJIT compiles what is hot
local from, used = socket.gettime(), os.clock()
with[kind](count)
print(("time %g cpu %g"):format((socket.gettime() - from) / count * 1e6, (os.clock() - used) / count * 1e6))
