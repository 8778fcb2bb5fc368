-- include: base, enter, expireRecord, tombstone
-- conclude: the record of a job that has left its state says how it ended. Knows nothing of parents: `endJob` does.
local LISTED = 10000

local function conclude(job, now, state, reason, ...)
  local fields = {'reason', reason, 'finishedAt', now, ...}
  enter(job, state, now, unpack(fields))
  if job.stop then redis.call('HDEL', job.record, 'stop') end
  redis.call('ZREMRANGEBYRANK', P .. state .. ':' .. job.queue, 0, -LISTED - 1)
  local line = table.concat({state, job.attempt, job.startedAt or '0', now, reason, job.hash}, ' ')
  tombstone(job.id, line, now, tonumber(job.keep))
  if job.ack ~= '1' then expireRecord(job) end
  if job.dedup then
    local key = P .. 'deduplication:' .. job.dedup
    if redis.call('GET', key) == job.id then redis.call('DEL', key) end
  end
end
