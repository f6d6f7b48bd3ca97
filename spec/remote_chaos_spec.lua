-- iocp.remote when all that can break does: every job has one outcome, and none is lost.
local support = require "support"
local redis = require "support.redis"

support.nothing = redis.missing()
if support.nothing then
  return
end
local chaos = require "support.remote_chaos"

describe("a queue in Redis whose workers, client and server are killed", function()
  --- Runs it, and looks at what is counted.
  local function shows(n, network)
    local outcome = chaos.run(n, network)
    assert.is_true(outcome.finished, outcome.trouble)
    assert.same({ completed = n }, outcome.states)
    assert.equal(n, outcome.settled)
    assert.equal(n, outcome.distinct)
    assert.same({ 3, 1 }, { outcome.restarts, outcome.clients })
    print(("# %d jobs, %d executions: %.2f %% twice; %d workers killed, Redis %d times, the client once; %d outcomes "
      .. "came too late"):format(n, outcome.executions, 100 * (outcome.executions - n) / n, outcome.killed,
      outcome.restarts, outcome.duplicates))
  end

  it("has one outcome for each job, and loses none", function()
    shows(support.soaked(10000))
  end)

  it("nor through a network that takes 50 ms, loses and cuts", function()
    shows(support.soaked(2000), { delay = 50, loss = 0.01 })
  end)
end)
