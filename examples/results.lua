-- Results as they come. lua examples/results.lua [LIMIT [WORKERS]]: counts primes below LIMIT (200000), three ways to
-- wait for what a pool does:
--   imap          a loop over pieces of a range that has no end; it is left when there are enough
--   as_completed  a few tasks of unlike size, each told when it has ended
--   timeout       one that takes too long, and what catch makes of it
local iocp = require "iocp"
local limit, workers = tonumber(arg[1]) or 200000, tonumber(arg[2])
local pool = iocp.Pool { workers = workers, name = "primes" }
local PIECE = 10000

local function primes_in(first, last)
  local count = 0
  for n = math.max(first, 2), last do
    local prime = n == 2 or n % 2 == 1
    for divisor = 3, math.floor(math.sqrt(n)), 2 do
      if not prime then
        break
      end
      prime = n % divisor ~= 0
    end
    count = count + (prime and 1 or 0)
  end
  return count
end

-- Where pieces begin: 0, PIECE, 2 * PIECE ... for ever. imap asks for as many as it has workers for.
local function beginnings()
  local next_one = -PIECE
  return function()
    next_one = next_one + PIECE
    return next_one
  end
end

local total = 0
local results = pool:imap(beginnings(), function(first, piece, last, count_in)
  return first > last and 0 or count_in(first, math.min(first + piece - 1, last))
end, { index = false, args = { PIECE, limit - 1, primes_in } })
for piece, count in results do
  total = total + count
  if piece * PIECE >= limit then
    break
  end
end
results:close() -- Lua 5.4 does it where the loop is left
print(("imap: %d primes below %d"):format(total, limit))

local sizes, tasks = { limit, limit / 2, limit / 4, limit / 8 }, {}
for i, size in ipairs(sizes) do
  tasks[i] = pool:submit(primes_in, 0, size - 1)
end
for task, i in iocp.as_completed(tasks) do
  print(("as_completed: %d primes below %d"):format(select(2, task:result()), sizes[i]))
end

local function patient(f, port)
  local n = 0
  while not require("iocp").cancelled() do -- what is told to stop has to look, or to wait
    n = n + f(0, 1000)
  end
  port:enqueue(1) -- for who wants to know that it has looked
  return n
end
local port = iocp.IOCompletionPort()
local task = pool:submit({ body = patient, timeout = 20 }, primes_in, port)
  :catch(function(message, code) return code .. ": " .. message end)
print("timeout: " .. select(2, task:wait()))
assert(port:dequeue(60000))
assert(pool:shutdown())
