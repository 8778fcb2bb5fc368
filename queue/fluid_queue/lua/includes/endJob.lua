-- include: base, forget, expireRecord, tombstone, summary
-- endJob: the one way into completed, failed and cancelled. `fields` are further pairs for the record.
local function endJob(id, now, state, reason, fields)
  local key = P .. 'job:' .. id
  local job = redis.call('HMGET', key, 'queue', 'keep', 'ack')
  forget(id, job[1])
  redis.call('HSET', key, 'state', state, 'reason', reason, 'finishedAt', now, unpack(fields))
  redis.call('HDEL', key, 'stop')
  redis.call('HINCRBY', key, 'version', 1)
  redis.call('HINCRBY', P .. 'counters', job[1] .. ':' .. state, 1)
  tombstone(id, summary(id), now, tonumber(job[2]))
  if job[3] ~= '1' then expireRecord(id, job[2]) end
end
