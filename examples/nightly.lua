-- A nightly batch: many small jobs, whose results are summed up as they come. No more than a window of them is in Redis
-- at a time, so a million takes no more memory than ten thousand. Each has an id, by which a batch that is started
-- again after a crash goes on where it was: what has been done is not done twice.
--
--   lua examples/nightly.lua [JOBS [REDIS]]          10,000 jobs, or as many; without a Redis it starts one
local nightly = {}

--- What a customer is to pay: a sum over the month.
function nightly.invoice(customer)
  local cents = 0
  for day = 1, 30 do
    cents = cents + (customer * 7919 + day * 104729) % 1000
  end
  return cents
end

if ... == "nightly" then
  return nightly
end

local iocp, own_redis = require "iocp", require "own_redis"
local remote = require "iocp.remote"
local QUEUE = "nightly"

if arg[1] == "worker" then
  assert(remote.serve { redis = arg[2], queue = QUEUE, modules = { "nightly" }, workers = 1, prefetch = 200,
    log = function() end })
  return
end

local n = tonumber(arg[1]) or 10000

local function customers()
  local i = 0
  return function()
    i = i + 1
    return i <= n and i or nil
  end
end

own_redis.with(arg[2], function(address)
  own_redis.with_workers(3, "examples/nightly.lua", address, function()
    local pool = assert(remote.Pool { redis = address, queue = QUEUE, ttl = 60000 })
    local began, total, done = iocp.clock(), 0, 0
    for _, cents in pool:imap(customers(), "nightly:invoice", { index = false, ordered = false, window = 2000 }) do
      total, done = total + cents, done + 1
      if done % 100000 == 0 then
        print(("%d of %d"):format(done, n))
      end
    end
    print(("%d invoices, %.2f in all, in %.1f s"):format(done, total / 100, (iocp.clock() - began) / 1000))
    pool:close()
  end)
end)
