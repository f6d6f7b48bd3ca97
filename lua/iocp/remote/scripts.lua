--- What happens in Redis: one script for each step of a job's life. Redis runs a script as a whole, and its append-only
-- file has all that it wrote or nothing of it, so a crash is always between two of them: each says why nothing is lost
-- there. Clocks are Redis' own. Every key begins with iocp:{queue}, so that a queue lies in one slot of a cluster.
--
-- iocp:{q}:high, :normal, :low   streams of ids, with one group, "workers"; what was taken is in the group's list of
--                                pending entries until it is acknowledged: that list is the leases
-- iocp:{q}:job:ID                a hash, the job: f function, a arguments, c who is to be told, p priority, r retries,
--                                b backoff, t timeout, e how long its outcome stays; s state, n how often it was taken,
--                                x how often it failed, k: it is to be cancelled, w what came of the job before it;
--                                when it has ended s and o alone, the outcome, which expires
-- iocp:{q}:due                   a sorted set: ids by when they are due
-- iocp:{q}:after:ID              a list: what runs after it
-- iocp:{q}:told:CLIENT           a stream of outcomes for who waits for them
-- iocp:{q}:dead                  a stream: jobs that failed for good
-- iocp:{q}:counts                a hash of counters
-- @module iocp.remote.scripts
local scripts = {}

