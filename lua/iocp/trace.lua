--- What a pool's workers did and when, as a file that Perfetto and chrome://tracing open.
-- The format is the "Trace Event Format" of Chromium: complete events ("X") in microseconds.

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    return ("\\u%04x"):format(c:byte())
  end) .. '"'
end

-- The spans of one worker as events, and what lies between them as idle.
local function write_worker(file, worker, spans, first)
  table.sort(spans, function(a, b)
    if a.begin == b.begin then
      return a.finish > b.finish
    end
    return a.begin < b.begin
  end)
  local function event(name, begin, finish, colour)
    file:write((',\n{"name":%s,"ph":"X","pid":1,"tid":%d,"ts":%.3f,"dur":%.3f,"cname":"%s"}'):format(
      quoted(name), worker, (begin - first) * 1000, (finish - begin) * 1000, colour))
  end
  local free = nil
  for _, span in ipairs(spans) do
    if free and span.begin > free then
      event("idle", free, span.begin, "grey")
    end
    event(span.name, span.begin, span.finish, span.state == "completed" and "good" or "terrible")
    free = math.max(free or span.finish, span.finish)
  end
end

local function write(path, name, recorded)
  local file, message = io.open(path, "w")
  if not file then
    return nil, message, "ERROR"
  end
  local workers, first, numbers = {}, math.huge, {}
  for i = 1, #recorded, 5 do
    local worker = recorded[i]
    if not workers[worker] then
      workers[worker] = {}
      numbers[#numbers + 1] = worker
    end
    local spans = workers[worker]
    spans[#spans + 1] =
      { name = recorded[i + 1], state = recorded[i + 2], begin = recorded[i + 3], finish = recorded[i + 4] }
    first = math.min(first, recorded[i + 3])
  end
  table.sort(numbers)
  file:write('[{"name":"process_name","ph":"M","pid":1,"args":{"name":', quoted(name), "}}")
  for _, worker in ipairs(numbers) do
    file:write((',\n{"name":"thread_name","ph":"M","pid":1,"tid":%d,"args":{"name":"worker %d"}}')
      :format(worker, worker))
    write_worker(file, worker, workers[worker], first)
  end
  file:write("\n]\n")
  local ok
  ok, message = file:close()
  if not ok then
    return nil, message, "ERROR"
  end
  return true
end

return function(parts)
  local methods = parts.methods

  -- Which pool records to which file is this state's own knowledge: a recording ends where it was begun.
  local paths = setmetatable({}, { __mode = "k" })

  --- Records from now on what the workers do; called again without a path, or with another, writes it.
  -- @tparam[opt] string path the file to write when the recording ends; nil: ends it
  -- @return true; or nil, message, code: ERROR (the file could not be written), INVALID (nothing is recorded)
  function methods.trace(pool, path)
    if path ~= nil and type(path) ~= "string" then
      error(("bad argument #1 to 'trace' (path: expected a string or nil, got %s)"):format(type(path)), 2)
    end
    local recorded, before = parts.trace_pool(pool, path ~= nil), paths[pool]
    paths[pool] = path
    if before then
      return write(before, pool:name(), recorded)
    elseif path == nil then
      return nil, "nothing is recorded: call trace with a path first", "INVALID"
    end
    return true
  end
end
