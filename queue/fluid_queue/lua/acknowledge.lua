--[[ acknowledge: the owner has written the outcome down; from now on the record may expire.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2.. ids
  RETURNS  a code for each id
  CODES    done   unfinished   gone   FENCED (error)
  EVENTS   none ]]
-- include: base, fenced, load, expireRecord, evenAtMaxmemory
local leader = ARGV[1]

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local codes = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local job = load(id)
  if job and not ENDED[job.state] then
    codes[#codes + 1] = 'unfinished'
  else
    redis.call('ZREM', P .. 'unacknowledged', id)
    if job then
      redis.call('HSET', job.record, 'acked', 1)
      expireRecord(job)
    end
    codes[#codes + 1] = job and 'done' or 'gone'
  end
end
return codes
