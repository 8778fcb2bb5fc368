-- include: base, changes, count, removeLater, setting, unblock
-- leave: take a job out of the index of its state; what waited for its place may come forward.
local function leave(job, now)
  local queue, state = job.queue, job.state
  count(job, state, -1)
  if state == 'active' then
    removeLater(P .. 'active:' .. queue, job.id)
    removeLater(P .. 'leases', job.id)
  else
    redis.call('ZREM', P .. state .. ':' .. queue, job.id)
    if state == 'waiting-children' then redis.call('ZREM', P .. 'leases', job.id) end
  end
  if state == 'active' and setting(queue).concurrency then changes.queues[queue] = true end
  if state == 'blocked' then
    local gate = redis.call('HGET', job.record, 'blockedBy')
    redis.call('ZREM', P .. 'blocked:' .. queue .. ':' .. (gate or ''), job.id)
    redis.call('HDEL', job.record, 'blockedBy')
  else
    for _, gate in ipairs(job.gates) do
      if state == 'active' then redis.call('SREM', P .. 'holders:' .. queue .. ':' .. gate, job.id) end
      -- Also when it only waited: it may have been the one that was called forward.
      unblock(queue, gate, now)
    end
  end
end
