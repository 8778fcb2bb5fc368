--[[ reprioritize: another priority for jobs that have not ended; among those of the new one a job keeps its place by arrival.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2 priority   3.. ids
  RETURNS  a code for each id
  CODES    reprioritized   finished <state>   gone   FENCED (error)
  EVENTS   reprioritized ids ]]
-- include: base, exact, fenced, load, touch, changes, publish, whole, answerEach, placeOf
local leader, priority = ARGV[1], ARGV[2]
if not whole(priority) or math.abs(tonumber(priority)) > 1000 then return redis.error_reply('ARGV 2 is no priority') end

local refused = fenced(leader)
if refused then return refused end

local function reprioritize(job)
  local score = exact(placeOf(priority, job.seq or 0))
  redis.call('HSET', job.record, 'priority', priority, 'version', exact(job.version + 1))
  if job.state == 'waiting' or job.state == 'blocked' then redis.call('ZADD', P .. job.state .. ':' .. job.queue, score, job.id) end
  if job.state == 'blocked' then
    redis.call('ZADD', P .. 'blocked:' .. job.queue .. ':' .. redis.call('HGET', job.record, 'blockedBy'), score, job.id)
  end
  touch(job.index and job.parent or job.id)
  changes.queues[job.queue] = true
end

local codes = answerEach({unpack(ARGV, 3)}, function(job)
  if ENDED[job.state] then return 'finished ' .. job.state end
  reprioritize(job)
  for _, index in ipairs(job.completions and redis.call('SMEMBERS', P .. 'fed:' .. job.id) or {}) do
    local one = load(job.id .. '.' .. index)
    if one then reprioritize(one) end
  end
  return 'reprioritized'
end)

publish(0)
return codes
