-- The leases of iocp.remote in a model: whatever crashes, stalls and is lost, no job is, and none has two outcomes. The
-- rate of jobs that ran twice is printed.
local support = require "support"
local model = require "support.remote_model"

local function steady() return 0 end

-- Now and then Redis' clock is a quarter of a lease ahead, or behind.
local function unsteady(self)
  return 250 * math.sin(self.now / 5000)
end

local cases = {
  { name = "nothing goes wrong", crash = 0, stall = 0, lose = 0, skew = steady },
  { name = "workers crash", crash = 0.01, stall = 0, lose = 0, skew = steady },
  { name = "workers stall for longer than a lease", crash = 0, stall = 0.01, lose = 0, skew = steady },
  { name = "replies are lost", crash = 0, stall = 0, lose = 0.01, skew = steady },
  { name = "all of it happens, and Redis' clock is not steady", crash = 0.01, stall = 0.01, lose = 0.01,
    skew = unsteady },
}

describe("leases, in a model", function()
  for _, case in ipairs(cases) do
    it("lose no job when " .. case.name, function()
      local n = support.soaked(20000)
      local state = model.run(n, 50, math.random, case)
      assert.equal(n, state.done)
      for id = 1, n do
        assert.is_true(state.outcomes[id])
      end
      assert.is_nil(next(state.pending))
      if case.crash + case.stall + case.lose == 0 then
        assert.equal(n, state.executions)
      end
      print(("# %s: %d jobs, %.2f %% ran again; %d crashes, %d stalls, %d leases taken over, %d outcomes too late")
        :format(case.name, n, 100 * (state.executions - n) / n, state.crashes, state.stalls, state.taken_over,
          state.duplicates))
    end)
  end

  it("would find a job that is lost", function()
    local function standing(self) return -self.now end -- a clock
    local broken = { crash = 0.01, stall = 0, lose = 0, skew = standing }
    local ok, message = pcall(model.run, 1000, 10, math.random, broken)
    assert.is_false(ok)
    assert.matches("have no outcome, and none ends any more", message)
  end)
end)
