--[[ resume: let suspended jobs go on, in their old places; a job that is just being stopped for a suspend comes back by itself.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2.. ids
  RETURNS  a code for each id
  CODES    resumed   unchanged   finished <state>   gone   FENCED (error)
  EVENTS   resumed ids ]]
-- include: base, clock, fenced, load, leave, start, feed, toDelayed, evenAtMaxmemory, publish, exact
local leader = ARGV[1]

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)
local codes = {}
for i = 2, #ARGV do
  local job = load(ARGV[i])
  local code = 'resumed'
  if not job then
    code = 'gone'
  elseif ENDED[job.state] then
    code = 'finished ' .. job.state
  elseif job.stop == 'suspend' then
    -- The worker hands the attempt back, and finds nobody who wants it held.
    redis.call('HDEL', job.record, 'stop')
    if job.completions then
      redis.call('HSET', job.record, 'next', 0)
      local deadline = tonumber(redis.call('HGET', job.record, 'activeDeadline') or '0')
      if job.startedAt and deadline > 0 then redis.call('ZADD', P .. 'leases', exact(tonumber(job.startedAt) + deadline), job.id) end
      feed(job, now)
    end
  elseif job.state ~= 'suspended' then
    code = 'unchanged'
  else
    leave(job, now)
    local due = tonumber(job.dueAt or '0')
    if due > now then toDelayed(job, due) else start(job, now, job.seq ~= 0 and job.seq or nil) end
  end
  codes[#codes + 1] = code
end

publish(now)
return codes
