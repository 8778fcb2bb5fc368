--[[ adopt: whether what a former owner has left here has been compared with what the new one knows, by each of its shards.
  KEYS     1 prefix of the key space
  ARGV     1 owner   2 its shard   3 what has been compared: "" = nothing, "mine" = this shard's jobs, "all" = nobody is waited for any longer
  RETURNS  how many shards have yet to compare; 0 where the owner is the first, or has been here before
  CODES    none   EVENTS none ]]
-- include: base, evenAtMaxmemory
local owner, shard, done = ARGV[1], ARGV[2], ARGV[3]

evenAtMaxmemory()
local compared = P .. 'compared'
if done == 'all' then redis.call('DEL', compared) end
if done ~= '' then redis.call('HSET', compared, shard, owner) end
local left = 0
for _, by in ipairs(redis.call('HVALS', compared)) do
  if by ~= owner then left = left + 1 end
end
if left == 0 then redis.call('HSET', compared, shard, owner) end
return left
