-- logs.lua: what the logs of web servers say. Plain Lua, which knows nothing of threads.
local logs = {}

function logs.nothing()
  return { requests = 0, bytes = 0, unreadable = 0, statuses = {}, failures = {} }
end

local function one_more(counts, name, n)
  counts[name] = (counts[name] or 0) + n
end

-- What the lines say; `lines` gives one with each call, as io.lines' iterator does.
function logs.count(lines)
  local found = logs.nothing()
  for line in lines do
    local page, status, bytes = line:match('"%u+ (%S+) [^"]*" (%d%d%d) ([%d-]+)')
    if page then
      found.requests = found.requests + 1
      found.bytes = found.bytes + (tonumber(bytes) or 0)
      one_more(found.statuses, status, 1)
      if status >= "400" then one_more(found.failures, page, 1) end
    else
      found.unreadable = found.unreadable + 1
    end
  end
  return found
end

-- What two of them say together.
function logs.add(a, b)
  for _, field in ipairs { "requests", "bytes", "unreadable" } do
    a[field] = a[field] + b[field]
  end
  for _, field in ipairs { "statuses", "failures" } do
    for name, n in pairs(b[field]) do one_more(a[field], name, n) end
  end
  return a
end

function logs.text(found)
  local text = { ("%d requests, %.0f bytes, %d other lines"):format(found.requests, found.bytes, found.unreadable) }
  for _, field in ipairs { "statuses", "failures" } do
    local names = {}
    for name in pairs(found[field]) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
      text[#text + 1] = ("%-8s  %8d  %s"):format(field, found[field][name], name)
    end
  end
  return table.concat(text, "\n")
end

return logs
