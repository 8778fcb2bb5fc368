-- include: base, exact, noteAttempt, endJob, handBack
-- takeBack: jobs whose lease ran out wait again, or end: cancelled if that was asked, failed at the last stall allowed.
-- Adds the ids to `changed` and the queues that got work to `queues`.
local function takeBack(now, limit, maxStalled, changed, queues)
  local lost = redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(lost) do
    local key = P .. 'job:' .. id
    local job = redis.call('HMGET', key, 'queue', 'stop')
    if job[1] then
      local stalls = redis.call('HINCRBY', key, 'stalls', 1)
      if job[2] == 'cancel' then
        endJob(id, now, 'cancelled', 'Cancelled', {})
      elseif stalls >= maxStalled then
        local error = '{"type":"Stalled","message":"the worker vanished ' .. exact(stalls)
          .. ' times while it ran this job","attempt":' .. redis.call('HGET', key, 'attempt') .. '}'
        endJob(id, now, 'failed', 'Stalled', {'error', error})
      else
        noteAttempt(id, now, 'Stalled', '')
        handBack(id, job[1])
        queues[job[1]] = true
      end
      changed[#changed + 1] = id
    else
      redis.call('ZREM', P .. 'leases', id)
    end
  end
end
