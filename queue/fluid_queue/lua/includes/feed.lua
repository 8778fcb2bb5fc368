-- include: base, exact, gatesOf, nextIndex, toWaiting
-- feed: an index job keeps at most twice its parallelism of indexes in the queue; what ends makes room for the next.
local function feed(parent, now)
  local v = redis.call('HMGET', parent.record, 'parallelism', 'next', 'attemptDeadline', 'key', 'tags')
  local window, nextOne, completions = 2 * tonumber(v[1]), tonumber(v[2] or '0'), tonumber(parent.completions)
  local fed = P .. 'fed:' .. parent.id
  local room = window - redis.call('SCARD', fed)
  while room > 0 do
    local index = nextIndex(parent.id, nextOne, completions)
    if not index then
      nextOne = completions
      break
    end
    nextOne = index + 1
    if redis.call('SADD', fed, index) == 1 then
      room = room - 1
      local id = parent.id .. '.' .. exact(index)
      local job = {id = id, record = P .. 'job:' .. id, queue = parent.queue, type = parent.type, priority = parent.priority, version = 0,
        parent = parent.id, index = exact(index), tags = v[5] or '{}', gates = gatesOf(v[4], parent.id)}
      toWaiting(job, now, nil, 'queue', parent.queue, 'type', parent.type, 'priority', parent.priority, 'key', v[4] or '',
        'tags', v[5] or '{}', 'parent', parent.id, 'index', exact(index), 'linked', 1, 'attemptDeadline', v[3], 'activeDeadline', '0', 'attempt', '0', 'failures', '0')
    end
  end
  redis.call('HSET', parent.record, 'next', exact(nextOne))
end
