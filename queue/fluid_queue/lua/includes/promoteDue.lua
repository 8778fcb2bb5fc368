-- include: base, load, leave, start
-- promoteDue: delayed jobs of a queue that are due become waiting ones, in the order in which they fell due.
-- Answers the time of the next one, or nil.
local function promoteDue(queue, now, limit)
  local delayed = P .. 'delayed:' .. queue
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, limit)) do
    local job = load(id)
    if job and job.state == 'delayed' then
      leave(job, now)
      start(job, now)
    else
      redis.call('ZREM', delayed, id)
    end
  end
  local head = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  return head[2] and tonumber(head[2])
end
