--[[ items: lay down what each index of an index job gets; enqueue the job within the hour, or they go.
  KEYS     1 prefix of the key space
  ARGV     1 id of the job to come   2.. index and its item (bytes)
  RETURNS  a code
  CODES    done
  EVENTS   none ]]
-- include: base
local id = ARGV[1]

redis.call('HSET', P .. 'new-items:' .. id, unpack(ARGV, 2))
redis.call('PEXPIRE', P .. 'new-items:' .. id, 3600000)
return 'done'
