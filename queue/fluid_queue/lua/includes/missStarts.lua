-- include: base, load, missStart
-- missStarts: jobs fail that had to start by now, whatever kept them waiting. Answers the next such time, or nil.
local function missStarts(now, limit)
  local key = P .. 'starting'
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, limit)) do
    local job = load(id)
    -- What an older version has started or held back is still in here.
    local waits = job and job.startBy and not job.startedAt and job.state ~= 'suspended' and not ENDED[job.state]
    if waits then missStart(job, now) else redis.call('ZREM', key, id) end
  end
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return head[2] and tonumber(head[2])
end
