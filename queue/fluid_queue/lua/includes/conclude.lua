-- include: base, changes, addLater, count, expireRecord, touch
-- conclude: the record of a job that has left its state says how it ended, and a tombstone keeps that for 24 h after the record has gone,
-- so that a late enqueue cannot run it again. Knows nothing of parents: `endJob` does.
local TOMBSTONE_MS = 86400000

local function conclude(job, now, state, reason, ...)
  addLater(P .. state .. ':' .. job.queue, now, job.id)
  job.state, job.version = state, job.version + 1
  redis.call('HSET', job.record, 'state', state, 'version', job.version, 'reason', reason, 'finishedAt', now, ...)
  if job.stop then redis.call('HDEL', job.record, 'stop') end
  if job.startBy then redis.call('ZREM', P .. 'starting', job.id) end
  count(job, state, 1)
  touch(job.id)
  local tombstones, graves = changes.tombstones, changes.graves
  tombstones[#tombstones + 1] = job.id
  tombstones[#tombstones + 1] = state .. ' ' .. job.attempt .. ' ' .. (job.startedAt or '0') .. ' ' .. now .. ' ' .. reason .. ' ' .. job.hash
  graves[#graves + 1] = now + job.keep + TOMBSTONE_MS
  graves[#graves + 1] = job.id
  if job.ack ~= '1' then expireRecord(job) end
  if job.dedup then
    local key = P .. 'deduplication:' .. job.dedup
    if redis.call('GET', key) == job.id then redis.call('DEL', key) end
  end
end
