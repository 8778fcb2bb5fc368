--[[ retry: run jobs again that have failed or were cancelled, with all their retries; of a job with indexes those that did not complete.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2.. ids
  RETURNS  a code for each id
  CODES    retried   unchanged   gone   FENCED (error)
  EVENTS   retried ids ]]
-- include: base, clock, fenced, start, publish, answerEach, unbury
local leader = ARGV[1]

local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)

-- A parent that still waits for others waits for this one again.
local function recount(job)
  local children, record = P .. 'children:' .. job.parent, P .. 'job:' .. job.parent
  local before, state = redis.call('HGET', children, job.id), redis.call('HGET', record, 'state')
  if before and before ~= '' and state and not ENDED[state] then
    redis.call('HSET', children, job.id, '')
    redis.call('HINCRBY', record, 'childrenFailed', -1)
  end
end

local codes = answerEach({unpack(ARGV, 2)}, function(job)
  if job.state ~= 'failed' and job.state ~= 'cancelled' then return 'unchanged' end
  local id = job.id
  redis.call('ZREM', P .. job.state .. ':' .. job.queue, id)
  redis.call('HDEL', job.record, 'reason', 'error', 'result', 'finishedAt', 'startedAt', 'stop', 'acked', 'progress', 'stalls', 'failed',
    'children', 'childrenSucceeded', 'childrenFailed', 'startBy')
  redis.call('HSET', job.record, 'failures', 0, 'begun', 1)
  unbury(id)
  redis.call('DEL', P .. 'children:' .. id, P .. 'failed-indexes:' .. id)
  for _, name in ipairs({'job:', 'attempts:', 'log:', 'items:', 'completed-indexes:'}) do redis.call('PERSIST', P .. name .. id) end
  if job.ack == '1' then redis.call('ZADD', P .. 'unacknowledged', now, id) end
  job.startedAt = nil
  if job.parent then recount(job) end
  if job.dedup then redis.call('SET', P .. 'deduplication:' .. job.dedup, id, 'NX') end
  start(job, now)
  return 'retried'
end)

publish(now)
return codes
