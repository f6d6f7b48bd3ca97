--- pool:imap: f for each item in the workers, and the results in a for-loop, as they come.
--
-- A bounded number of tasks is under way, counting those whose results nobody has taken yet, and the input is read only
-- for these: an input without an end takes no more memory than that. Who waits for the next yields inside a fiber.
--
-- Ownership: the iterator alone holds its tasks. Closed, it cancels them and waits until none runs; where the script
-- just loses it, the tasks are cancelled as they are collected.
-- @module iocp.imap
local core, private = require "iocp.core", require "iocp.private"
local calls, ends, inputs = require "iocp.calls", require "iocp.ends", require "iocp.inputs"
local fibers, options, runners = require "iocp.fiber", require "iocp.options", require "iocp.runners"
local parts = core.Pool and private.pool_parts
local loop = require "iocp.loop"(core, parts)
local check = options.check
local unpack = rawget(table, "unpack") or unpack

local EACH = 4 -- tasks for each worker that are under way, if nobody says how many

local function is_count(v)
  return type(v) == "number" and v >= 1 and v <= 2 ^ 30 and v % 1 == 0
end

local rules = {
  { "ordered", function(v) return type(v) == "boolean" end, "a boolean" },
  { "window", is_count, "a number of tasks from 1 on" },
  { "chunk", is_count, "an integer from 1 on" },
  { "timeout", function(v) return type(v) == "number" and v >= 0 end, "milliseconds, a number from 0 on" },
  { "errors", function(v) return v == "raise" or v == "collect" end, '"raise" or "collect"' },
  options.NAME, calls.ARGS, calls.INDEX, calls.RESULTS,
}

-- Methods. Who takes it for a list would find it empty.
local Results = setmetatable({}, { __index = function(_, key)
  if type(key) == "number" then
    private.raise("imap gives no list but an iterator: for i, result in pool:imap(...) do")
  end
end })
local class = { __index = Results }
private.stays(class, "iocp.Results: it stays in its thread")

-- ---- chunks --------------------------------------------------------------------------------------------------------

--- The next items of the input, a list, and how many; 0: it has ended.
local function read_items(self)
  local items, n = {}, 0
  while n < self.size and self.input do
    local item = self.input()
    if item == nil then
      self.input = nil
    else
      n = n + 1
      items[n] = item
    end
  end
  return items, n
end

--- Submits the next chunk: true; false: not now, or there is nothing more. Raises.
local function submit(self)
  if not self.kept then
    local items, n = read_items(self)
    if n == 0 then
      return false
    end
    self.kept = { first = self.last + 1, n = n, packed = items }
    self.last = self.last + n
  end
  local chunk = self.kept
  local task, message, code = loop.offer(self, chunk)
  if not task and code == "TIMEOUT" and self.open > 0 then
    return false -- the queue is full: once one of ours has ended there may be room
  end
  self.kept = nil
  if not task then
    error("imap: " .. message, 0)
  end
  chunk.task, chunk.number = task, self.numbers + 1
  self.numbers, self.open = chunk.number, self.open + 1
  self.by_number[chunk.number] = chunk
  local ok
  ok, message = self.ends:add(task, chunk.number)
  if not ok then
    error("imap: " .. message, 0)
  end
  return true
end

local function fill(self)
  while self.open < self.window and (self.input or self.kept) and submit(self) do -- luacheck: ignore
  end
end

--- In a worker of the pool's: runs a task that nobody has begun, before it waits.
local function run_one(self)
  for _, chunk in pairs(parts.current_worker() and not fibers.current() and self.by_number or {}) do
    if not chunk.ended and parts.run_task(chunk.task) then
      return
    end
  end
end

--- Waits for one chunk more to end. Raises.
local function await(self)
  if self.ends.first > self.ends.last then
    run_one(self)
  end
  local number, message, code = self.ends:next(self.limit)
  if code == "TIMEOUT" then
    error("imap: the loop ran out of its time", 0)
  elseif not number then
    error("imap: " .. message, 0)
  end
  self.by_number[number].ended = true
  return number
end

--- The next chunk whose results are to be given; nil: there is none.
local function next_chunk(self)
  fill(self)
  if self.open == 0 then
    return nil
  end
  local number = self.ordered and self.given + 1 or await(self)
  while not self.by_number[number].ended do
    await(self)
  end
  local chunk = self.by_number[number]
  self.given, self.open = self.given + 1, self.open - 1
  self.by_number[number], self.chunks[chunk.key] = nil, nil
  fill(self)
  return chunk
end

