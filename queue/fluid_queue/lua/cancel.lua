--[[ cancel: end waiting jobs now, ask the workers of running ones to stop. Terminal only when the worker confirms or its lease runs out.
  With the reason Withdrawn, what runs is left alone.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2 reason of the end   3.. ids
  RETURNS  a code for each id
  CODES    cancelled   stopping   active   finished <state>   gone   FENCED (error)
  EVENTS   cancelled ids ]]
-- include: base, clock, fenced, hint, endJob, evenAtMaxmemory
local leader, reason = ARGV[1], ARGV[2]

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)
local codes, changed = {}, {}
for i = 3, #ARGV do
  local id = ARGV[i]
  local key = P .. 'job:' .. id
  local job = redis.call('HMGET', key, 'state', 'worker')
  local lease = job[1] == 'active' and redis.call('ZSCORE', P .. 'leases', id)
  local code
  if not job[1] then
    code = 'gone'
  elseif job[1] == 'completed' or job[1] == 'failed' or job[1] == 'cancelled' then
    code = 'finished ' .. job[1]
  elseif lease and tonumber(lease) > now and reason == 'Withdrawn' then
    code = 'active'
  elseif lease and tonumber(lease) > now then
    redis.call('HSET', key, 'stop', 'cancel')
    local control = P .. 'control:' .. job[2]
    if redis.call('LLEN', control) == 0 then redis.call('RPUSH', control, '1') end
    redis.call('PEXPIRE', control, 60000)
    code = 'stopping'
  else
    endJob(id, now, 'cancelled', reason, {})
    changed[#changed + 1] = id
    code = 'cancelled'
  end
  codes[#codes + 1] = code
end

hint(changed)
return codes
