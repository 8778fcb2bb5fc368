-- include: base, exact, setting
-- noteStart: what limits of a queue have to know of a start: the rate, the probe of an open circuit, the round that is being served.
local function noteStart(job, now, epoch)
  local set = setting(job.queue)
  if set.rateLimit then
    redis.call('ZADD', P .. 'rate:' .. job.queue, now, job.id .. ' ' .. epoch)
    redis.call('PEXPIRE', P .. 'rate:' .. job.queue, exact(math.ceil(set.rateLimit.perSeconds * 1000)))
  end
  if set.circuitBreaker and redis.call('HEXISTS', P .. 'circuit:' .. job.queue, 'until') == 1 then
    redis.call('HSET', P .. 'circuit:' .. job.queue, 'until', exact(now + (set.circuitBreaker.probeSeconds or 60) * 1000))
  end
  if set.fairness and job.seq then
    local round = tonumber(redis.call('HGET', P .. 'rounds:' .. job.queue, job.priority) or '0')
    if job.seq > round then
      redis.call('HSET', P .. 'rounds:' .. job.queue, job.priority, exact(job.seq))
      redis.call('ZREMRANGEBYSCORE', P .. 'lanes:' .. job.queue .. ':' .. job.priority, '-inf', exact(job.seq))
    end
  end
end
