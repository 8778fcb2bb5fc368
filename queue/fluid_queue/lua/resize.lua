--[[ resize: how many indexes of index jobs run at once, and how many may fail, from now on. What runs goes on.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2 parallelism or ""   3 most that may fail (-1 = any) or ""   4.. ids
  RETURNS  a code for each id
  CODES    resized   unchanged   finished <state>   gone   FENCED (error)
  EVENTS   resized ids ]]
-- include: base, clock, exact, fenced, answerEach, feed, unblock, stopIndexes, endJob, touch, evenAtMaxmemory, publish, whole
local leader, parallelism, allowed = ARGV[1], ARGV[2], ARGV[3]
if not whole(parallelism ~= '' and parallelism or '1', allowed ~= '' and allowed or '0') or tonumber(parallelism) == 0 then
  return redis.error_reply('ARGV 2 and 3 are no numbers')
end

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)
local codes = answerEach({unpack(ARGV, 4)}, function(job)
  if ENDED[job.state] then return 'finished ' .. job.state end
  if not job.completions then return 'unchanged' end
  local v = redis.call('HMGET', job.record, 'parallelism', 'maxFailedIndexes', 'failed')
  local wide, most = parallelism ~= '' and parallelism or v[1], allowed ~= '' and allowed or v[2]
  if wide == v[1] and most == v[2] then return 'unchanged' end
  job.version = job.version + 1
  redis.call('HSET', job.record, 'parallelism', wide, 'maxFailedIndexes', most, 'version', exact(job.version))
  touch(job.id)
  if job.state ~= 'waiting-children' or job.stop then return 'resized' end
  if tonumber(most) >= 0 and tonumber(v[3] or '0') > tonumber(most) then
    if stopIndexes(job, 'fail MaxFailedIndexesExceeded', now) == 0 then endJob(job, now, 'failed', 'MaxFailedIndexesExceeded', {}) end
  else
    -- A narrower window empties by itself: what is fed in excess waits at the gate.
    feed(job, now)
    unblock(job.queue, 'index:' .. job.id, now)
  end
  return 'resized'
end)

publish(now)
return codes
