--[[ finish: end attempts. Only the holder of the lease may; the same epoch twice is answered as done, so a lost answer does no harm.
  KEYS     1 prefix of the key space
  ARGV     1 a line for each job, eight words: id, epoch, outcome, reason or -, delay (ms), scope or - (what is limited for the delay: "queue" or
           "key"), 1 if there is a result else 0, 1 if there is an error else 0   2.. these results (bytes) and errors (JSON), in order
           outcomes: completed; failed; retry (counts, waits delay); postponed (counts not, waits delay); released (counts not, old place);
           stopped (the handler obeyed a stop: cancelled or suspended, or released if nobody asks any more)
  RETURNS  a code for each job
  CODES    done   again   stale   gone
  EVENTS   done ids ]]
-- include: base, clock, exact, load, leave, endJob, enter, toDelayed, release, noteAttempt, measure, setting, circuitSuccess, circuitFailure, limitScope, evenAtMaxmemory, publish, changes, settle, loadPlain
local LINE = '(%S+) (%d+) (%a+) (%S+) (%d+) (%S+) ([01]) ([01])'

local full = evenAtMaxmemory()
local now = math.floor(clock() / 1000)
local codes = {}

local function complete(job, reason, result)
  if full and result ~= '' then result = '' end -- every job would leave one behind, and Redis has no room
  local fields = result ~= '' and {'result', result} or {}
  if setting(job.queue).circuitBreaker then circuitSuccess(job.queue) end
  if not job.children then
    endJob(job, now, 'completed', reason, fields)
    return
  end
  local v = redis.call('HMGET', job.record, 'children', 'childrenSucceeded', 'childrenFailed', 'activeDeadline')
  local failed = tonumber(v[3] or '0')
  if tonumber(v[2] or '0') + failed >= tonumber(v[1]) then
    endJob(job, now, failed > 0 and 'failed' or 'completed', failed > 0 and 'ChildFailed' or reason, fields)
    return
  end
  leave(job, now)
  redis.call('HDEL', job.record, 'deadlineAt')
  if job.stop == 'suspend' then redis.call('HDEL', job.record, 'stop') end -- its own work is done
  enter(job, 'waiting-children', now, unpack(fields))
  local deadline = tonumber(v[4] or '0')
  if deadline > 0 then
    settle(now) -- takes the lease out, in whose place the deadline comes
    redis.call('ZADD', P .. 'leases', exact(tonumber(job.startedAt or now) + deadline), job.id)
    changes.queues[job.queue] = true -- somebody has to wake up for it
  end
end

local function delay(job, ms, failures, reason, error)
  noteAttempt(job, now, reason, error)
  leave(job, now)
  local counted = exact(tonumber(job.failures) + failures)
  if job.stop == 'suspend' then
    redis.call('HDEL', job.record, 'stop', 'startedAt', 'deadlineAt')
    enter(job, 'suspended', now, 'dueAt', exact(now + ms), 'failures', counted)
  else
    toDelayed(job, now + ms, 'failures', counted)
  end
end

-- Handler and script agree that this attempt did not succeed.
local function fail(job, outcome, reason, ms, error, scope)
  local breaker = setting(job.queue).circuitBreaker
  local wait = breaker and (outcome == 'retry' or reason == 'BackoffLimitExceeded') and circuitFailure(job.queue, breaker, error, now)
  if wait then
    delay(job, math.max(wait, outcome == 'retry' and ms or 0), 0, 'CircuitOpen', error)
  elseif outcome == 'failed' then
    endJob(job, now, 'failed', reason, {})
  elseif outcome == 'retry' then
    delay(job, ms, 1, reason, error)
  else
    local key = redis.call('HGET', job.record, 'key')
    if scope == 'queue' then limitScope('queue:' .. job.queue, now + ms) end
    if scope == 'key' and key and key ~= '' then limitScope('key:' .. job.queue .. ':' .. key, now + ms) end
    delay(job, ms, 0, reason, error)
  end
end

local value = 1
local function valueIf(flag)
  if flag == '0' then return '' end
  value = value + 1
  return ARGV[value]
end

for id, epoch, outcome, reason, delayed, scope, hasResult, hasError in string.gmatch(ARGV[1], LINE) do
  local ms, result, error = tonumber(delayed), valueIf(hasResult), valueIf(hasError)
  local job = outcome == 'completed' and loadPlain(id) or load(id)
  local code = 'done'
  if not job then
    code = 'gone'
  elseif job.epoch ~= epoch then
    code = 'stale'
  elseif (job.state == 'waiting' or job.state == 'blocked' or job.state == 'suspended') and outcome == 'completed' then
    -- Its lease ran out and nobody has taken it over: the work is done, so it is not done again.
    complete(job, reason, result)
  elseif job.state ~= 'active' then
    code = 'again'
  else
    measure(job, 'run', now - tonumber(job.claimedAt))
    if outcome == 'completed' then
      complete(job, reason, result)
    elseif job.stop == 'cancel' and not job.index then
      if error ~= '' then redis.call('HSET', job.record, 'error', error) end
      endJob(job, now, 'cancelled', 'Cancelled', {})
    elseif outcome == 'stopped' or outcome == 'released' then
      release(job, now)
    else
      if error ~= '' then redis.call('HSET', job.record, 'error', error) end
      if job.index and job.stop then
        release(job, now)
      else
        fail(job, outcome, reason, ms, error, scope)
      end
    end
  end
  codes[#codes + 1] = code
end

publish(now)
return codes
