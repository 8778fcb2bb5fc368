--[[ lead: the epoch of a new leader; every older one is refused from now on. Call it right after the Lease is won.
  KEYS     1 prefix of the key space
  ARGV     1 shard   2 identity
  RETURNS  epoch (digits)
  CODES    none   EVENTS none ]]
-- include: base, clock, exact, evenAtMaxmemory
local shard, identity = ARGV[1], ARGV[2]

evenAtMaxmemory()
local previous = tonumber(redis.call('HGET', P .. 'leaders', shard) or '0')
local epoch = exact(math.max(previous + 1, clock()))
redis.call('HSET', P .. 'leaders', shard, epoch, shard .. ':identity', identity)
return epoch
