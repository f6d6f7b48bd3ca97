-- Objects with methods that cross: their class stands in a module, examples/order.lua, which registers it.
--
--   lua examples/objects.lua [ORDERS]     4
local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
package.path = folder .. "?.lua;" .. package.path -- before there are threads, which begin with it
local iocp = require "iocp"
local Order = require "order"

local orders = {}
for i = 1, tonumber(arg[1]) or 4 do
  orders[i] = Order.new("customer " .. i):add(i, 10):add(1, 5)
end

-- A pool: each worker requires the class's module before it gets anything.
local pool = assert(iocp.Pool { workers = 2, init = function() require "order" end })
print("totals", table.concat(pool:map(orders, function(order) return order:total() end), " "))

-- What comes back is an order, too; it is a copy.
local _, larger = assert(pool:submit(function(order) return order:add(1, 100) end, orders[1]):wait())
print("there and back", larger:total(), orders[1]:total())
pool:shutdown()

-- A thread: a function that uses the class has its module required where it arrives, before its arguments do.
local thread = assert(iocp.Thread(function(order)
  return Order.total(order), getmetatable(order) == Order
end, orders[2]))
print("an argument", select(2, assert(thread:join())))

-- A port: the module is required before the message is taken.
local inbox = iocp.IOCompletionPort()
local clerk = assert(iocp.Thread(function(port)
  require "order"
  local _, order = assert(port:receive())
  return order.customer, order:total()
end, inbox))
inbox:send(orders[3])
print("a message", select(2, assert(clerk:join())))
