--- Figures as the tables tell them.
-- @module bench.cells
local cells = {}

function cells.number(value)
  if value >= 99.5 then
    return ("%.0f"):format(value)
  end
  return value >= 9.95 and ("%.1f"):format(value) or ("%.2f"):format(value)
end

function cells.figure(figure)
  local number = cells.number
  return figure and ("%s (%s-%s)"):format(number(figure.median), number(figure.min), number(figure.max)) or ""
end

--- How fast the first is beside the second: above 1 is faster.
function cells.speed(row, first, second)
  if row.unit == "calls" or not first or not second or first.median == 0 or second.median == 0 then
    return ""
  end
  local ratio = first.median / second.median
  return ("%.2f"):format(row.kind == "rate" and ratio or 1 / ratio)
end

return cells
