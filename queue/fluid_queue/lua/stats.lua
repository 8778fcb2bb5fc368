--[[ stats: how the queues stand.
  KEYS     1 prefix of the key space
  ARGV     none
  RETURNS  {now (ms), workers seen in the last minute, {queue, waiting, active, delayed, arrival of the first waiting job (ms, 0 = none), completed, failed, cancelled}...}
  CODES    none   EVENTS none ]]
-- include: base, clock
local now = math.floor(clock() / 1000)
local answer = {now, redis.call('ZCOUNT', P .. 'workers', now - 60000, '+inf')}
for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
  local first = redis.call('ZRANGE', P .. 'waiting:' .. queue, 0, 0)[1]
  local ended = redis.call('HMGET', P .. 'counters', queue .. ':completed', queue .. ':failed', queue .. ':cancelled')
  answer[#answer + 1] = {
    queue, redis.call('ZCARD', P .. 'waiting:' .. queue), redis.call('ZCARD', P .. 'active:' .. queue), redis.call('ZCARD', P .. 'delayed:' .. queue),
    first and redis.call('HGET', P .. 'job:' .. first, 'createdAt') or '0', ended[1] or '0', ended[2] or '0', ended[3] or '0',
  }
end
return answer
