--[[ limit: let nothing of a queue, or of one concurrency key of it, start for a while. A later end that was asked before stands.
  KEYS     1 prefix of the key space
  ARGV     1 queue   2 concurrency key, or "" for the whole queue   3 for how long (ms); 0 = lift the limit
  RETURNS  until when (ms); 0 = there is none
  CODES    none   EVENTS none ]]
-- include: base, clock, changes, limitScope, unblock, evenAtMaxmemory, publish
local queue, key, ms = ARGV[1], ARGV[2], tonumber(ARGV[3])

evenAtMaxmemory()
local now = math.floor(clock() / 1000)
local scope = key == '' and 'queue:' .. queue or 'key:' .. queue .. ':' .. key
if ms > 0 then
  limitScope(scope, now + ms)
else
  redis.call('ZREM', P .. 'limits', scope)
  if key ~= '' then unblock(queue, 'key:' .. key, now) end
  changes.queues[queue] = true
end
publish(now)
return tonumber(redis.call('ZSCORE', P .. 'limits', scope) or '0')
