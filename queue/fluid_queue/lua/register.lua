--[[ register: a worker introduces itself and publishes the types that its image can run; they replace what the image told before.
  KEYS     1 prefix of the key space
  ARGV     1 worker   2 selector   3 image   4 info (JSON)   5.. type and its JSON
  RETURNS  now (ms)
  CODES    none   EVENTS none ]]
-- include: base, clock, evenAtMaxmemory
local worker, selector, image, info = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

evenAtMaxmemory()
local now = math.floor(clock() / 1000)
local key = P .. 'worker:' .. worker
redis.call('ZREMRANGEBYSCORE', P .. 'workers', '-inf', now - 86400000)
redis.call('ZADD', P .. 'workers', now, worker)
redis.call('HSET', key, 'info', info, 'image', image, 'selector', selector, 'startedAt', now)
redis.call('PEXPIRE', key, 86400000)
redis.call('DEL', P .. 'types:' .. image)
if #ARGV > 4 then redis.call('HSET', P .. 'types:' .. image, unpack(ARGV, 5)) end
-- Hints without ids tell readers that types may have come.
redis.call('XADD', P .. 'events', 'MAXLEN', '~', 5000, '*', 'ids', '')
return now
