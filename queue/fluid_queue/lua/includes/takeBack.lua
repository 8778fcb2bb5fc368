-- include: base, exact, load, noteAttempt, endJob, handBack, stopIndexes, cancelAll
-- takeBack: jobs whose lease ran out wait again, or end: cancelled if that was asked, failed at the last stall allowed. Jobs that wait for
-- children or indexes stand among the leases with their deadline.
local function overdue(job, now)
  if not job.completions then
    local left = {}
    local children = redis.call('HGETALL', P .. 'children:' .. job.id)
    for k = 1, #children, 2 do
      if children[k + 1] == '' then left[#left + 1] = children[k] end
    end
    endJob(job, now, 'failed', 'DeadlineExceeded', {})
    cancelAll(left, 'Cancelled', now)
  elseif job.stop then
    redis.call('ZREM', P .. 'leases', job.id)
  elseif stopIndexes(job, 'fail DeadlineExceeded', now) == 0 then
    endJob(job, now, 'failed', 'DeadlineExceeded', {})
  else
    redis.call('ZREM', P .. 'leases', job.id)
  end
end

local function takeBack(now, limit, maxStalled)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', now, 'LIMIT', 0, limit)) do
    local job = load(id)
    if job and job.state == 'waiting-children' then
      overdue(job, now)
    elseif not job or job.state ~= 'active' then
      redis.call('ZREM', P .. 'leases', id)
    else
      local stalls = redis.call('HINCRBY', job.record, 'stalls', 1)
      if job.stop == 'cancel' then
        endJob(job, now, 'cancelled', 'Cancelled', {})
      elseif job.index and job.stop then
        endJob(job, now, 'released', '', {})
      elseif stalls >= maxStalled then
        local error = '{"type":"Stalled","message":"the worker vanished ' .. exact(stalls)
          .. ' times while it ran this job","attempt":' .. job.attempt .. '}'
        endJob(job, now, 'failed', 'Stalled', {'error', error})
      else
        noteAttempt(job, now, 'Stalled', '')
        handBack(job, now)
      end
    end
  end
end
