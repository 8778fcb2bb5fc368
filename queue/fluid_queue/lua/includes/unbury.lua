-- include: base
-- unbury: no tombstone of this id is left, because it is to run again or to be forgotten.
local function unbury(id)
  redis.call('HDEL', P .. 'tombstones', id)
  redis.call('ZREM', P .. 'tombstones:expiry', id)
end
