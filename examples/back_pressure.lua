-- A producer that is faster than its consumer waits, instead of filling the memory.
--
--   lua examples/back_pressure.lua [MESSAGES [CAPACITY]]     1000, 10
local iocp = require "iocp"

local messages, capacity = tonumber(arg[1]) or 1000, tonumber(arg[2]) or 10

local port = assert(iocp.IOCompletionPort { capacity = capacity })
local producer = assert(iocp.Thread(function(outbox, count)
  for i = 1, count do
    assert(outbox:send(i, ("x"):rep(1000))) -- waits while the port is full
  end
  outbox:send("end")
end, port, messages))

local received, most = 0, 0
local _, number = assert(port:receive())
while number ~= "end" do
  received = received + 1
  most = math.max(most, #port)
  _, number = assert(port:receive())
end
assert(producer:join())
print(("%d messages came, never more than %d of them in the queue: %s"):format(received, capacity,
  tostring(most <= capacity)))

-- Who cannot wait is told: a server says "busy", a sensor drops the sample.
local full = assert(iocp.IOCompletionPort { capacity = 1, on_full = "refuse" })
print(full:send("first"))
print((select(3, full:send("second"))))
