-- include: base
-- heard: note that a worker spoke. When nobody did for most of a lease, Redis stood still or was away, and the renewals of workers that are
-- well lie in line behind this call: their leases are left alone for a moment more. Answers until when.
local GRACE_MS = 1000

local function heard(now, lease)
  local meta = redis.call('HMGET', P .. 'meta', 'heard', 'grace')
  local grace = tonumber(meta[2] or '0')
  -- Once in a lease: who only claims now and then would put it off for ever.
  if meta[1] and now - tonumber(meta[1]) > lease * 2 / 3 and now - grace >= lease then
    grace = now + math.floor(math.min(GRACE_MS, lease / 2))
    redis.call('HSET', P .. 'meta', 'heard', now, 'grace', grace)
  else
    redis.call('HSET', P .. 'meta', 'heard', now)
  end
  return grace
end
