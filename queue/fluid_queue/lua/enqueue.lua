--[[ enqueue: put jobs into their queues. Idempotent by id: a job that is there stays as it is, one that has ended tells its outcome.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")
           2.. fifteen for each job: id, queue, type, priority, due (ms of the server's clock, 0 = none), delay (ms), hash, replace (1 = a job
           that never started and has another hash or origin is replaced; in the same queue at the same priority it keeps its place), ack, keep (ms), attempt deadline (ms), active deadline (ms), seed ("<attempt>:<failures>"),
           origin (JSON), spec (JSON)
  RETURNS  a code for each job
  CODES    created   replaced   exists <state>   finished <state> <attempt> <startedAt> <finishedAt> <reason> <hash>   FENCED (error)
  EVENTS   created and replaced ids ]]
-- include: base, clock, fenced, hint, wake, toWaiting, forget, summary
local leader = ARGV[1]
local STRIDE = 15
local ENDED = {completed = true, failed = true, cancelled = true}

local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)
local codes, changed, filled, seen = {}, {}, {}, {}

-- What stands in the way of a new record under this id, as a code; nil when nothing does, then with the record that is replaced.
local function present(id, hash, replace, origin)
  local job = redis.call('HMGET', P .. 'job:' .. id, 'state', 'hash', 'startedAt', 'queue', 'priority', 'seq', 'origin')
  if not job[1] then
    local outcome = redis.call('HGET', P .. 'tombstones', id)
    return outcome and ('finished ' .. outcome)
  end
  if ENDED[job[1]] then return 'finished ' .. summary(id) end
  if replace == '1' and not job[3] and (job[2] ~= hash or job[7] ~= origin) then
    forget(id, job[4])
    return nil, {state = job[1], queue = job[4], priority = job[5], seq = tonumber(job[6])}
  end
  return 'exists ' .. job[1]
end

for i = 2, #ARGV, STRIDE do
  local id, queue, kind, priority = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local due, delay, hash, replace = tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5]), ARGV[i + 6], ARGV[i + 7]
  local ack, keep, attemptDeadline, activeDeadline = ARGV[i + 8], ARGV[i + 9], ARGV[i + 10], ARGV[i + 11]
  local attempt, failures = string.match(ARGV[i + 12], '^(%d+):(%d+)$')
  local origin, spec = ARGV[i + 13], ARGV[i + 14]

  local code, replaced = present(id, hash, replace, origin)
  if not code then
    local key = P .. 'job:' .. id
    if not seen[queue] then redis.call('SADD', P .. 'queues', queue); seen[queue] = true end
    if delay > 0 then due = math.max(due, now + delay) end
    local state, seq = 'waiting', 0
    if due > now then
      state = 'delayed'
      redis.call('ZADD', P .. 'delayed:' .. queue, due, id)
      redis.call('SADD', P .. 'busy', queue)
    else
      due = 0
      local stays = replaced and replaced.state == 'waiting' and replaced.queue == queue and replaced.priority == priority
      seq = toWaiting(id, queue, priority, stays and replaced.seq or nil)
    end
    redis.call('HSET', key, 'queue', queue, 'type', kind, 'priority', priority, 'seq', seq, 'spec', spec, 'origin', origin, 'hash', hash,
      'attemptDeadline', attemptDeadline, 'activeDeadline', activeDeadline, 'keep', keep, 'ack', ack,
      'state', state, 'createdAt', now, 'dueAt', due, 'attempt', attempt, 'failures', failures)
    redis.call('HINCRBY', key, 'version', 1)
    if ack == '1' then redis.call('ZADD', P .. 'unacknowledged', now, id) end
    filled[queue] = true
    changed[#changed + 1] = id
    code = replaced and 'replaced' or 'created'
  end
  codes[#codes + 1] = code
end

-- A delayed job wakes a sleeper too: it may fall due before the time that the sleeper waits for.
wake(filled)
hint(changed)
return codes
