-- include: base, toWaiting
-- promote: delayed jobs of a queue that are due become waiting ones, in the order in which they fell due.
-- Answers the time of the next one, or nil; adds the ids to `changed` and the queue to `queues`.
local function promote(queue, now, limit, changed, queues)
  local delayed = P .. 'delayed:' .. queue
  local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(due) do
    local key = P .. 'job:' .. id
    local priority = redis.call('HGET', key, 'priority')
    if priority then
      redis.call('HSET', key, 'state', 'waiting', 'dueAt', 0, 'seq', toWaiting(id, queue, priority, nil))
      redis.call('HINCRBY', key, 'version', 1)
      changed[#changed + 1] = id
    end
  end
  if #due > 0 then
    redis.call('ZREM', delayed, unpack(due))
    queues[queue] = true
  end
  local head = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  return head[2] and tonumber(head[2])
end
