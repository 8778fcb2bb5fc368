-- include: base, load, feed, stopIndexes, dropIndex, touch
-- endIndex: an index has left its state; its parent keeps a bit of it and goes on, or ends. Answers the parent with state and reason when
-- this was the last word ("suspended" is one too).
local function endIndex(job, now, state, error)
  dropIndex(job)
  local parent = load(job.parent)
  if not parent then return nil end
  touch(parent.id)
  if state == 'completed' then
    redis.call('SETBIT', P .. 'completed-indexes:' .. parent.id, job.index, 1)
    redis.call('HINCRBY', parent.record, 'succeeded', 1)
  elseif state == 'failed' or (state == 'cancelled' and not parent.stop) then
    redis.call('SETBIT', P .. 'failed-indexes:' .. parent.id, job.index, 1)
    redis.call('HINCRBY', parent.record, 'failed', 1)
    if error ~= '' then redis.call('HSET', parent.record, 'error', error) end
  else
    -- It has to be fed again.
    local nextOne = tonumber(redis.call('HGET', parent.record, 'next') or '0')
    redis.call('HSET', parent.record, 'next', math.min(nextOne, tonumber(job.index)))
  end
  local v = redis.call('HMGET', parent.record, 'succeeded', 'failed', 'maxFailedIndexes')
  local succeeded, failed, allowed = tonumber(v[1] or '0'), tonumber(v[2] or '0'), tonumber(v[3] or '-1')
  if not parent.stop and allowed >= 0 and failed > allowed then stopIndexes(parent, 'fail MaxFailedIndexesExceeded', now) end
  if succeeded + failed == tonumber(parent.completions) then
    if failed == 0 then return parent, 'completed', 'Completed' end
    return parent, 'failed', allowed >= 0 and failed > allowed and 'MaxFailedIndexesExceeded' or 'FailedIndexes'
  end
  if not parent.stop then
    feed(parent, now)
  elseif redis.call('SCARD', P .. 'fed:' .. parent.id) == 0 then
    if parent.stop == 'suspend' then return parent, 'suspended', '' end
    if parent.stop == 'cancel' then return parent, 'cancelled', 'Cancelled' end
    return parent, 'failed', string.match(parent.stop, '^fail (%w+)$') or 'FailedIndexes'
  end
  return nil
end
