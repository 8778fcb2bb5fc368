--[[ progress: note how far a running attempt is. Refused with an old epoch.
  KEYS     1 prefix of the key space
  ARGV     1 id   2 epoch   3 progress (JSON)
  RETURNS  a code
  CODES    done   stale   gone
  EVENTS   the id, unless it is an index ]]
-- include: base, hint
local id, epoch, progress = ARGV[1], ARGV[2], ARGV[3]

local key = P .. 'job:' .. id
local job = redis.call('HMGET', key, 'state', 'epoch', 'index')
if not job[1] then return 'gone' end
if job[1] ~= 'active' or job[2] ~= epoch then return 'stale' end
redis.call('HSET', key, 'progress', progress)
if not job[3] then hint({id}) end -- nobody reads the record of an index
return 'done'
