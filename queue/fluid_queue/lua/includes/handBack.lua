-- include: base, toWaiting
-- handBack: an active job goes back to its old place in the queue, under a state that claims can see.
local function handBack(id, queue)
  local key = P .. 'job:' .. id
  local job = redis.call('HMGET', key, 'priority', 'seq')
  redis.call('ZREM', P .. 'active:' .. queue, id)
  redis.call('ZREM', P .. 'leases', id)
  toWaiting(id, queue, job[1], tonumber(job[2]))
  redis.call('HSET', key, 'state', 'waiting', 'dueAt', 0)
  redis.call('HDEL', key, 'stop', 'deadlineAt')
  redis.call('HINCRBY', key, 'version', 1)
end