--- Takes what came of a chunk. Raises the error that ended it.
local function open_chunk(self, chunk)
  local completed, results, errors, values = chunk.task:result()
  if completed then
    chunk.results, chunk.errors, chunk.values = results, errors, values
    chunk.task = nil
    self.current, self.at = chunk, 0
    return
  end
  local message, code, value = results, errors, values
  if code == "ERROR" then
    loop.raise(message, value, self.job.hint)
  end
  error("imap: " .. message, 0)
end

-- ---- what the loop gets --------------------------------------------------------------------------------------------

local function give_collected(self, chunk, at, index)
  local message = chunk.errors[at]
  if message ~= nil then
    return index, false, message, chunk.values[at]
  elseif self.all then
    return index, true, unpack(chunk.results[at], 1, chunk.results[at].n)
  end
  return index, true, chunk.results[at]
end

local function give(self)
  local chunk, at = self.current, self.at + 1
  local index = chunk.first + at - 1
  self.at = at
  if at == chunk.n then
    self.current = nil
  end
  if self.collects then
    return give_collected(self, chunk, at, index)
  elseif self.all then
    return index, unpack(chunk.results[at], 1, chunk.results[at].n)
  end
  return index, chunk.results[at]
end

--- Has something to give: true; or false, there is nothing more. Raises.
local function advance(self)
  if self.current then
    return true
  end
  local chunk = next_chunk(self)
  if not chunk then
    return false
  end
  open_chunk(self, chunk)
  return true
end

function class:__call()
  if self.closed then
    return nil
  end
  local ok, more = core.pcall(advance, self)
  if ok and more then
    return give(self)
  end
  self:close()
  if not ok then
    error(more, 0)
  end
  return nil
end

--- Cancels what is left, and waits until nothing of it runs. Done at the end by itself, and on Lua 5.4 where a for-loop
-- is left.
-- @return true
function Results:close()
  if self.closed then
    return true
  end
  self.closed, self.current, self.input, self.kept = true, nil, nil, nil
  for _, chunk in pairs(self.by_number) do
    if not chunk.ended then
      chunk.task:cancel()
    end
  end
  while self.ends.open > 0 and self.ends:next() do -- luacheck: ignore
  end
  self.ends:close()
  self.by_number, self.chunks = {}, {}
  return true
end

class.__close = Results.close

function class:__tostring()
  return ("iocp.Results: %.0f taken, %d under way"):format(self.given, self.open)
end

--- Calls f(item, index) for each item of a list or iterator, in the workers.
-- @tparam table|function input an iterator gives an item with each call, until that is nil; it is called here
-- @tparam function|string|table f what submit takes
-- @tparam[opt] table given ordered (true: in the input's order, else as they come); window (how many tasks are under
-- way, or have results that were not taken; 4 for each worker); chunk (items in a task, 1); timeout (ms that all of it
-- may take); errors ("raise": the first one cancels the rest and is raised in the loop; "collect": behind the index
-- comes true, or false, the message and the error value); args, index, results, name: as map
-- @return for a for-loop: a function that gives index and result
return function(pool, input, f, given)
  options.check_self(pool, parts.methods)
  check("input", input, inputs.is_input(input), inputs.WHAT, inputs.about_other(input))
  check("f", f, calls.is_work(f), calls.WORK)
  given = options.read(given, rules)
  local hole = type(input) == "table" and not getmetatable(input) and inputs.hole_of(input)
  check("input", input, not hole, inputs.NO_HOLES, inputs.about_hole(hole))
  local _, own, initialised = parts.current_worker()
  if own == pool and not initialised then
    private.raise("init cannot run loops over its own pool, whose worker is to run them")
  end
  local call, collects = calls.read(parts, f, given, true), given.errors == "collect"
  local results = setmetatable({
    pool = pool,
    job = calls.apply(call, collects and runners.COLLECT or runners.MAP, { collects = collects }),
    input = inputs.to_iterator(input),
    size = given.chunk or 1,
    window = given.window or EACH * math.max(1, pool:workers()),
    ordered = given.ordered ~= false,
    all = given.results == "all",
    collects = collects,
    limit = given.timeout and core.clock() + given.timeout,
    ends = ends.new(), -- by the chunks' numbers
    chunks = {}, key = 0, -- offer's
    by_number = {}, -- those that are under way, or have not been given
    numbers = 0, given = 0, open = 0, -- how many chunks were submitted, were given, are in by_number
    last = 0, -- index of the item that was read last
    kept = nil, -- a chunk that was read, and found no room in the queue
    current = nil, at = 0, -- the chunk that is given, and how many of its items were
  }, class)
  return results, nil, nil, results
end
