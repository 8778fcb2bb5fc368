--[[ enqueue: put jobs into their queues. Idempotent by id: a job that is there stays as it is, one that has ended tells its outcome.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")
           2.. two for each job: a JSON array of nineteen texts, and the spec (bytes). The texts: id, queue, type, priority, due (ms of the server's clock, 0 = none), delay (ms), hash, replace (1 = a job
           that never started and has another hash or origin is replaced; in the same queue at the same priority it keeps its place), ack, keep (ms), attempt deadline (ms), active deadline (ms), seed ("<attempt>:<failures>"),
           origin (JSON), tags (JSON), concurrency key or "", deduplication ("<mode> <ttl ms> <key>" or ""), parent ("<epoch> <id>" or ""),
           indexes ("<completions>:<parallelism>:<most that may fail, -1 = any>" or "")
  RETURNS  a code for each job
  CODES    created   replaced   exists <state>   finished <state> <attempt> <startedAt> <finishedAt> <reason> <hash>   duplicate <id of the first>   limited <ms to wait>   stale   FENCED (error)
  EVENTS   created, replaced and duplicate ids, and those that were deduplicated in their favour ]]
-- include: base, clock, exact, fenced, load, leave, start, toDelayed, conclude, endJob, erase, admit, twin, touch, summary, stopIndexes, publish, gatesOf, endChild, whole
local leader = ARGV[1]
local STRIDE = 2
local WORDS = 19

local refused = fenced(leader)
if refused then return refused end

local nowUs = clock()
local now = math.floor(nowUs / 1000)
local codes, seen = {}, {}

-- A child counts for its parent from now on, in the state in which it is.
local function adopt(parent, id, state)
  if redis.call('HSETNX', P .. 'children:' .. parent.id, id, ENDED[state] and state or '') == 0 then return end
  redis.call('HINCRBY', parent.record, 'children', 1)
  redis.call('HSET', parent.record, 'linked', 1)
  if ENDED[state] then redis.call('HINCRBY', parent.record, state == 'completed' and 'childrenSucceeded' or 'childrenFailed', 1) end
  touch(parent.id)
end

-- A child that failed runs again when a later attempt of its parent asks for it.
local function disown(parent, id)
  if redis.call('HGET', P .. 'children:' .. parent.id, id) then
    redis.call('HDEL', P .. 'children:' .. parent.id, id)
    redis.call('HINCRBY', parent.record, 'children', -1)
    redis.call('HINCRBY', parent.record, 'childrenFailed', -1)
  end
end

-- What stands in the way of a new record under this id, as a code; nil when nothing does, then with the record that is replaced.
local function present(id, hash, replace, origin, parent)
  local job = load(id)
  local ended
  if job and ENDED[job.state] then
    ended = summary(id)
  elseif not job then
    ended = redis.call('HGET', P .. 'tombstones', id)
  end
  if ended then
    local state = string.match(ended, '^%S+')
    if parent and state ~= 'completed' then
      if job then redis.call('ZREM', P .. state .. ':' .. job.queue, id) end
      erase(job or {id = id, record = P .. 'job:' .. id})
      disown(parent, id)
      return nil
    end
    if parent then adopt(parent, id, state) end
    return 'finished ' .. ended
  end
  if not job then return nil end
  if replace == '1' and not job.index and not job.startedAt and (job.hash ~= hash or redis.call('HGET', job.record, 'origin') ~= origin) then
    if job.completions then stopIndexes(job, 'cancel', now) end
    leave(job, now)
    erase(job)
    return nil, job
  end
  if parent then
    if not job.parent then redis.call('HSET', job.record, 'parent', parent.id, 'linked', 1) end
    adopt(parent, id, job.state)
  end
  return 'exists ' .. job.state
end

local function parentOf(text)
  local epoch, id = string.match(text, '^(%d+) (.+)$')
  if not id then return nil, true end
  local parent = load(id)
  return parent, parent and parent.state == 'active' and parent.epoch == epoch
end

