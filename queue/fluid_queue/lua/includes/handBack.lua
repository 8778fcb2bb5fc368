-- include: leave, toWaiting, enter
-- handBack: an active job goes back to its old place in the queue; or aside, if it was asked to be suspended.
local function handBack(job, now)
  leave(job, now)
  redis.call('HDEL', job.record, 'stop', 'deadlineAt')
  if job.stop == 'suspend' then
    redis.call('HDEL', job.record, 'startedAt')
    redis.call('HSET', job.record, 'dueAt', 0)
    enter(job, 'suspended', now)
  else
    toWaiting(job, now, job.seq)
  end
end
