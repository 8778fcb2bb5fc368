-- include: base, load, endJob, askToStop, stopIndexes, touch
-- cancelOne: end a waiting job now, ask the worker of a running one to stop. With the reason Withdrawn, what has started is left alone.
-- Answers a code of `cancel`; knows nothing of children.
local function runs(job, now)
  if job.state == 'waiting-children' then return job.startedAt ~= false end
  if job.state ~= 'active' then return false end
  local lease = redis.call('ZSCORE', P .. 'leases', job.id)
  return lease and tonumber(lease) > now
end

local function cancelOne(id, reason, now)
  local job = load(id)
  if not job then return 'gone' end
  if ENDED[job.state] then return 'finished ' .. job.state end
  if reason == 'Withdrawn' and runs(job, now) then return 'active' end
  if job.completions and job.state == 'waiting-children' then
    if stopIndexes(job, 'cancel', now) > 0 then return 'stopping' end
  elseif job.state == 'waiting-children' then
    redis.call('HSET', job.record, 'stop', 'cancel') -- its children decide when
    touch(id)
    return 'stopping'
  elseif runs(job, now) then
    askToStop(job, 'cancel')
    return 'stopping'
  end
  endJob(job, now, 'cancelled', reason, {})
  return 'cancelled'
end
