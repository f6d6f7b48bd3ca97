--- How jobs come into Redis, for the pool, its tasks and its loops: what they share, and what is no method of theirs.
-- @module iocp.remote.submission
local core = require "iocp"
local outcomes = require "iocp.remote.outcomes"
local values, work = require "iocp.remote.values", require "iocp.remote.work"
local clock = core.clock
local unpack = rawget(table, "unpack") or unpack
local submission = {}

local CLOSED = "this pool was closed"

--- One of the scripts: its reply; or nil, message, code.
function submission.ask(pool, name, arguments)
  return pool.link:script(name, pool.base, arguments, pool.patience)
end

--- A task for the job of that id, which is listed with its pool until its outcome is there.
function submission.task(pool, id)
  local task = setmetatable({ pool = pool, key = id }, pool.task_class)
  pool.tasks[id] = task
  return task
end

--- first: a delay; last: what it runs after.
local function terms_of(pool, read, first, last)
  local terms = {}
  for _, part in ipairs { first or "", read.terms, pool.ttl and ("e=%.0f"):format(pool.ttl) or "", last or "" } do
    if part ~= "" then
      terms[#terms + 1] = part
    end
  end
  return table.concat(terms, ";")
end

local function next_id(pool)
  pool.last_id = pool.last_id + 1
  return ("%s%x"):format(pool.client, pool.last_id)
end

--- What is submitted: id, function, arguments, terms; or nil and why an argument cannot cross.
local function job_of(pool, read, terms, ...)
  local arguments, fault = values.encode("argument", ...)
  if not arguments then
    return nil, fault
  end
  return { id = read.id or next_id(pool), body = read.body, arguments = arguments, terms = terms }
end

--- What the script takes.
local function arguments_of(pool, jobs, client)
  local arguments = { pool.queue_limit or "", client }
  for _, job in ipairs(jobs) do
    local n = #arguments
    arguments[n + 1], arguments[n + 2], arguments[n + 3], arguments[n + 4] = job.id, job.body, job.arguments, job.terms
  end
  return arguments
end

--- Writes the letters of the script's answer to the jobs: those for which there was no room.
local function note_answers(jobs, letters)
  local full = {}
  for i, job in ipairs(jobs) do
    job.answer = letters:sub(i, i)
    if job.answer == "F" then
      full[#full + 1] = job
    end
  end
  return full
end

local ROOM = 200 -- ms at most between looks for room

--- Submits jobs, with one call of the script if there is room for all, else waits for it. Each gets an `answer`, a
-- letter of the script's: true; or nil, message, code.
local function submit(pool, jobs, client)
  local limit, pause = pool.queue_wait and clock() + pool.queue_wait, 5
  while true do
    local letters, message, code = submission.ask(pool, "submit", arguments_of(pool, jobs, client))
    if not letters then
      return nil, message, code
    end
    jobs = note_answers(jobs, letters)
    if #jobs == 0 then
      return true
    elseif limit and clock() >= limit then
      return nil, ("the queue '%s' is full: %d jobs are queued"):format(pool.queue, pool.queue_limit), "TIMEOUT"
    end
    local ok
    ok, message, code = core.sleep(pause)
    if not ok then
      return nil, message, code
    end
    pause = math.min(ROOM, pause * 2)
  end
end

--- Tasks for jobs that are to be submitted; those that are known here already are the same tasks. Each knows by how
-- many fibers it is being submitted.
local function expect(pool, jobs)
  local list, fresh = {}, {}
  for i, job in ipairs(jobs) do
    list[i] = pool.tasks[job.id]
    if not list[i] then
      list[i] = submission.task(pool, job.id)
      fresh[#fresh + 1] = job.id
    end
    list[i].submissions = (list[i].submissions or 0) + 1
  end
  if #fresh > 0 then
    pool.control:send("watch", fresh)
  end
  return list
end

--- Not all of them could be submitted: none is waited for, unless another fiber does, and those that were, do not run.
local function take_back(pool, jobs, list)
  local admitted = {}
  for i, task in ipairs(list) do
    if not task.is_accepted and task.submissions == 0 then
      pool.tasks[task.key] = nil
      pool.control:send("forget", task.key)
    end
    if jobs[i].answer == "N" then
      admitted[#admitted + 1] = task.key
    end
  end
  if #admitted > 0 then
    submission.ask(pool, "cancel", admitted)
  end
end

--- Submits jobs: their tasks; or nil, message, code, and none that is new is waited for.
local function submit_all(pool, jobs)
  if pool.is_closed then
    return nil, CLOSED, "CLOSED"
  end
  outcomes.look(pool) -- of those that nobody waits for, so that they do not pile up
  local list = expect(pool, jobs)
  local ok, message, code = submit(pool, jobs, pool.client)
  for _, task in ipairs(list) do
    task.submissions = task.submissions - 1
  end
  if ok and jobs[1].answer == "M" then
    ok, message, code = nil, "what it is to run after is not there: it never was, or its outcome has expired", "MISSING"
  end
  if not ok then
    take_back(pool, jobs, list)
    return nil, message, code
  end
  local ended = {}
  for i, task in ipairs(list) do
    task.is_accepted = true
    if jobs[i].answer == "E" then
      ended[#ended + 1] = task.key
    end
  end
  if #ended > 0 then
    pool.control:send("look", ended)
  end
  return list
end

--- The job of a call of a method; raises where that was called.
-- @param name the method's
local function job_of_call(pool, name, first, last, f, ...)
  local read, wrong = work.read(f, name)
  if not read then
    error(wrong, 4)
  end
  local job, fault = job_of(pool, read, terms_of(pool, read, first, last), ...)
  if not job then
    error(fault, 4)
  end
  return job
end

--- Submits one: its task; or nil, message, code. Errors are raised where the method that calls this was called.
-- @param name the method's
-- @param first a term that goes before the others, a delay
-- @param last one that goes behind them, what it runs after
function submission.one(pool, name, first, last, f, ...)
  local job = job_of_call(pool, name, first, last, f, ...)
  local list, message, code = submit_all(pool, { job })
  return list and list[1], message, code
end

--- The same of a job that nobody waits for: true; or nil, message, code.
function submission.post(pool, name, f, ...)
  local job = job_of_call(pool, name, nil, nil, f, ...)
  if pool.is_closed then
    return nil, CLOSED, "CLOSED"
  end
  local ok, message, code = submit(pool, { job }, "")
  return ok, message, code
end

--- Jobs of a function, in one call.
-- @param read what work.read gave
-- @param lists a list of lists of arguments with n
-- @return tasks; or nil, message, code. Raises where an argument cannot cross
function submission.lists(pool, read, lists)
  local jobs, terms = {}, terms_of(pool, read)
  for i, list in ipairs(lists) do
    local job, fault = job_of(pool, read, terms, unpack(list, 1, list.n))
    if not job then
      error(fault, 0)
    end
    jobs[i] = job
  end
  return submit_all(pool, jobs)
end

return submission
