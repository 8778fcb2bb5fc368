-- include: handBack, exact, endJob
-- release: an attempt that does not count: the job goes back as if it had not started. An index of a job that is being stopped just goes.
local function release(job, now)
  if job.index and job.stop then
    endJob(job, now, 'released', '', {})
    return
  end
  local attempt = redis.call('HINCRBY', job.record, 'attempt', -1)
  job.attempt = exact(attempt)
  if attempt == 0 then redis.call('HDEL', job.record, 'startedAt') end
  handBack(job, now)
end
