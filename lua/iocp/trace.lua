--- What a pool's workers did and when, as a file that Perfetto and chrome://tracing open.
-- The format is the "Trace Event Format" of Chromium: complete events ("X") in microseconds.

local options, private = require "iocp.options", require "iocp.private"

local UTF8 = { -- a letter of more than one byte
  "^[\194-\223][\128-\191]", "^\224[\160-\191][\128-\191]", "^[\225-\236\238\239][\128-\191][\128-\191]",
  "^\237[\128-\159][\128-\191]", "^\240[\144-\191][\128-\191][\128-\191]",
  "^[\241-\243][\128-\191][\128-\191][\128-\191]", "^\244[\128-\143][\128-\191][\128-\191]",
}
local REPLACEMENT = "\239\191\189" -- U+FFFD

-- The end of the letter at `at`; nil: the bytes there are none.
local function letter_end(text, at)
  for _, pattern in ipairs(UTF8) do
    local _, last = text:find(pattern, at)
    if last then
      return last
    end
  end
end

-- JSON is UTF-8, and a name may be any bytes, or have been cut within a letter.
local function to_utf8(bytes)
  local letters, at = {}, 1
  while at <= #bytes do
    local last = letter_end(bytes, at)
    letters[#letters + 1] = last and bytes:sub(at, last) or REPLACEMENT
    at = (last or at) + 1
  end
  return table.concat(letters)
end

local function quoted(text)
  local escaped = text:gsub('[%z\1-\31\127"\\]', function(c)
    return ("\\u%04x"):format(c:byte())
  end)
  return '"' .. escaped:gsub("[\128-\255]+", to_utf8) .. '"'
end

-- Milliseconds as microseconds, to three places, with a point in every locale.
local function microseconds(ms)
  local ns = math.floor(ms * 1e6 + 0.5)
  return ("%.0f.%03d"):format(math.floor(ns / 1000), ns % 1000)
end

-- The spans of one worker as events, and what lies between them as idle.
local function write_worker(file, worker, spans, first)
  table.sort(spans, function(a, b)
    if a.begin == b.begin then
      return a.finish > b.finish
    end
    return a.begin < b.begin
  end)
  -- Perfetto shows category and arguments, the older viewer the colour.
  local function event(name, begin, finish, state, colour)
    local span = (',\n{"name":%s,"ph":"X","pid":1,"tid":%d,"ts":%s,"dur":%s,'):format(
      quoted(name), worker, microseconds(begin - first), microseconds(finish - begin))
    file:write(span, ('"cat":"%s","args":{"state":"%s"},"cname":"%s"}'):format(state, state, colour))
  end
  local free = nil
  for _, span in ipairs(spans) do
    if free and span.begin > free then
      event("idle", free, span.begin, "idle", "grey")
    end
    event(span.name, span.begin, span.finish, span.state, span.state == "completed" and "good" or "terrible")
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
  private.put(methods, "iocp.methods\0iocp.Pool", "trace", function(pool, path)
    options.check_self(pool, methods)
    if path ~= nil and type(path) ~= "string" then
      options.refuse("path", "a string or nil", path)
    end
    local recorded, before = parts.trace_pool(pool, path ~= nil), paths[pool]
    paths[pool] = path
    if before then
      return write(before, pool:name(), recorded)
    elseif path == nil then
      return nil, "nothing is recorded: call trace with a path first", "INVALID"
    end
    return true
  end)
end
