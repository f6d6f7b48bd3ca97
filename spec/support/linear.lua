--- Whether a history of several threads is linearizable: whether there is one order of all calls that a model agrees
-- with, in which no call comes before one that had returned when it began. Wing and Gong's search, with a memory of
-- what led nowhere (Lowe).
--
-- A thread's history is a flat list: began, returned, then FIELDS - 2 fields of the script's own for each call, in the
-- order of the calls. A model is a function(state, history, at): whether the call whose fields begin at `at` may be the
-- next one, and the state behind it, which is a number, a string or nil.
-- @module support.linear
local linear = { FIELDS = 8 }
local FIELDS = linear.FIELDS

--- The earliest return among the calls that are next in their threads; nil: none is left.
local function earliest_return(histories, at)
  local limit
  for i, history in ipairs(histories) do
    local returned = history[at[i] + 1]
    if returned and (not limit or returned < limit) then
      limit = returned
    end
  end
  return limit
end

--- true; or nil, and how many calls of each thread fit at most.
function linear.check(histories, initial, model)
  local at, path, seen, state, from = {}, {}, {}, initial, 1
  local deepest, where = -1, ""
  for i = 1, #histories do
    at[i] = 1
  end
  while true do
    local limit, found = earliest_return(histories, at), false
    if not limit then
      return true
    end
    for i = from, #histories do
      local history = histories[i]
      if history[at[i]] and history[at[i]] <= limit then
        local fits, after = model(state, history, at[i] + 2)
        if fits then
          at[i] = at[i] + FIELDS
          local place = table.concat(at, ",") .. ":" .. tostring(after)
          if not seen[place] then
            seen[place], found = true, true
            path[#path + 1] = { i, state }
            state, from = after, 1
            if #path > deepest then
              deepest, where = #path, place
            end
            break
          end
          at[i] = at[i] - FIELDS
        end
      end
    end
    if not found then
      local last = table.remove(path)
      if not last then
        return nil, where
      end
      at[last[1]], state, from = at[last[1]] - FIELDS, last[2], last[1] + 1
    end
  end
end

return linear
