-- include: base, changes, enter, count, gateFree, load
-- unblock: as many of the jobs that wait at a gate as may pass it now are waiting again, in their old places.
local function unblock(queue, gate, now)
  local key = P .. 'blocked:' .. queue .. ':' .. gate
  if redis.call('EXISTS', key) == 0 then
    redis.call('SREM', P .. 'gates', queue .. ':' .. gate)
    return
  end
  local free = gateFree(queue, gate, now)
  if free <= 0 then return end
  local found = redis.call('ZRANGE', key, 0, free - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local job = load(found[i])
    redis.call('ZREM', key, found[i])
    if job and job.state == 'blocked' then
      redis.call('ZREM', P .. 'blocked:' .. queue, job.id)
      count(job, 'blocked', -1)
      redis.call('HDEL', job.record, 'blockedBy')
      redis.call('SADD', P .. 'busy', queue)
      enter(job, 'waiting', tonumber(found[i + 1]))
      changes.queues[queue] = true
    end
  end
end
