--- Orders: a class whose objects keep their methods wherever they are sent. examples/objects.lua sends some.
local iocp = require "iocp"

local Order = {}
Order.__index = Order
iocp.register("Order", Order) -- in each state that requires this module: there orders arrive as orders

function Order.new(customer)
  return setmetatable({ customer = customer, items = {} }, Order)
end

function Order:add(count, price)
  self.items[#self.items + 1] = { count = count, price = price }
  return self
end

function Order:total()
  local sum = 0
  for _, item in ipairs(self.items) do
    sum = sum + item.count * item.price
  end
  return sum
end

return Order
