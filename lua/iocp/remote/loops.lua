--- pool:map and pool:imap of remote pools: a job for each item, many in one call, and no more under way than a window.
-- @module iocp.remote.loops
local core = require "iocp"
local inputs, options = require "iocp.inputs", require "iocp.options"
local outcomes, work = require "iocp.remote.outcomes", require "iocp.remote.work"
local submission = require "iocp.remote.submission"
local check = options.check
local Results = {} -- methods
local class = { __index = Results }
local loops = { methods = Results }

local WINDOW = 256 -- jobs under way, if nobody says how many
local MANY = 256 -- jobs in one call

local function is_count(v)
  return type(v) == "number" and v >= 1 and v <= 2 ^ 30 and v % 1 == 0
end

local rules = {
  { "ordered", function(v) return type(v) == "boolean" end, "a boolean" },
  { "window", is_count, "a number of jobs from 1 on" },
  { "timeout", function(v) return type(v) == "number" and v >= 0 end, "milliseconds, a number from 0 on" },
  { "errors", function(v) return v == "raise" or v == "collect" end, '"raise" or "collect"' },
  { "args", function(v) return type(v) == "table" end, "a list of what f is called with besides" },
  { "index", function(v) return type(v) == "boolean" end, "a boolean" },
  { "results", function(v) return v == "first" or v == "all" end, '"first" or "all"' },
}

-- ---- what goes out --------------------------------------------------------------------------------------------------

