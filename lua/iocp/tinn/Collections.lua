--- TINN's Collections: Bag, List, Queue, Stack.
-- @module iocp.tinn.Collections
local class = require "iocp.tinn.class"

-- ---- List: what both ends of can be reached ------------------------------------------------------------------------

local List = {}
List.__index = List

function List.new(params)
  return setmetatable(params or { first = 0, last = -1 }, List)
end

function List:PushLeft(value)
  self.first = self.first - 1
  self[self.first] = value
end

function List:PushRight(value)
  self.last = self.last + 1
  self[self.last] = value
end

--- The first value, which is taken out; or nil and a text.
function List:PopLeft()
  local first = self.first
  if first > self.last then
    return nil, "list is empty"
  end
  local value = self[first]
  self[first], self.first = nil, first + 1
  return value
end

function List:PopRight()
  local last = self.last
  if self.first > last then
    return nil, "list is empty"
  end
  local value = self[last]
  self[last], self.last = nil, last - 1
  return value
end

-- ---- Stack ----------------------------------------------------------------------------------------------------------

local Stack = class()

function Stack:init()
  return setmetatable({ Impl = List.new() }, self)
end
Stack.new = Stack.init

function Stack:push(item)
  self.Impl:PushRight(item)
end

function Stack:pop()
  return self.Impl:PopRight()
end

function Stack:len()
  return self.Impl.last - self.Impl.first + 1
end
Stack.__len = Stack.len

-- ---- Queue ----------------------------------------------------------------------------------------------------------

local Queue = class()

function Queue:init(first, last, name)
  return setmetatable({ first = first or 1, last = last or 0, name = name }, self)
end

function Queue:enqueue(value)
  List.PushRight(self, value)
  return value
end

Queue.pushFront, Queue.dequeue = List.PushLeft, List.PopLeft

function Queue:length()
  return self.last - self.first + 1
end

--- Iterates over what is in it now.
function Queue:Entries()
  local at = self.first - 1
  return function()
    at = at + 1
    return self[at]
  end
end

Queue.Enqueue, Queue.Dequeue, Queue.Len = Queue.enqueue, Queue.dequeue, Queue.length

-- ---- Bag: a table that knows how many values it has -----------------------------------------------------------------

local Bag = {}
local bags = setmetatable({}, { __mode = "k" }) -- by bag: { values =, count = }

function Bag:__index(key)
  return bags[self].values[key]
end

function Bag:__newindex(key, value)
  local bag = bags[self]
  local had, has = bag.values[key] ~= nil, value ~= nil
  bag.values[key] = value
  bag.count = bag.count + (has and 1 or 0) - (had and 1 or 0)
end

function Bag:__len()
  return bags[self].count
end

function Bag:__pairs()
  return pairs(bags[self].values)
end

local new_bag = setmetatable({}, {
  __call = function()
    local bag = {}
    bags[bag] = { values = {}, count = 0 }
    return setmetatable(bag, Bag)
  end,
})

return { Bag = new_bag, List = List, Queue = Queue, Stack = Stack }
