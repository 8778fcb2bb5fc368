--[[ log: append lines to the log of a running attempt; the last 1,000 stay. Refused with an old epoch.
  KEYS     1 prefix of the key space
  ARGV     1 id   2 epoch   3.. lines
  RETURNS  a code
  CODES    done   stale   gone
  EVENTS   none ]]
-- include: base
local id, epoch = ARGV[1], ARGV[2]

local job = redis.call('HMGET', P .. 'job:' .. id, 'state', 'epoch')
if not job[1] then return 'gone' end
if job[1] ~= 'active' or job[2] ~= epoch then return 'stale' end
for i = 3, #ARGV do redis.call('RPUSH', P .. 'log:' .. id, ARGV[i]) end
redis.call('HSET', P .. 'job:' .. id, 'logged', 1, 'linked', 1)
redis.call('LTRIM', P .. 'log:' .. id, -1000, -1)
return 'done'
