-- include: base, setting, exact, placeOf
-- turn: the place of a job among those of its priority. Order of arrival, or with `fairness: {tag}` round robin over the tag's values:
-- each value's next job stands one round after its last, but never before the round that is being served (start-time fair queueing).
local function turn(job)
  local seq = redis.call('INCR', P .. 'seq')
  local fairness = setting(job.queue).fairness
  if not fairness then return seq end
  local tags = job.tags or redis.call('HGET', job.record, 'tags')
  local known, found = pcall(cjson.decode, tags)
  local lane = known and type(found) == 'table' and found[fairness.tag]
  if type(lane) ~= 'string' then lane = '' end
  local lanes = P .. 'lanes:' .. job.queue .. ':' .. job.priority
  local round = tonumber(redis.call('HGET', P .. 'rounds:' .. job.queue, job.priority))
  if not round then
    -- Jobs from before the queue was fair stand in order of arrival: begin with the first of them.
    local low = placeOf(job.priority, 0)
    local head = redis.call('ZRANGEBYSCORE', P .. 'waiting:' .. job.queue, exact(low), '(' .. exact(low + STEP), 'WITHSCORES', 'LIMIT', 0, 1)
    round = (head[2] and tonumber(head[2]) - low or seq) - 1
    redis.call('HSET', P .. 'rounds:' .. job.queue, job.priority, exact(round))
  end
  local last = tonumber(redis.call('ZSCORE', lanes, lane) or '0')
  local mine = math.max(round, last) + 1
  redis.call('ZADD', lanes, exact(mine), lane)
  return mine
end
