-- include: base, changes
-- circuitSuccess: a job of a queue with a circuit breaker has succeeded: the circuit is closed, and what it held back may start.
local function circuitSuccess(queue)
  if redis.call('DEL', P .. 'circuit:' .. queue) == 1 then changes.queues[queue] = true end
end
