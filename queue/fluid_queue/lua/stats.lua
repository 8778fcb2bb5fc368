--[[ stats: how the queues stand.
  KEYS     1 prefix of the key space
  ARGV     none
  RETURNS  {now (ms), workers seen in the last minute, {field and value of `counts`...}, {queue, waiting, active, delayed, blocked, suspended,
           waiting for children, {type and since when its oldest waiting job is ready (ms)...}, paused (0 or 1), limited until (ms), circuit open until (ms), its error type}...}
  CODES    none   EVENTS none ]]
-- include: base, clock, exact, setting
local LEVELS, LOOKED_AT = 20, 50
local now = math.floor(clock() / 1000)

-- Since when the oldest waiting job of each type is ready: of the first LOOKED_AT at each of the LEVELS best priorities, so that a long
-- queue costs no more than a short one.
local function oldest(queue)
  local waiting, from, since = P .. 'waiting:' .. queue, '-inf', {}
  for _ = 1, LEVELS do
    local head = redis.call('ZRANGEBYSCORE', waiting, from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if not head[2] then break end
    local behind = exact((math.floor(tonumber(head[2]) / STEP) + 1) * STEP)
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', waiting, from, '(' .. behind, 'LIMIT', 0, LOOKED_AT)) do
      local job = redis.call('HMGET', P .. 'job:' .. id, 'type', 'readyAt')
      local ready = tonumber(job[2] or '0')
      if job[1] and ready > 0 and ready < (since[job[1]] or math.huge) then since[job[1]] = ready end
    end
    from = behind
  end
  return since
end

-- Until when nothing of a queue starts because of a limit: one that somebody asked for, or a rate that is used up.
local function limited(queue, rate)
  local till = tonumber(redis.call('ZSCORE', P .. 'limits', 'queue:' .. queue) or '0')
  if not rate then return till end
  local window, starts = rate.perSeconds * 1000, P .. 'rate:' .. queue
  local over = redis.call('ZCOUNT', starts, '(' .. now - window, '+inf') - rate.max
  if over < 0 then return till end
  local first = redis.call('ZRANGEBYSCORE', starts, '(' .. now - window, '+inf', 'WITHSCORES', 'LIMIT', over, 1)
  return math.max(till, tonumber(first[2]) + window)
end

local answer = {now, redis.call('ZCOUNT', P .. 'workers', now - 60000, '+inf'), redis.call('HGETALL', P .. 'counts')}
for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
  local row = {queue}
  for _, state in ipairs({'waiting', 'active', 'delayed', 'blocked', 'suspended', 'waiting-children'}) do
    row[#row + 1] = redis.call('ZCARD', P .. state .. ':' .. queue)
  end
  local set = setting(queue)
  local paused = set.paused or redis.call('SISMEMBER', P .. 'paused', queue) == 1
  local circuit = set.circuitBreaker and redis.call('HMGET', P .. 'circuit:' .. queue, 'until', 'error') or {}
  local ages = {}
  for kind, since in pairs(oldest(queue)) do
    ages[#ages + 1] = kind
    ages[#ages + 1] = since
  end
  row[#row + 1] = ages
  row[#row + 1] = paused and 1 or 0
  row[#row + 1] = limited(queue, set.rateLimit)
  row[#row + 1] = tonumber(circuit[1] or '0')
  row[#row + 1] = circuit[1] and circuit[2] or ''
  answer[#answer + 1] = row
end
return answer