local function list_of(self, item, index)
  local args, list = self.args, { item }
  local n = 1
  if self.index then
    list[2], n = index, 2
  end
  for i = 1, args.n or #args do
    list[n + i] = args[i]
  end
  list.n = n + (args.n or #args)
  return list
end

--- Called for each task of it that ends.
local function ended(self, task)
  if self.ordered then
    if task.index == self.given + 1 and self.condition then
      self.condition:signal()
    end
    return
  end
  self.ends_last = self.ends_last + 1
  self.ends[self.ends_last] = task
  if self.condition then
    self.condition:signal()
  end
end

--- Submits as many items as there is room for, up to MANY: whether it did. Raises.
local function fill(self)
  local lists = {}
  while self.input and #lists < MANY and self.open + #lists < self.window do
    local item = self.input()
    if item == nil then
      self.input = nil
    else
      lists[#lists + 1] = list_of(self, item, self.last + #lists + 1)
    end
  end
  if #lists == 0 then
    return false
  end
  local made, message = submission.lists(self.pool, self.read, lists)
  if not made then
    error("imap: " .. message, 0)
  end
  for _, task in ipairs(made) do
    self.last, self.open = self.last + 1, self.open + 1
    self.by_index[self.last], task.index, task.loop, task.heard = task, self.last, self, ended
    if task.state then
      ended(self, task)
    end
  end
  return true
end

--- So much of the window is free that a call pays, or nothing else is to be done.
local function refill(self)
  local least = math.min(MANY, self.window / 2)
  while self.input and self.window - self.open >= least and fill(self) do -- luacheck: ignore
  end
end

-- ---- what comes back ------------------------------------------------------------------------------------------------

local function is_there(self)
  if self.ordered then
    return self.by_index[self.given + 1].state
  end
  return self.ends[self.ends_first]
end

--- The next task that is to be given; nil: there is none. Raises.
local function next_task(self)
  refill(self)
  if self.open == 0 then
    return nil
  end
  if not is_there(self) then
    local ok, message, code = outcomes.wait(self.pool, self, function() return is_there(self) end, self.limit)
    if not ok then
      error(code == "TIMEOUT" and self.limit and core.clock() >= self.limit and "imap: the loop ran out of its time"
        or "imap: " .. message, 0)
    end
  end
  local task
  if self.ordered then
    task = self.by_index[self.given + 1]
  else
    task = self.ends[self.ends_first]
    self.ends[self.ends_first] = nil
    self.ends_first = self.ends_first + 1
  end
  self.given, self.open = self.given + 1, self.open - 1
  self.by_index[task.index] = nil
  return task
end

--- Gives what came of it; raises the error that ended it, unless errors are collected.
local function give(self, task, ok, ...)
  local index = task.index
  if not ok and self.collects then
    local message, _, value = ...
    return index, false, message, value
  elseif not ok then
    local message, _, value = ...
    error(type(value) == "table" and value or ("item %d: %s"):format(index, message), 0)
  end
  local result = (...)
  if self.all then
    result = { n = select("#", ...), ... }
  end
  if self.collects then
    return index, true, result
  elseif self.all then
    return index, ...
  end
  return index, result
end

local function step(self)
  local task = next_task(self)
  if not task then
    return nil
  end
  return give(self, task, outcomes.give(task))
end

local function conclude(self, ok, ...)
  if not ok or (...) == nil then
    self:close()
  end
  if not ok then
    error((...), 0)
  end
  return ...
end

function class:__call()
  if self.closed then
    return nil
  end
  return conclude(self, core.pcall(step, self))
end

--- Cancels what is left. What runs is asked to end, which is not waited for.
-- @return true
function Results:close()
  if self.closed then
    return true
  end
  self.closed, self.input = true, nil
  local ids = {}
  for _, task in pairs(self.by_index) do
    task.loop = nil
    if not task.state then
      ids[#ids + 1] = task.key
    end
  end
  self.by_index = {}
  if #ids > 0 and not self.pool.is_closed then
    submission.ask(self.pool, "cancel", ids)
  end
  return true
end

class.__close = Results.close

function class:__tostring()
  return ("iocp.remote.Results: %.0f taken, %d under way"):format(self.given, self.open)
end

--- f for each item, and the results in a for-loop, as they come.
-- @param input a list, or an iterator, which is read as far as jobs are submitted
-- @param f what submit takes; an id is not for a loop
-- @param given ordered (true), window (jobs under way or not taken, 256), timeout (ms for all of it), errors ("raise"
-- or "collect"), args (a list behind item and index), index (true), results ("first" or "all")
-- @return for a for-loop: a function that gives index and result; with errors = "collect" index, true and the result,
-- or index, false, message and error value
function loops.imap(pool, input, f, given)
  check("input", input, inputs.is_input(input), inputs.WHAT)
  local read, wrong = work.read(f, "imap")
  if not read then
    error(wrong, 3)
  end
  check("f", f, not read.id, "no id, which would be that of all items")
  given = options.read(given, rules)
  local results = setmetatable({
    pool = pool, read = read, input = inputs.to_iterator(input),
    window = given.window or WINDOW, ordered = given.ordered ~= false, collects = given.errors == "collect",
    all = given.results == "all", index = given.index ~= false, args = given.args or {},
    limit = given.timeout and core.clock() + given.timeout,
    by_index = {}, open = 0, -- tasks that were not given, and how many
    last = 0, given = 0, -- the last one's index, how many were given
    ends = {}, ends_first = 1, ends_last = 0, -- not ordered: those that have ended
  }, class)
  return results, nil, nil, results
end

--- Takes what the iterator gives into the lists: whether there was something.
local function keep(each, lists, index, ...)
  if index == nil then
    return false
  elseif each.collects then
    local ok, result, value = ...
    lists[ok and 1 or 2][index] = result
    lists[3][index] = value
  else
    lists[1][index] = each.all and { n = select("#", ...), ... } or (...)
  end
  return true
end

--- The first results of f for each item, in the list's order.
-- @param given as of imap
-- @return a list; with errors = "collect" results, messages and error values, by index. Raises the first error
function loops.map(pool, input, f, given)
  local each, lists = loops.imap(pool, input, f, given), { {}, {}, {} }
  while keep(each, lists, each()) do -- luacheck: ignore
  end
  if each.collects then
    return lists[1], lists[2], lists[3]
  end
  return lists[1]
end

return loops
