-- include: base, changes, exact, enter
-- toDelayed: a job waits until `due`. That wakes a sleeper too: it may be before the time that the sleeper waits for.
local function toDelayed(job, due, ...)
  redis.call('SADD', P .. 'busy', job.queue)
  enter(job, 'delayed', due, 'dueAt', exact(due), ...)
  changes.queues[job.queue] = true
end
