--- A port scanner for loopback: which ports somebody listens at, with up to 1,000 connects under way at a time.
--
--     lua examples/scan.lua [first [last [under way]]]
--
-- Without arguments it opens a port itself, and finds it among 5,000.
local iocp = require "iocp"

local port, most = iocp.IOCompletionPort(), tonumber(arg[3]) or 1000
local first, listener, mine = tonumber(arg[1]), nil, nil
if not first then
  listener = assert(iocp.Socket())
  assert(listener:bind("127.0.0.1", 0))
  assert(listener:listen())
  mine = select(2, listener:address())
  first = math.max(1, mine - 2500)
end
local last = math.min(65535, tonumber(arg[2]) or mine and first + 4999 or 65535)

local next_port, under_way, open, refused, others, greatest = first, 0, {}, 0, {}, 0

--- Tries the next port. Its number is the key of all the socket's packets, its handle the overlapped of this one.
local function start()
  local socket, _, code = iocp.Socket()
  local done
  if socket then
    assert(socket:associate(port, next_port))
    done, _, code = socket:connect("127.0.0.1", next_port, tonumber(socket:handle()))
  end
  if done then
    under_way = under_way + 1
    greatest = math.max(greatest, under_way)
  elseif code == "EMFILE" and under_way > 0 then -- as many as the process may have: the next one that ends makes room
    most = under_way
    return
  else
    others[tostring(code)] = (others[tostring(code)] or 0) + 1
  end
  next_port = next_port + 1
end

--- A connect to a port that the system gave the connecting socket itself, by chance, connects it to itself.
local function is_its_own(socket, number)
  return select(2, socket:address()) == number
end

local started = iocp.clock()
while next_port <= last or under_way > 0 do
  while next_port <= last and under_way < most do
    start()
  end
  local batch, n = port:dequeue_many(256)
  for i = 1, 3 * (batch and n or 0), 3 do
    local number, bytes, socket = batch[i], batch[i + 1], iocp.Socket.open(batch[i + 2])
    if bytes == 0 then
      if not is_its_own(socket, number) then
        open[#open + 1] = number
      end
      socket:option("linger", 0) -- its end is told at once, and keeps no port
    elseif iocp.describe(bytes) == "ECONNREFUSED" then
      refused = refused + 1
    else
      local name = tostring(iocp.describe(bytes))
      others[name] = (others[name] or 0) + 1
    end
    socket:close()
    under_way = under_way - 1
  end
end
local seconds = (iocp.clock() - started) / 1000

table.sort(open)
print(("open: %s"):format(table.concat(open, " ")))
print(("%d ports in %.1f s, up to %d under way: %d open, %d refused"):format(last - first + 1, seconds, greatest,
  #open, refused))
for code, count in pairs(others) do
  print(("%s: %d"):format(code, count))
end
if mine then
  local found = false
  for _, number in ipairs(open) do
    found = found or number == mine
  end
  assert(found, "missed its own port")
  listener:close()
end
