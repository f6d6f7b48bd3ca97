-- A lock that is the value which it guards: one message in a port. Who has received it has the value, and nobody else.
--
--   lua examples/lock.lua [THREADS [TIMES]]     4, 500
local iocp = require "iocp"

local threads, times = tonumber(arg[1]) or 4, tonumber(arg[2]) or 500

local account = assert(iocp.IOCompletionPort(threads))
account:send { balance = 0, changes = 0 }

--- Calls f with the value, which goes back behind it, also where f fails.
local function change(port, f, ...)
  local ok, value, code = port:receive() -- waits while somebody else has it
  if not ok then
    return nil, value, code
  end
  local good, result = pcall(f, value, ...)
  port:send(value)
  if not good then
    error(result, 0)
  end
  return true
end

local function deposit(value, amount)
  local balance = value.balance -- read here, written below: between them nobody else may
  value.changes = value.changes + 1
  value.balance = balance + amount
end

local running = {}
for i = 1, threads do
  running[i] = assert(iocp.Thread(function(amount)
    for _ = 1, times do
      assert(change(account, deposit, amount))
    end
  end, i))
end
for _, thread in ipairs(running) do
  assert(thread:join())
end
local _, value = assert(account:receive())
print(("%d changes, none lost; the balance is %d"):format(value.changes, value.balance))
