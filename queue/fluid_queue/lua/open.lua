--[[ open: make sure that the key space exists, and tell which one it is.
  KEYS     1 prefix of the key space
  ARGV     1 candidate incarnation (random)   2 layout version of the client
  RETURNS  {incarnation, layout}
  CODES    none   EVENTS none ]]
-- include: base, evenAtMaxmemory
local candidate, layout = ARGV[1], ARGV[2]

evenAtMaxmemory()
redis.call('HSETNX', P .. 'meta', 'incarnation', candidate)
redis.call('HSETNX', P .. 'meta', 'layout', layout)
return redis.call('HMGET', P .. 'meta', 'incarnation', 'layout')
