--[[ pause: let no job of a queue start, or let them start again. What runs goes on.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2 queue   3 1 = pause, 0 = resume
  RETURNS  a code
  CODES    done   unchanged   FENCED (error)
  EVENTS   none ]]
-- include: base, fenced, changes, evenAtMaxmemory, publish
local leader, queue, paused = ARGV[1], ARGV[2], ARGV[3]

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local changed
if paused == '1' then
  changed = redis.call('SADD', P .. 'paused', queue)
else
  changed = redis.call('SREM', P .. 'paused', queue)
end
changes.queues[queue] = true
publish(0)
if changed == 0 then return 'unchanged' end
return 'done'
