-- analyse.lua: what the files say, and a list of what could not be read. go_on(done, all) is called after each piece,
-- and says whether there is to be another one.
local logs, pieces = require "logs", require "pieces"

return function(pool, paths, go_on)
  local list, total, problems = {}, logs.nothing(), {}
  for _, path in ipairs(paths) do
    local ok, message = pieces.split(path, 1024 * 1024, list)
    if not ok then problems[#problems + 1] = message end
  end
  local results = pool:imap(list, function(piece)
    return logs.count(pieces.lines(piece))
  end, { ordered = false, errors = "collect" })
  local done = 0
  local index, ok, found = results()
  while index do
    if ok then
      total = logs.add(total, found)
    else
      problems[#problems + 1] = list[index].path .. ": " .. found:match("[^\n]*")
    end
    done = done + 1
    if not go_on(done, #list) then break end
    index, ok, found = results()
  end
  results:close() -- cancels what is queued, and waits for what runs
  return total, problems
end
