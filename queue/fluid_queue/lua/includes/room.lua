-- include: base, setting
-- room: how many jobs of a queue may start now; with none, the time to look again, if it is known.
local function room(queue, now, paused)
  local set = setting(queue)
  if set.paused or paused[queue] then return 0 end
  local limit = redis.call('ZSCORE', P .. 'limits', 'queue:' .. queue)
  if limit and tonumber(limit) > now then return 0, tonumber(limit) end
  local free = math.huge
  if set.concurrency then free = math.min(free, set.concurrency - redis.call('ZCARD', P .. 'active:' .. queue)) end
  if set.rateLimit and free > 0 then
    -- A log of the last starts: exact, at most `max` in any window, and a burst is no reason to wait.
    local starts, window = P .. 'rate:' .. queue, set.rateLimit.perSeconds * 1000
    redis.call('ZREMRANGEBYSCORE', starts, '-inf', now - window)
    local over = redis.call('ZCARD', starts) - set.rateLimit.max
    if over >= 0 then return 0, tonumber(redis.call('ZRANGE', starts, over, over, 'WITHSCORES')[2]) + window end
    free = math.min(free, -over)
  end
  if set.circuitBreaker and free > 0 then
    local probe = redis.call('HGET', P .. 'circuit:' .. queue, 'until')
    if probe and tonumber(probe) > now then return 0, tonumber(probe) end
    if probe then return 1 end
  end
  return math.max(0, free)
end
