--- What happens in Redis: one script for each step of a job's life. Redis runs a script as a whole, and its append-only
-- file has all that it wrote or nothing of it, so a crash is always between two of them: each says why nothing is lost
-- there. Clocks are Redis' own. Every key begins with iocp:{queue}, so that a queue lies in one slot of a cluster.
--
-- iocp:{q}:high, :normal, :low   streams of ids, with one group, "workers"; what was taken is in the group's list of
--                                pending entries until it is acknowledged: that list is the leases
-- iocp:{q}:job:ID                a hash, the job: f function, a arguments, c who is to be told, p priority, r retries,
--                                b backoff, t timeout, e how long its outcome stays; s state, n how often it was taken,
--                                x how often it failed, k: it is to be cancelled, d: others run after it; m: it runs
--                                after another, c if that did not complete, f whatever came of it; w what it is called
--                                with of what came of that, v and q the state and outcome that it ends with, as that;
--                                when it has ended s and o alone, the outcome, and y, the error that it was cancelled
--                                for, if there is one; it expires
-- iocp:{q}:due                   a sorted set: ids by when they are due
-- iocp:{q}:after:ID              a list: what runs after it
-- iocp:{q}:told:CLIENT           a stream of outcomes for who waits for them
-- iocp:{q}:dead                  a stream: jobs that failed for good
-- iocp:{q}:counts                a hash of counters
-- iocp:{q}:scan                  a hash: by stream where the next look for leases that have ended begins
--
-- Who can write to Redis can put anything there. What is of another type than it should be is as if it was not there.
-- @module iocp.remote.scripts
local scripts = {}

local PRELUDE = [==[
local base, call = KEYS[1], redis.call
local STREAMS = { h = base .. ':high', n = base .. ':normal', l = base .. ':low' }
local ENDED = { completed = true, failed = true, cancelled = true }
local function job_of(id) return base .. ':job:' .. id end
local function read(id, ...)
  local about = redis.pcall('HMGET', job_of(id), ...)
  return about.err and {} or about
end
local function count(name, by) redis.pcall('HINCRBY', base .. ':counts', name, by or 1) end
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function queue(id, priority) call('XADD', STREAMS[priority] or STREAMS.n, '*', 'j', id) end
local function group()
  for _, stream in pairs(STREAMS) do redis.pcall('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM') end
end
local function drop(level, entry)
  local had = call('XACK', STREAMS[level], 'workers', entry)
  call('XDEL', STREAMS[level], entry)
  return had == 1
end
]==]

