-- include: base, load, touch
-- endChild: a child has ended; its parent counts it. Answers the parent with state and reason when it waited only for this one.
local function endChild(job, state)
  local children = P .. 'children:' .. job.parent
  if redis.call('HGET', children, job.id) ~= '' then return nil end
  redis.call('HSET', children, job.id, state)
  local record = P .. 'job:' .. job.parent
  redis.call('HINCRBY', record, state == 'completed' and 'childrenSucceeded' or 'childrenFailed', 1)
  touch(job.parent)
  local parent = load(job.parent)
  if not parent or parent.state ~= 'waiting-children' then return nil end
  local v = redis.call('HMGET', record, 'children', 'childrenSucceeded', 'childrenFailed')
  local failed = tonumber(v[3] or '0')
  if tonumber(v[2] or '0') + failed < tonumber(v[1] or '0') then return nil end
  if parent.stop == 'cancel' then return parent, 'cancelled', 'Cancelled' end
  if failed > 0 then return parent, 'failed', 'ChildFailed' end
  return parent, 'completed', 'Completed'
end
