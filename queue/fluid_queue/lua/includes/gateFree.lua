-- include: base, setting
-- gateFree: how many more jobs may pass a gate of a queue now. The holders of a full gate are looked at one by one: an entry whose job
-- is not active, because an older version let it go, would keep the gate shut for ever. (A gate of many is not looked at: it only narrows.)
local MOST_LOOKED_AT = 16

local function gateFree(queue, gate, now)
  local key = string.match(gate, '^key:(.+)$')
  local limit
  if key then
    local pause = redis.call('ZSCORE', P .. 'limits', 'key:' .. queue .. ':' .. key)
    if pause and tonumber(pause) > now then return 0 end
    limit = setting(queue).concurrencyPerKey or 1
  else
    limit = tonumber(redis.call('HGET', P .. 'job:' .. string.sub(gate, 7), 'parallelism') or '1')
  end
  local holders = P .. 'holders:' .. queue .. ':' .. gate
  local held = redis.call('SCARD', holders)
  if held >= limit and held <= MOST_LOOKED_AT then
    for _, id in ipairs(redis.call('SMEMBERS', holders)) do
      if not redis.call('ZSCORE', P .. 'active:' .. queue, id) then held = held - redis.call('SREM', holders, id) end
    end
  end
  return limit - held
end
