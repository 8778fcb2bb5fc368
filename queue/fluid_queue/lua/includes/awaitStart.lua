-- include: base, changes, exact
-- awaitStart: a job that has a time by which it has to start is watched until it starts, is held back or ends. Wakes a sleeper: it may
-- be the one that has to notice.
local function awaitStart(job)
  if not job.startBy then return end
  redis.call('ZADD', P .. 'starting', exact(tonumber(job.startBy)), job.id)
  changes.queues[job.queue] = true
end
