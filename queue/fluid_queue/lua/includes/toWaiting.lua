-- include: base, exact
-- toWaiting: put a job into its queue. A job that was waiting before keeps its `seq` and so its place; nil takes a new one.
local function toWaiting(id, queue, priority, seq)
  redis.call('SADD', P .. 'busy', queue)
  seq = seq or redis.call('INCR', P .. 'seq')
  redis.call('ZADD', P .. 'waiting:' .. queue, exact((1000 - tonumber(priority)) * STEP + seq), id)
  return seq
end
