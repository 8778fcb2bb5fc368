-- include: base, exact
-- circuitFailure: an attempt in a queue with a circuit breaker has failed. So many consecutive failures of one error type open the circuit;
-- while it is open such a failure does not count. Answers for how many ms the job has to wait in that case, else nil.
local function circuitFailure(queue, breaker, error, now)
  local key = P .. 'circuit:' .. queue
  local known, kind = pcall(cjson.decode, error)
  kind = known and type(kind) == 'table' and type(kind.type) == 'string' and kind.type or ''
  local c = redis.call('HMGET', key, 'error', 'failures', 'since', 'until')
  local probe = (breaker.probeSeconds or 60) * 1000
  if c[4] and c[1] == kind then
    redis.call('HSET', key, 'until', exact(now + probe))
    return probe
  end
  if c[4] then return nil end -- it counts against its job, and says nothing of what the circuit waits for
  local failures, since = 1, now
  if c[1] == kind and now - tonumber(c[3]) <= (breaker.withinSeconds or 60) * 1000 then
    failures, since = tonumber(c[2]) + 1, tonumber(c[3])
  end
  redis.call('HSET', key, 'error', kind, 'failures', failures, 'since', exact(since))
  if failures >= breaker.failures then redis.call('HSET', key, 'until', exact(now + probe)) end
  return nil
end
