--[[ suspend: hold jobs back until `resume`; the workers of running ones are asked to stop, and that attempt does not count.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2.. ids
  RETURNS  a code for each id
  CODES    suspended   stopping   unchanged (it waits for its children)   finished <state>   gone   FENCED (error)
  EVENTS   suspended ids ]]
-- include: base, clock, fenced, leave, enter, askToStop, stopIndexes, endJob, evenAtMaxmemory, publish, answerEach
local leader = ARGV[1]

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)
local codes = answerEach({unpack(ARGV, 2)}, function(job)
  if ENDED[job.state] then return 'finished ' .. job.state end
  if job.stop and job.stop ~= 'suspend' then return 'stopping' end
  if job.state == 'waiting-children' and not job.completions then return 'unchanged' end
  if job.state == 'active' then
    askToStop(job, 'suspend')
    return 'stopping'
  end
  if job.state == 'waiting-children' then
    if stopIndexes(job, 'suspend', now) > 0 then return 'stopping' end
    endJob(job, now, 'suspended', '', {})
  elseif job.state ~= 'suspended' then
    leave(job, now)
    redis.call('HDEL', job.record, 'startedAt') -- the clock stands still, as in batch/v1
    enter(job, 'suspended', now)
  end
  if job.startBy then redis.call('ZREM', P .. 'starting', job.id) end
  return 'suspended'
end)

publish(now)
return codes
