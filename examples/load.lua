-- A load generator for HTTP/1.1: connections that ask for one page again and again, and a histogram of how long the
-- answers took.
--
--     lua examples/load.lua                                         asks a small server of its own, then ends
--     lua examples/load.lua http://HOST:PORT/PATH [CONNECTIONS [SECONDS [RATE]]]     64 connections, 5 seconds
--
-- With a rate, so many requests a second are asked for in all, each at its time, whether or not the answers before have
-- come; what one takes counts from that time on. So a server that stops for a second is seen to keep a second's
-- requests waiting. Without one a connection asks when it has its answer, as fast as can be.
local iocp = require "iocp"

local STEPS = 16 -- of the histogram, between one power of two and the next

local url, connections, seconds, rate = arg[1], tonumber(arg[2] or 64), tonumber(arg[3] or 5), tonumber(arg[4])
local histogram, answers, failures, bytes, slowest = {}, 0, {}, 0, 0

--- Microseconds as the number of a step, which is at most a sixteenth wide; and the greatest that it stands for.
local function step_of(us)
  local power = math.floor(math.log(math.max(us, 1)) / math.log(2))
  return power * STEPS + math.floor((us / 2 ^ power - 1) * STEPS)
end

local function end_of(step)
  return 2 ^ math.floor(step / STEPS) * (1 + (step % STEPS + 1) / STEPS)
end

local function count(ms)
  local step = step_of(ms * 1000)
  histogram[step] = (histogram[step] or 0) + 1
  answers, slowest = answers + 1, math.max(slowest, ms)
end

local function fail(why)
  failures[why] = (failures[why] or 0) + 1
end

--- Reads an answer: whether there may be another on this connection; or nil, why it is none.
local function read_answer(client)
  local line, message = client:read("l")
  local status = line and line:match("^HTTP/1%.%d (%d%d%d)")
  local length, keeps = nil, true
  while status and line and line ~= "" do
    line, message = client:read("l")
    local name, value = (line or ""):match("^([^:]+):[ \t]*(.-)[ \t]*$")
    name = name and name:lower()
    if name == "content-length" then
      length = tonumber(value)
    elseif name == "connection" and value:lower() == "close" then
      keeps = false
    end
  end
  if not status or not line or not length then
    return nil, message or "no answer that is understood"
  end
  local body = client:read(length)
  bytes = bytes + #(body or "")
  if #(body or "") < length and length > 0 then
    return nil, "half an answer"
  elseif status ~= "200" then
    fail("status " .. status)
  end
  return keeps
end

--- One connection, which is made anew where the server ends it. number: its place among the others.
local function ask(host, port, request, number, from, till)
  local turn, client = number - 1, nil
  while true do
    local due = rate and from + turn * 1000 / rate or iocp.clock()
    if due >= till then
      break
    end
    if rate then
      iocp.sleep(math.max(0, due - iocp.clock()))
    end
    local message
    if not client then
      client, message = iocp.connect(host, port, { timeout = 10000 })
    end
    local keeps = client and client:write(request)
    if keeps then
      keeps, message = read_answer(client)
    end
    if keeps == nil then
      fail(message or "the connection is lost")
    else
      count(iocp.clock() - due)
    end
    if not keeps and client then
      client:close()
      client = nil
    end
    turn = turn + connections
  end
  if client then
    client:close()
  end
end

--- The step below which so many of a hundred answers are.
local function percentile(steps, share)
  local sum = 0
  for _, step in ipairs(steps) do
    sum = sum + histogram[step]
    if sum >= answers * share / 100 then
      return math.min(end_of(step) / 1000, slowest)
    end
  end
end

local function sorted_steps()
  local steps = {}
  for step in pairs(histogram) do
    steps[#steps + 1] = step
  end
  table.sort(steps)
  return steps
end

--- A line for each power of two.
local function print_histogram(steps)
  local powers, most = {}, 0
  for _, step in ipairs(steps) do
    local power = math.floor(step / STEPS)
    powers[power] = (powers[power] or 0) + histogram[step]
    most = math.max(most, powers[power])
  end
  for power = math.floor(steps[1] / STEPS), math.floor(steps[#steps] / STEPS) do
    local n = powers[power] or 0
    print(("  %9.3f ms  %8d  %s"):format(2 ^ (power + 1) / 1000, n, ("#"):rep(math.ceil(n / most * 50))))
  end
end

local function report(took)
  print(("%d answers in %.2f s, %.0f a second, %.1f MiB"):format(answers, took, answers / took, bytes / 2 ^ 20))
  for why, n in pairs(failures) do
    print(("  %d x %s"):format(n, why))
  end
  if answers > 0 then
    local steps = sorted_steps()
    for _, share in ipairs { 50, 90, 99, 99.9 } do
      print(("  %4g %%  %9.3f ms"):format(share, percentile(steps, share)))
    end
    print(("   most  %9.3f ms"):format(slowest))
    print_histogram(steps)
  end
end

local function load(host, port, path)
  local request = ("GET %s HTTP/1.1\r\nHost: %s:%d\r\n\r\n"):format(path, host, port)
  local from = iocp.clock()
  iocp.run(function()
    for number = 1, connections do
      iocp.spawn(ask, host, port, request, number, from, from + seconds * 1000)
    end
  end)
  report((iocp.clock() - from) / 1000)
end

if url then
  local host, port, path = url:match("^http://([^:/]+):?(%d*)(.*)$")
  if not host or not connections or not seconds or arg[4] and not rate then
    io.stderr:write("usage: lua examples/load.lua [http://HOST:PORT/PATH [CONNECTIONS [SECONDS [RATE]]]]\n")
    os.exit(2)
  end
  load(host, tonumber(port) or 80, path ~= "" and path or "/")
else
  local service = assert(iocp.serve { host = "127.0.0.1", workers = 1, handler = function(client)
    local line = client:read()
    while line do
      if line == "" then
        client:write("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world\n")
      end
      line = client:read()
    end
  end })
  local host, port = service:address()
  connections, seconds, rate = 10, 1, 500
  load(host, port, "/")
  service:stop(5000)
end
