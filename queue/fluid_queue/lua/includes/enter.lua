-- include: base, exact, count, touch
-- enter: put a job into a state: its index, its record, its count. Further pairs go into the record. `leave` comes before, unless it is new.
-- An index of an index job is no record that anybody reads: its parent is.
local function enter(job, state, score, ...)
  redis.call('ZADD', P .. state .. ':' .. job.queue, exact(score), job.id)
  job.state, job.version = state, job.version + 1
  redis.call('HSET', job.record, 'state', state, 'version', job.version, ...)
  count(job, state, 1)
  touch(job.index and job.parent or job.id)
end
