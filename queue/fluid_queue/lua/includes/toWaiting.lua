-- include: base, changes, exact, enter, block, shut, turn, placeOf
-- toWaiting: put a job into its queue, or aside while a gate of it is shut. A job that was waiting before keeps its `seq` and so its
-- place; without one it takes a new one.
local function toWaiting(job, now, seq, ...)
  seq = seq or turn(job)
  job.seq = seq
  local score = placeOf(job.priority, seq)
  redis.call('HSET', job.record, 'seq', exact(seq), 'readyAt', now, 'dueAt', 0, ...)
  local gate = shut(job, now)
  if gate then
    block(job, gate, score)
  else
    redis.call('SADD', P .. 'busy', job.queue)
    enter(job, 'waiting', score)
    changes.queues[job.queue] = true
  end
end
