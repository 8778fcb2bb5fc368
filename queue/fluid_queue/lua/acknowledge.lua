--[[ acknowledge: the owner has written the outcome down; from now on the record may expire.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2.. ids
  RETURNS  a code for each id
  CODES    done   unfinished   gone   FENCED (error)
  EVENTS   none ]]
-- include: base, fenced, expireRecord, evenAtMaxmemory
local leader = ARGV[1]

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local codes = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local job = redis.call('HMGET', P .. 'job:' .. id, 'state', 'keep', 'finishedAt')
  if job[1] and not job[3] then
    codes[#codes + 1] = 'unfinished'
  else
    redis.call('ZREM', P .. 'unacknowledged', id)
    if job[1] then
      redis.call('HSET', P .. 'job:' .. id, 'acked', 1)
      expireRecord(id, job[2])
    end
    codes[#codes + 1] = job[1] and 'done' or 'gone'
  end
end
return codes