local PRELUDE = [==[
local base, call = KEYS[1], redis.call
local STREAMS = { h = base .. ':high', n = base .. ':normal', l = base .. ':low' }
local ENDED = { completed = true, failed = true, cancelled = true }
local function job_of(id) return base .. ':job:' .. id end
local function count(name, by) call('HINCRBY', base .. ':counts', name, by or 1) end
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function queue(id, priority) call('XADD', STREAMS[priority or 'n'], '*', 'j', id) end
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
-- here. Who waits is told in the same step. A long outcome is not copied to the stream: who is told looks it up.
local SETTLE = [==[
local settle
local function follow(id, state, outcome)
  local list = base .. ':after:' .. id
  for _, next_id in ipairs(call('LRANGE', list, 0, -1)) do
    local about = call('HMGET', job_of(next_id), 's', 'p')
    if about[1] == 'waiting' and state == 'completed' then
      call('HSET', job_of(next_id), 'w', outcome)
      call('HDEL', job_of(next_id), 's')
      queue(next_id, about[2])
    elseif about[1] == 'waiting' then
      settle(next_id, 'cancelled', cmsgpack.pack(2, 'the job ' .. id .. ', which it was to run after, has ' ..
        (state == 'failed' and 'failed' or 'been cancelled'), 'CANCELLED'))
    end
  end
  call('DEL', list)
end
settle = function(id, state, outcome)
  local job = job_of(id)
  local about = call('HMGET', job, 'c', 'e', 'd')
  local stay = about[2] or 3600000
  call('HDEL', job, 'f', 'a', 'c', 'w', 'p', 'r', 'b', 't', 'k', 'd', 'e')
  call('HSET', job, 's', state, 'o', outcome)
  call('PEXPIRE', job, stay)
  count(state)
  for client in string.gmatch(about[1] or '', '%S+') do
    local told = base .. ':told:' .. client
    if #outcome <= 4096 then
      call('XADD', told, 'MAXLEN', '~', 100000, '*', 'j', id, 's', state, 'o', outcome)
    else
      call('XADD', told, 'MAXLEN', '~', 100000, '*', 'j', id, 's', state)
    end
    call('PEXPIRE', told, stay)
  end
  if about[3] then follow(id, state, outcome) end
end
local function bury(id, outcome)
  local about = call('HMGET', job_of(id), 'f', 'a', 'n')
  call('XADD', base .. ':dead', 'MAXLEN', '~', 10000, '*', 'j', id, 'f', about[1] or '', 'a', about[2] or '',
    'n', about[3] or '0', 'o', outcome)
  settle(id, 'failed', outcome)
end
]==]

-- ARGV: how many may be queued or ''; who is told, or ''; then id, function, arguments, terms of each job
-- ("d=1000;p=h": d, a delay, is the first; A, what it runs after, the last). The answer
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
  local about = call('HMGET', job_of(id), 's', 'c')
  if ENDED[about[1]] then return 'E' end
  local clients = about[2] or ''
  if client ~= '' and not string.find(clients, client, 1, true) then
    call('HSET', job_of(id), 'c', clients .. ' ' .. client)
  end
  return 'T'
end
local function wait_for(id, before, priority)
  local about = call('HMGET', job_of(before), 's', 'o')
  if about[1] == 'completed' then
    call('HSET', job_of(id), 'w', about[2])
    queue(id, priority)
  else
    call('HSET', job_of(id), 's', 'waiting')
    call('RPUSH', base .. ':after:' .. before, id)
    call('HSET', job_of(before), 'd', 1)
    if ENDED[about[1]] then follow(before, about[1], about[2]) end
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
    wait_for(id, before, t.p)
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
-- same step or by the read before it, and whoever takes it and dies has it taken over once its lease has ended.
scripts.take = PRELUDE .. SETTLE .. [==[
local worker, left, lease, deaths = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[5])
local taken = { -1 }
local function begin(level, entry, id)
  local about = call('HMGET', job_of(id), 'f', 'a', 't', 'w', 'n', 'x')
  if not about[1] then
    drop(level, entry)
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
  for _, value in ipairs { level, entry, id, about[1], about[2], about[3] or '', about[4] or '' } do
    taken[#taken + 1] = value
  end
end
local function promote(time)
  for _, id in ipairs(call('ZRANGEBYSCORE', base .. ':due', '-inf', time, 'LIMIT', 0, 500)) do
    call('ZREM', base .. ':due', id)
    if call('EXISTS', job_of(id)) == 1 then
      call('HDEL', job_of(id), 's')
      queue(id, call('HGET', job_of(id), 'p') or nil)
    end
  end
end
local function take_over(level)
  local claimed = call('XAUTOCLAIM', STREAMS[level], 'workers', worker, lease, '0', 'COUNT', left)[2]
  for _, entry in ipairs(claimed) do
    count('taken_over')
    begin(level, entry[1], entry[2][2])
  end
end
local function take(level)
  local read = call('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', left, 'STREAMS', STREAMS[level], '>')
  for _, entry in ipairs(read and read[1] and read[1][2] or {}) do
    begin(level, entry[1], entry[2][2])
  end
end
if call('EXISTS', base .. ':due') == 1 then
  local time = now()
  promote(time)
  local first = call('ZRANGE', base .. ':due', 0, 0, 'WITHSCORES')
  taken[1] = first[2] and math.max(0, first[2] - time) or -1
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
  local about = call('HMGET', job_of(id), 's', 'r', 'x', 'b', 'p', 'k')
  local had = drop(ARGV[i], ARGV[i + 1])
  if not about[1] or ENDED[about[1]] or not had and state ~= 'completed' then
    count('duplicates')
  elseif state == 'failed' and not about[6] and (tonumber(about[3]) or 0) < (tonumber(about[2]) or 0) then
    retry(id, about)
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
-- A worker without anything is forgotten. A crash: the job is pending before, and queued behind it.
scripts.give_back = PRELUDE .. [==[
for i = 2, #ARGV, 3 do
  local level, entry, id = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if #call('XPENDING', STREAMS[level], 'workers', entry, entry, 1, ARGV[1]) == 1 then
    drop(level, entry)
    if call('HEXISTS', job_of(id), 'f') == 1 then
      call('HDEL', job_of(id), 's')
      call('HINCRBY', job_of(id), 'n', -1)
      queue(id, call('HGET', job_of(id), 'p') or nil)
    end
  end
end
for _, stream in pairs(STREAMS) do
  if #call('XPENDING', stream, 'workers', '-', '+', 1, ARGV[1]) == 0 then
    redis.pcall('XGROUP', 'DELCONSUMER', stream, 'workers', ARGV[1])
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
  local about = call('HMGET', job_of(id), 's', 'f')
  if ENDED[about[1]] then
    answers[i] = 'E'
  elseif not about[2] then
    answers[i] = 'M'
  elseif about[1] == 'running' then
    call('HSET', job_of(id), 'k', 1)
    answers[i] = 'R'
  else
    call('ZREM', base .. ':due', id)
    settle(id, 'cancelled', cmsgpack.pack(2, 'the task was cancelled', 'CANCELLED'))
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
  local about = call('HMGET', job_of(ARGV[i]), 's', 'o', 'f', 'c')
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