local function put(new, spec, replaced, parent)
  local id, queue, kind, priority, due, delay = new[1], new[2], new[3], new[4], tonumber(new[5]), tonumber(new[6])
  local attempt, failures = string.match(new[13], '^(%d+):(%d+)$')
  local mode, ttl, key = string.match(new[17], '^(%a+) (%d+) (.+)$')
  local completions, parallelism, allowed = string.match(new[19], '^(%d+):(%d+):(-?%d+)$')
  local job = {id = id, record = P .. 'job:' .. id, queue = queue, type = kind, priority = priority, version = replaced and replaced.version or 0, hash = new[7],
    ack = new[9], keep = new[10], attempt = attempt, tags = new[15], completions = completions, gates = gatesOf(new[16], nil)}
  redis.call('HSET', job.record, 'queue', queue, 'type', kind, 'priority', priority, 'seq', 0, 'hash', job.hash, 'ack', job.ack, 'keep', job.keep,
    'attemptDeadline', new[11], 'activeDeadline', new[12], 'attempt', attempt, 'failures', failures, 'origin', new[14], 'spec', spec,
    'tags', job.tags, 'createdAt', now)
  if new[16] ~= '' then redis.call('HSET', job.record, 'key', new[16]) end
  job.parent = parent and parent.id or replaced and replaced.parent
  if job.parent then redis.call('HSET', job.record, 'parent', job.parent) end
  if new[16] ~= '' or job.parent or completions or mode then redis.call('HSET', job.record, 'linked', 1) end
  if parent then adopt(parent, id, '') end
  if completions then
    redis.call('HSET', job.record, 'completions', completions, 'parallelism', parallelism, 'maxFailedIndexes', allowed)
    if redis.call('EXISTS', P .. 'new-items:' .. id) == 1 then
      redis.call('RENAME', P .. 'new-items:' .. id, P .. 'items:' .. id)
      redis.call('PERSIST', P .. 'items:' .. id)
    end
  end
  if job.ack == '1' then redis.call('ZADD', P .. 'unacknowledged', now, id) end
  if not seen[queue] then redis.call('SADD', P .. 'queues', queue); seen[queue] = true end

  if mode then
    local first, state = twin(id, mode, key)
    if first and mode == 'Replace' then
      local other = load(first)
      if not other.startedAt and other.completions then stopIndexes(other, 'cancel', now) end
      if not other.startedAt then endJob(other, now, 'completed', 'Deduplicated', {'deduplicatedBy', id}) end
    elseif first then
      conclude(job, now, 'completed', 'Deduplicated', 'deduplicatedBy', first)
      local waits, itsState, itsReason
      if job.parent then waits, itsState, itsReason = endChild(job, 'completed') end
      endJob(waits, now, itsState, itsReason, {})
      return 'duplicate ' .. first
    end
    if mode ~= 'Throttle' then
      job.dedup = key
      redis.call('HSET', job.record, 'dedup', key)
    end
    redis.call('SET', P .. 'deduplication:' .. key, id)
    if ttl ~= '0' then redis.call('PEXPIRE', P .. 'deduplication:' .. key, ttl) end
  end

  if delay > 0 then due = math.max(due, now + delay) end
  if due > now then
    toDelayed(job, due)
  else
    local stays = replaced and replaced.state == 'waiting' and replaced.queue == queue and replaced.priority == priority
    start(job, now, stays and replaced.seq or nil)
  end
  return replaced and 'replaced' or 'created'
end

local news = {}
for i = 2, #ARGV, STRIDE do
  local new = cjson.decode(ARGV[i])
  if type(new) ~= 'table' or #new ~= WORDS or not ARGV[i + 1] or not whole(new[4], new[5], new[6], new[10], new[11], new[12])
    or not string.find(new[13], '^%d+:%d+$') then
    return redis.error_reply('ARGV ' .. i .. ' is no job')
  end
  news[i] = new
end
for i = 2, #ARGV, STRIDE do
  local new = news[i]
  local parent, holds = parentOf(new[18])
  local code, replaced
  if not holds then
    code = 'stale'
  else
    code, replaced = present(new[1], new[7], new[8], new[14], parent)
  end
  if not code and not replaced and not parent then
    local wait = admit(new[2], nowUs)
    if wait then code = 'limited ' .. exact(wait) end
  end
  if code and new[19] ~= '' then redis.call('DEL', P .. 'new-items:' .. new[1]) end
  codes[#codes + 1] = code or put(new, ARGV[i + 1], replaced, parent)
end

publish(now)
return codes
