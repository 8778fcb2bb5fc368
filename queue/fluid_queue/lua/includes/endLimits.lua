-- include: base, changes, unblock
-- endLimits: limits that are over go; jobs that stood aside for them come forward. Answers when the next one is over, or nil.
local function endLimits(now)
  for _, scope in ipairs(redis.call('ZRANGEBYSCORE', P .. 'limits', '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', P .. 'limits', scope)
    local queue, key = string.match(scope, '^key:([^:]+):(.+)$')
    if key then unblock(queue, 'key:' .. key, now) end
    changes.queues[queue or string.sub(scope, 7)] = true
  end
  local head = redis.call('ZRANGE', P .. 'limits', 0, 0, 'WITHSCORES')
  return head[2] and tonumber(head[2])
end
