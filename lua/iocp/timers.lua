--- When fibers are due: a heap of them, the earliest first. Each fiber is in it once at most, and knows where:
-- `fiber.due`, `fiber.place`. What is set later than it is due stays where it is, and is looked at when it is due; so
-- a wait that ends in time, as most do, costs nothing here.
-- @module iocp.timers
local floor = math.floor
local timers = {}

local heap, count = {}, 0

local function put(fiber, place)
  heap[place], fiber.place = fiber, place
end

--- Moves the fiber from a place that is free towards the root.
local function rise(fiber, place)
  while place > 1 do
    local above = floor(place / 2)
    if heap[above].due <= fiber.due then
      break
    end
    put(heap[above], place)
    place = above
  end
  put(fiber, place)
end

--- Moves it from a place that is free towards the leaves.
local function sink(fiber, place)
  while 2 * place <= count do
    local below = 2 * place
    if below < count and heap[below + 1].due < heap[below].due then
      below = below + 1
    end
    if heap[below].due >= fiber.due then
      break
    end
    put(heap[below], place)
    place = below
  end
  put(fiber, place)
end

--- The fiber is due at `due`, or earlier, if it was so before.
function timers.set(fiber, due)
  local place = fiber.place
  if not place then
    count = count + 1
    fiber.due = due
    rise(fiber, count)
  elseif due < fiber.due then
    fiber.due = due
    rise(fiber, place)
  end
end

--- The fiber is not due any more.
function timers.remove(fiber)
  local place = fiber.place
  if place then
    local last = heap[count]
    heap[count], fiber.place, fiber.due = nil, nil, nil
    count = count - 1
    if last ~= fiber then
      sink(last, place)
      rise(last, last.place)
    end
  end
end

--- When the first one is due; nil: none is.
function timers.first()
  local fiber = heap[1]
  return fiber and fiber.due
end

--- Takes one that is due at `now`, or nil.
function timers.take(now)
  local fiber = heap[1]
  if fiber and fiber.due <= now then
    timers.remove(fiber)
    return fiber
  end
  return nil
end

--- None is due any more.
function timers.clear()
  heap, count = {}, 0
end

return timers
