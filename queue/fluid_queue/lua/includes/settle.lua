-- include: base, changes
-- settle: carry out what was kept back, in slices that fit Lua's stack. Removals first: what left an index may have come back to it.
local SLICE = 1000
local LISTED = 10000
local TOMBSTONES = 100000
local ENDED_KEY = {completed = true, failed = true, cancelled = true}

local function settle(now)
  for key, members in pairs(changes.removals) do
    for i = 1, #members, SLICE do redis.call('ZREM', key, unpack(members, i, math.min(i + SLICE - 1, #members))) end
  end
  for key, pairs_ in pairs(changes.entries) do
    for i = 1, #pairs_, SLICE do redis.call('ZADD', key, unpack(pairs_, i, math.min(i + SLICE - 1, #pairs_))) end
    if ENDED_KEY[string.match(key, '(%a+):[^:]+$')] then redis.call('ZREMRANGEBYRANK', key, 0, -LISTED - 1) end
  end
  local new = #changes.graves
  if new > 0 then
    for i = 1, new, SLICE do
      redis.call('HSET', P .. 'tombstones', unpack(changes.tombstones, i, math.min(i + SLICE - 1, new)))
      redis.call('ZADD', P .. 'tombstones:expiry', unpack(changes.graves, i, math.min(i + SLICE - 1, new)))
    end
    -- Two out for one in: the set shrinks back to its bounds without a sweep of its own.
    local old = redis.call('ZRANGEBYSCORE', P .. 'tombstones:expiry', '-inf', now, 'LIMIT', 0, new)
    if #old == 0 then
      local over = redis.call('ZCARD', P .. 'tombstones:expiry') - TOMBSTONES
      if over > 0 then old = redis.call('ZRANGE', P .. 'tombstones:expiry', 0, math.min(over, new) - 1) end
    end
    for i = 1, #old, SLICE do
      redis.call('ZREM', P .. 'tombstones:expiry', unpack(old, i, math.min(i + SLICE - 1, #old)))
      redis.call('HDEL', P .. 'tombstones', unpack(old, i, math.min(i + SLICE - 1, #old)))
    end
  end
  changes.entries, changes.removals, changes.tombstones, changes.graves = {}, {}, {}, {}
end
