-- A semaphore: at most so many threads at a time do what only so many can, here two of six. It is a port with tokens.
--
--   lua examples/semaphore.lua [THREADS [TOKENS]]     6, 2
local iocp = require "iocp"

local threads, tokens = tonumber(arg[1]) or 6, tonumber(arg[2]) or 2

-- As many tokens as may be in use; a concurrency for all threads, so that tokens alone decide who goes on.
local semaphore = assert(iocp.IOCompletionPort(threads))
for _ = 1, tokens do
  semaphore:enqueue(1)
end

--- Calls f with a token, which is given back however f ends.
local function with_token(port, f, ...)
  local token, message, code = port:dequeue() -- waits until one is there
  if not token then
    return nil, message, code -- cancelled, or the port is closed
  end
  local ok, result = pcall(f, ...)
  port:enqueue(token)
  if not ok then
    error(result, 0)
  end
  return result
end

local inside, most = iocp.Atomic(), iocp.Atomic()

local function use(n) -- what at most `tokens` threads do
  most:max(inside:add(1))
  iocp.sleep(5)
  inside:sub(1)
  return n
end

local running = {}
for i = 1, threads do
  running[i] = assert(iocp.Thread(function(n)
    for _ = 1, 3 do
      assert(with_token(semaphore, use, n))
    end
  end, i))
end
for _, thread in ipairs(running) do
  assert(thread:join())
end
print(("%d threads, never more than %d inside: %s; %d tokens are back"):format(threads, tokens,
  tostring(most:get() <= tokens), #semaphore))
