-- include: base, exact
-- tombstone: remember the outcome of an id for 24 h after its record has gone, so that a late enqueue cannot run it again.
local TOMBSTONE_MS = 86400000
local TOMBSTONES = 100000

local function tombstone(id, summary, now, keep)
  redis.call('HSET', P .. 'tombstones', id, summary)
  redis.call('ZADD', P .. 'tombstones:expiry', exact(now + keep + TOMBSTONE_MS), id)
  -- Two out for one in: the set shrinks back to its bounds without a sweep of its own.
  local old = redis.call('ZRANGEBYSCORE', P .. 'tombstones:expiry', '-inf', now, 'LIMIT', 0, 2)
  if #old == 0 and redis.call('ZCARD', P .. 'tombstones:expiry') > TOMBSTONES then
    old = redis.call('ZRANGE', P .. 'tombstones:expiry', 0, 1)
  end
  if #old > 0 then
    redis.call('ZREM', P .. 'tombstones:expiry', unpack(old))
    redis.call('HDEL', P .. 'tombstones', unpack(old))
  end
end