-- Ends a job: the only place that writes an outcome, and only its callers, which have seen that there is none yet, come
-- here. Who waits is told in the same step. A long outcome is not copied to the stream: who is told looks it up. What
-- runs after the job is seen to one by one, not by recursion: such a chain may be longer than a stack.
local SETTLE = [==[
local CANCELLED = cmsgpack.pack(2, 'the task was cancelled', 'CANCELLED')
local followed = {}
local function tell(client, id, state, outcome, stay)
  local told = base .. ':told:' .. client
  if #outcome <= 4096 then
    redis.pcall('XADD', told, 'MAXLEN', '~', 100000, '*', 'j', id, 's', state, 'o', outcome)
  else
    redis.pcall('XADD', told, 'MAXLEN', '~', 100000, '*', 'j', id, 's', state)
  end
  call('PEXPIRE', told, stay)
end
local function record(id, state, outcome, cause)
  local about = read(id, 'c', 'e', 'd')
  local stay = string.format('%.0f', math.max(1, math.min(tonumber(about[2]) or 3600000, 1e15)))
  call('DEL', job_of(id))
  call('HSET', job_of(id), 's', state, 'o', outcome)
  if cause then call('HSET', job_of(id), 'y', cause) end
  call('PEXPIRE', job_of(id), stay)
  count(state)
  for client in string.gmatch(about[1] or '', '%S+') do tell(client, id, state, outcome, stay) end
  if about[3] then followed[#followed + 1] = { id, state, outcome, cause } end
end
local function start(id, priority, ...)
  call('HSET', job_of(id), ...)
  call('HDEL', job_of(id), 's')
  queue(id, priority)
end
local function follow(id, next_id, state, outcome, cause)
  local about = read(next_id, 's', 'p', 'm')
  if about[1] ~= 'waiting' then return end
  local cancelled = not about[3] and state ~= 'completed'
  if cancelled then
    record(next_id, 'cancelled', cmsgpack.pack(2, 'the job ' .. id .. ', which it was to run after, has ' ..
      (state == 'failed' and 'failed' or 'been cancelled'), 'CANCELLED'), cause or outcome)
  elseif not about[3] then
    start(next_id, about[2], 'w', outcome)
  elseif about[3] == 'f' then
    if cause then call('HSET', job_of(next_id), 'y', cause) end
    start(next_id, about[2], 'v', state, 'q', outcome)
  elseif state == 'completed' then
    record(next_id, state, outcome)
  else
    local said = cause or outcome
    if string.byte(said) == 2 then said = '\3' .. string.sub(said, 2) .. '\192' end -- no error value: nil
    start(next_id, about[2], 'w', said)
  end
end
local function follow_all()
  while #followed > 0 do
    local id, state, outcome, cause = unpack(table.remove(followed), 1, 4)
    local list = base .. ':after:' .. id
    local waiting = redis.pcall('LRANGE', list, 0, -1)
    for _, next_id in ipairs(waiting.err and {} or waiting) do follow(id, next_id, state, outcome, cause) end
    call('DEL', list)
  end
end
local function settle(id, state, outcome, cause)
  record(id, state, outcome, cause)
  follow_all()
end
local function bury(id, outcome)
  local about = read(id, 'f', 'a', 'n')
  redis.pcall('XADD', base .. ':dead', 'MAXLEN', '~', 10000, '*', 'j', id, 'f', about[1] or '', 'a', about[2] or '',
    'n', about[3] or '0', 'o', outcome)
  settle(id, 'failed', outcome)
end
]==]

-- ARGV: how many may be queued or ''; who is told, or ''; then id, function, arguments, terms of each job
-- ("d=1000;p=h": d, a delay, is the first; A, what it runs after, the last, with m before it). The answer
-- has a letter for each: N it is new, T it was there, E that has ended, F there is no room, M what it is to run after
-- is not there.
-- A crash: before it nothing is there, behind it the job is, and is queued, due, or listed with what it runs after. The
-- caller that got no answer submits the same id again, and is told T.
scripts.submit = PRELUDE .. SETTLE .. [==[
local room, client, answers = math.huge, ARGV[2], {}
if ARGV[1] ~= '' then
  group()
  room = tonumber(ARGV[1])
  for _, stream in pairs(STREAMS) do
    room = room - call('XLEN', stream) + call('XPENDING', stream, 'workers')[1]
  end
end
local function known(id)
  local about = read(id, 's', 'c')
  if ENDED[about[1]] then return 'E' end
  local clients = about[2] or ''
  if client ~= '' and not string.find(clients, client, 1, true) then
    call('HSET', job_of(id), 'c', clients .. ' ' .. client)
  end
  return 'T'
end
local function wait_for(id, before)
  local about = read(before, 's', 'o', 'y')
  call('HSET', job_of(id), 's', 'waiting')
  if ENDED[about[1]] then
    follow(before, id, about[1], about[2] or '', about[3])
    follow_all()
  else
    call('RPUSH', base .. ':after:' .. before, id)
    call('HSET', job_of(before), 'd', 1)
  end
end
local added = 0
local function add(id, f, arguments, terms)
  local fields, t = { 'f', f, 'a', arguments }, {}
  if client ~= '' then fields[5], fields[6] = 'c', client end
  local at = string.find(terms, 'A=', 1, true)
  local before = at and string.sub(terms, at + 2)
  for name, value in string.gmatch(string.sub(terms, 1, (at or 0) - 1), '(%l)=([^;]*)') do
    t[name] = value
    if name ~= 'd' then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  if before and call('EXISTS', job_of(before)) == 0 then return 'M' end
  if t.d then
    fields[#fields + 1] = 's'
    fields[#fields + 1] = 'delayed'
  end
  call('HSET', job_of(id), unpack(fields))
  if t.d then
    call('ZADD', base .. ':due', now() + t.d, id)
  elseif before then
    wait_for(id, before)
  else
    queue(id, t.p)
    room = room - 1
  end
  added = added + 1
  return 'N'
end
for i = 3, #ARGV, 4 do
  local id = ARGV[i]
  if call('EXISTS', job_of(id)) == 1 then
    answers[#answers + 1] = known(id)
  elseif room < 1 and not string.find(ARGV[i + 3], '^d=') and not string.find(ARGV[i + 3], 'A=', 1, true) then
    answers[#answers + 1] = 'F'
  else
    answers[#answers + 1] = add(id, ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
  end
end
if added > 0 then count('submitted', added) end
return table.concat(answers)
]==]

-- ARGV: the worker; how many at most; the lease in ms; '1' to look for leases that have ended; how many workers may die
-- of a job; the order of the streams; then level, entry, id of what a blocking read has taken already. Returns ms until
-- the next delayed job is due, or -1; then level, entry, id, function, arguments, timeout, what came before, of each.
-- A crash: what is due is in the sorted set until the same step queues it. What is taken is in the pending list, in the
-- same step or by the read before it, and whoever takes it and dies has it taken over once its lease has ended. A look
-- goes on where the one before it, whoever's that was, has stopped: one sees ten entries for each job that it may take,
-- ten times, and the first of the list may be long jobs whose leases are kept.
scripts.take = PRELUDE .. SETTLE .. [==[
local worker, left, lease, deaths = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[5])
local taken = { -1 }
local function begin(level, entry, id)
  local about = read(id, 'f', 'a', 't', 'w', 'n', 'x', 'k')
  if not about[1] or about[7] then
    drop(level, entry)
    if about[1] then settle(id, 'cancelled', CANCELLED) end
    return
  end
  local n, x = (tonumber(about[5]) or 0) + 1, tonumber(about[6]) or 0
  call('HSET', job_of(id), 's', 'running', 'n', n)
  if n - 1 - x >= deaths then
    drop(level, entry)
    count('poisoned')
    bury(id, cmsgpack.pack(2, about[1] .. ': ' .. (n - 1 - x) ..
      ' workers that ran it ended, or lost their lease, before it did', 'DIED'))
    return
  end
  left = left - 1
  for _, value in ipairs { level, entry, id, about[1], about[2] or '', about[3] or '', about[4] or '' } do
    taken[#taken + 1] = value
  end
end
local function promote(time)
  for _, id in ipairs(call('ZRANGEBYSCORE', base .. ':due', '-inf', time, 'LIMIT', 0, 500)) do
    call('ZREM', base .. ':due', id)
    local about = read(id, 's', 'p')
    if about[1] == 'delayed' then
      call('HDEL', job_of(id), 's')
      queue(id, about[2])
    end
  end
end
local function take_over(level)
  local from, looks = redis.pcall('HGET', base .. ':scan', level), 0
  if type(from) ~= 'string' or not string.find(from, '^%d+%-%d+$') then from = '0-0' end
  repeat
    local claimed = call('XAUTOCLAIM', STREAMS[level], 'workers', worker, lease, from, 'COUNT', left)
    from, looks = claimed[1], looks + 1
    for _, entry in ipairs(claimed[2]) do
      count('taken_over')
      begin(level, entry[1], entry[2][2])
    end
  until left < 1 or looks == 10 or from == '0-0'
  redis.pcall('HSET', base .. ':scan', level, from)
end
local function take(level)
  local read = call('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', left, 'STREAMS', STREAMS[level], '>')
  for _, entry in ipairs(read and read[1] and read[1][2] or {}) do
    begin(level, entry[1], entry[2][2])
  end
end
if call('TYPE', base .. ':due').ok == 'zset' then
  local time = now()
  promote(time)
  local first = call('ZRANGE', base .. ':due', 0, 0, 'WITHSCORES')
  taken[1] = first[2] and math.max(0, math.min(first[2] - time, 1e9)) or -1
end
if ARGV[4] == '1' then group() end
for i = 7, #ARGV, 3 do begin(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
for level in string.gmatch(ARGV[6], '%a') do
  if left > 0 and ARGV[4] == '1' then take_over(level) end
end
for level in string.gmatch(ARGV[6], '%a') do
  if left > 0 then take(level) end
end
return taken
]==]

-- ARGV: level, entry, id, state (also "refused": failed, whatever retries it has), outcome of each job.
-- A crash: before it the job is pending, and is run again once the lease has ended; behind it the outcome is there. The
-- worker that got no answer sends it again, and is one whose outcome is not the first. A failure counts only while its
-- entry is pending, so that it is retried once.
scripts.finish = PRELUDE .. SETTLE .. [==[
local function retry(id, about)
  local x = (tonumber(about[3]) or 0) + 1
  local delay = (tonumber(about[4]) or 0) * 2 ^ (x - 1)
  call('HSET', job_of(id), 'x', x)
  count('retried')
  if delay > 0 then
    call('HSET', job_of(id), 's', 'delayed')
    call('ZADD', base .. ':due', now() + delay, id)
  else
    call('HDEL', job_of(id), 's')
    queue(id, about[5])
  end
end
for i = 1, #ARGV, 5 do
  local id, state, outcome = ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local about = read(id, 's', 'r', 'x', 'b', 'p', 'k', 'v', 'q', 'y')
  local had = drop(ARGV[i], ARGV[i + 1])
  if not about[1] or ENDED[about[1]] or not had and state ~= 'completed' then
    count('duplicates')
  elseif state == 'failed' and not about[6] and (tonumber(about[3]) or 0) < (tonumber(about[2]) or 0) then
    retry(id, about)
  elseif state == 'completed' and ENDED[about[7]] then
    settle(id, about[7], about[8] or '', about[9] or nil)
  elseif state == 'completed' or state == 'cancelled' then
    settle(id, state, outcome)
  else
    if state == 'refused' then count('refused') end
    bury(id, outcome)
  end
end
return 1
]==]

-- ARGV: the worker; then level, entry, id of what it has. Its leases begin anew, but of those that others took over. A
-- letter for each: L lost, C it is to be cancelled, 1 else. A crash: a lease is what it was, or begins anew.
scripts.beat = PRELUDE .. [==[
local answers = {}
for i = 2, #ARGV, 3 do
  local stream, entry = STREAMS[ARGV[i]], ARGV[i + 1]
  if #call('XPENDING', stream, 'workers', entry, entry, 1, ARGV[1]) == 0 then
    answers[#answers + 1] = 'L'
  else
    call('XCLAIM', stream, 'workers', ARGV[1], 0, entry, 'JUSTID')
    answers[#answers + 1] = call('HEXISTS', job_of(ARGV[i + 2]), 'k') == 1 and 'C' or '1'
  end
end
return table.concat(answers)
]==]

-- ARGV: the worker; then level, entry, id of what it has and does not run: queued again, as if it had not been taken.
-- A worker without anything is forgotten, and those that were killed an hour ago with it.
-- A crash: the job is pending before, and queued behind it.
scripts.give_back = PRELUDE .. [==[
for i = 2, #ARGV, 3 do
  local level, entry, id = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if #call('XPENDING', STREAMS[level], 'workers', entry, entry, 1, ARGV[1]) == 1 then
    drop(level, entry)
    local about = read(id, 'f', 'n', 'p')
    if about[1] then
      call('HSET', job_of(id), 'n', (tonumber(about[2]) or 1) - 1)
      call('HDEL', job_of(id), 's')
      queue(id, about[3])
    end
  end
end
for _, stream in pairs(STREAMS) do
  local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, 'workers')
  for _, one in ipairs(consumers.err and {} or consumers) do
    if one[4] == 0 and (one[2] == ARGV[1] or one[6] > 3600000) then
      redis.pcall('XGROUP', 'DELCONSUMER', stream, 'workers', one[2])
    end
  end
end
return 1
]==]

-- ARGV: ids. A letter for each: Y it is cancelled, R it runs and its worker is asked to end it, E it had ended, M it is
-- not there. The entry of one that was queued stays, and whoever takes it finds no job in it. A crash: it is cancelled,
-- or it is not.
scripts.cancel = PRELUDE .. SETTLE .. [==[
local answers = {}
for i, id in ipairs(ARGV) do
  local about = read(id, 's', 'f')
  if ENDED[about[1]] then
    answers[i] = 'E'
  elseif not about[2] then
    answers[i] = 'M'
  elseif about[1] == 'running' then
    call('HSET', job_of(id), 'k', 1)
    answers[i] = 'R'
  else
    call('ZREM', base .. ':due', id)
    settle(id, 'cancelled', CANCELLED)
    answers[i] = 'Y'
  end
end
return table.concat(answers)
]==]

-- ARGV: who is to be told of what has not ended, or ''; then ids. id, state, outcome of each; "missing": it is not
-- there. Changes nothing but who is told.
scripts.look = PRELUDE .. [==[
local found, client = {}, ARGV[1]
for i = 2, #ARGV do
  local about = read(ARGV[i], 's', 'o', 'f', 'c')
  local state = about[1] or (about[3] and 'scheduled') or 'missing'
  if about[3] and client ~= '' and not string.find(about[4] or '', client, 1, true) then
    call('HSET', job_of(ARGV[i]), 'c', (about[4] or '') .. ' ' .. client)
  end
  for _, value in ipairs { ARGV[i], state, about[2] or '' } do found[#found + 1] = value end
end
return found
]==]

-- name, number, name, number ...: what there is of the queue. Changes nothing.
scripts.stats = PRELUDE .. [==[
local found = call('HGETALL', base .. ':counts')
local queued, active = 0, 0
for _, stream in pairs(STREAMS) do
  local pending = redis.pcall('XPENDING', stream, 'workers')
  pending = pending.err and 0 or pending[1]
  queued, active = queued + call('XLEN', stream) - pending, active + pending
end
for name, value in pairs { queued = queued, active = active, delayed = call('ZCARD', base .. ':due'),
    dead = call('XLEN', base .. ':dead') } do
  found[#found + 1] = name
  found[#found + 1] = tostring(value)
end
return found
]==]

return scripts
