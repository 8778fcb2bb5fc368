-- include: base, enter, exact
-- block: set a job aside until its gate opens; whoever leaves the gate brings the first of them back, so nobody stands in another's way.
local function block(job, gate, score)
  redis.call('ZADD', P .. 'blocked:' .. job.queue .. ':' .. gate, exact(score), job.id)
  redis.call('SADD', P .. 'gates', job.queue .. ':' .. gate)
  enter(job, 'blocked', score, 'blockedBy', gate)
end
