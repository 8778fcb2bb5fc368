--[[ finish: end attempts. Only the holder of the lease may; the same epoch twice is answered as done, so a lost answer does no harm.
  KEYS     1 prefix of the key space
  ARGV     1.. seven for each job: id, epoch, outcome, reason, delay (ms), result (JSON or ""), error (JSON or "")
           outcomes: completed; failed; retry (counts, waits delay); postponed (counts not, waits delay); released (counts not, old place);
           stopped (the handler obeyed a stop: cancelled, or released if nobody asks any more)
  RETURNS  a code for each job
  CODES    done   again   stale   gone
  EVENTS   done ids ]]
-- include: base, clock, exact, hint, wake, endJob, handBack, noteAttempt, evenAtMaxmemory
local STRIDE = 7

evenAtMaxmemory()
local now = math.floor(clock() / 1000)
local codes, changed, filled = {}, {}, {}

local function release(id, queue)
  local key = P .. 'job:' .. id
  if redis.call('HINCRBY', key, 'attempt', -1) == 0 then redis.call('HDEL', key, 'startedAt') end
  handBack(id, queue)
  filled[queue] = true
end

local function delay(id, queue, ms, failures)
  local key = P .. 'job:' .. id
  redis.call('ZREM', P .. 'active:' .. queue, id)
  redis.call('ZREM', P .. 'leases', id)
  redis.call('ZADD', P .. 'delayed:' .. queue, now + ms, id)
  redis.call('SADD', P .. 'busy', queue)
  redis.call('HSET', key, 'state', 'delayed', 'dueAt', exact(now + ms))
  redis.call('HINCRBY', key, 'failures', failures)
  redis.call('HINCRBY', key, 'version', 1)
  filled[queue] = true
end

for i = 1, #ARGV, STRIDE do
  local id, epoch, outcome, reason = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local ms, result, error = tonumber(ARGV[i + 4]), ARGV[i + 5], ARGV[i + 6]
  local key = P .. 'job:' .. id
  local job = redis.call('HMGET', key, 'state', 'epoch', 'queue', 'stop')
  local code = 'done'
  if not job[1] then
    code = 'gone'
  elseif job[2] ~= epoch then
    code = 'stale'
  elseif job[1] == 'waiting' and outcome == 'completed' then
    -- Its lease ran out and nobody has taken it over: the work is done, so it is not done again.
    endJob(id, now, 'completed', reason, result ~= '' and {'result', result} or {})
  elseif job[1] ~= 'active' then
    code = 'again'
  elseif outcome == 'completed' then
    endJob(id, now, 'completed', reason, result ~= '' and {'result', result} or {})
  elseif (outcome == 'stopped' or outcome == 'released') and job[4] == 'cancel' then
    endJob(id, now, 'cancelled', 'Cancelled', {})
  elseif outcome == 'stopped' or outcome == 'released' then
    release(id, job[3])
  else
    if error ~= '' then redis.call('HSET', key, 'error', error) end
    if job[4] == 'cancel' then
      endJob(id, now, 'cancelled', 'Cancelled', {})
    elseif outcome == 'failed' then
      endJob(id, now, 'failed', reason, {})
    else
      noteAttempt(id, now, reason, error)
      delay(id, job[3], ms, outcome == 'retry' and 1 or 0)
    end
  end
  if code == 'done' then changed[#changed + 1] = id end
  codes[#codes + 1] = code
end

wake(filled)
hint(changed)
return codes
