--[[ resume: let suspended jobs go on, in their old places; a job that is just being stopped for a suspend comes back by itself.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2.. ids
  RETURNS  a code for each id
  CODES    resumed   unchanged   finished <state> (also one that had to start by now)   gone   FENCED (error)
  EVENTS   resumed ids ]]
-- include: base, clock, fenced, leave, start, feed, toDelayed, evenAtMaxmemory, publish, exact, answerEach, awaitStart, missStart
local leader = ARGV[1]

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)
local codes = answerEach({unpack(ARGV, 2)}, function(job)
  if ENDED[job.state] then return 'finished ' .. job.state end
  if job.stop == 'suspend' then
    -- The worker hands the attempt back, and finds nobody who wants it held.
    redis.call('HDEL', job.record, 'stop')
    if job.completions then
      redis.call('HSET', job.record, 'next', 0)
      local deadline = tonumber(redis.call('HGET', job.record, 'activeDeadline') or '0')
      if job.startedAt and deadline > 0 then redis.call('ZADD', P .. 'leases', exact(tonumber(job.startedAt) + deadline), job.id) end
      feed(job, now)
    end
    return 'resumed'
  end
  if job.state ~= 'suspended' then return 'unchanged' end
  if job.startBy and tonumber(job.startBy) <= now then
    missStart(job, now)
    return 'finished failed'
  end
  leave(job, now)
  local due = tonumber(job.dueAt or '0')
  if due > now then toDelayed(job, due) else start(job, now, job.seq ~= 0 and job.seq or nil) end
  awaitStart(job)
  return 'resumed'
end)

publish(now)
return codes
