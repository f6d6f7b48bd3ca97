--- A model of leases and clocks of iocp.remote: workers that take jobs, renew leases, stall, crash, and lose replies;
-- Redis' clock, which may step; and outcomes, of which the first counts. It has the steps of scripts.lua, as functions
-- of one state, and runs them in any order that time allows. What it is to find: a job without an outcome, or with two.
--
-- Time is in ms. Each worker acts at random times; between a take and its outcome lie the job's time, and whatever
-- happens to the worker: a crash (what it has is forgotten, and its leases run out), a stall (it goes on, but its
-- leases ran out meanwhile, and others run its jobs, too), a reply that is lost (it sends its outcome again).
local model = {}

local LEASE, BEAT, JOB = 1000, 333, 50

local function new(random, given)
  return { now = 0, queue = {}, first = 1, last = 0, pending = {}, lease_order = {}, lease_first = 1, outcomes = {},
    random = random, given = given, executions = 0, duplicates = 0, taken_over = 0, crashes = 0, stalls = 0, done = 0 }
end

-- ---- the scripts ----------------------------------------------------------------------------------------------------

local function submit(self, id)
  self.last = self.last + 1
  self.queue[self.last] = id
end

--- Sets a lease: who has it, and until when on Redis' clock. The list of leases is in the order of their beginnings.
local function lease(self, id, worker)
  self.pending[id] = { worker = worker, since = self.now + self.given.skew(self) }
  self.lease_order[#self.lease_order + 1] = id
end

--- One job: of a lease that has ended, else the next of the queue; nil: there is none.
local function take(self, worker)
  local now = self.now + self.given.skew(self)
  while self.lease_first <= #self.lease_order do
    local id = self.lease_order[self.lease_first]
    local one = self.pending[id]
    if one and now - one.since < LEASE then
      break
    end
    self.lease_first = self.lease_first + 1
    if one then
      self.taken_over = self.taken_over + 1
      lease(self, id, worker)
      return id
    end
  end
  local id = self.queue[self.first]
  if id then
    self.queue[self.first] = nil
    self.first = self.first + 1
    lease(self, id, worker)
  end
  return id
end

local function beat(self, id, worker)
  local one = self.pending[id]
  if one and one.worker == worker then
    lease(self, id, worker)
  end
end

local function finish(self, id)
  self.pending[id] = nil
  if self.outcomes[id] then
    self.duplicates = self.duplicates + 1
    return
  end
  self.outcomes[id] = true
  self.done = self.done + 1
end

-- ---- workers --------------------------------------------------------------------------------------------------------

local function chance(self, p)
  return self.random() < p
end

--- A worker's next step. It is at a job until `ends`, and beats in between.
local function step(self, worker)
  local given = self.given
  if worker.id and chance(self, given.crash) then
    worker.id = nil
    self.crashes = self.crashes + 1
    return 200 -- another process in its place
  elseif worker.id and chance(self, given.stall) then
    self.stalls = self.stalls + 1
    return LEASE * 3 * self.random()
  elseif worker.id and self.now >= worker.ends then
    local id = worker.id
    finish(self, id)
    if chance(self, given.lose) then
      finish(self, id) -- sent again
    end
    worker.id = nil
    return 1
  elseif worker.id then
    beat(self, worker.id, worker)
    return math.min(BEAT, worker.ends - self.now)
  end
  worker.id = take(self, worker)
  if not worker.id then
    return 20
  end
  self.executions = self.executions + 1
  worker.ends = self.now + JOB * 2 * self.random()
  if chance(self, given.lose) then
    worker.id = nil -- the reply to the take did not come: it does not know that it has the job
  end
  return worker.id and math.min(BEAT, worker.ends - self.now) or 1
end

--- Runs n jobs with so many workers. random: as math.random. given: crash, stall, lose (chances at each step), and
-- skew(self): by how much Redis' clock is off now. Returns the state; raises where no job ends for long.
function model.run(n, workers, random, given)
  local self = new(random, given)
  for id = 1, n do
    submit(self, id)
  end
  local turns = {} -- by ms: a list of workers
  local function plan(worker, ms)
    local due = self.now + math.max(1, math.floor(ms))
    turns[due] = turns[due] or {}
    table.insert(turns[due], worker)
  end
  for _ = 1, workers do
    plan({}, 1)
  end
  local done, since = 0, 0
  while self.done < n do
    self.now = self.now + 1
    local turn = turns[self.now]
    turns[self.now] = nil
    for _, worker in ipairs(turn or {}) do
      plan(worker, step(self, worker))
    end
    if self.done > done then
      done, since = self.done, self.now
    elseif self.now - since > 100 * LEASE then
      error(("%d jobs have no outcome, and none ends any more"):format(n - self.done), 0)
    end
  end
  return self
end

return model
