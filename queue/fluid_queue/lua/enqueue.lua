--[[ enqueue: put jobs into their queues. Idempotent by id: a job that is there stays as it is, one that has ended tells its outcome.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")
           2.. two for each job: a JSON array of twenty-one texts, and the spec (bytes). The texts: id, queue, type, priority, due (ms of the server's clock, 0 = none), delay (ms), hash, replace (1 = a job
           that has not started, or was suspended since, and has another hash or origin is replaced; in the same queue at the same priority it keeps its place, with the same hash its history), ack, keep (ms), attempt deadline (ms), active deadline (ms), seed ("<attempt>:<failures>"),
           origin (JSON), tags (JSON), concurrency key or "", deduplication ("<mode> <ttl ms> <key>" or ""), parent ("<epoch> <id>" or ""),
           indexes ("<completions>:<parallelism>:<most that may fail, -1 = any>:<bitmap of those that have completed, hexadecimal>" or ""),
           by when it has to start (ms of the server's clock, 0 = none), suspended (1 = held back until "resume")
  RETURNS  a code for each job
  CODES    created   replaced   exists <state>   finished <state> <attempt> <startedAt> <finishedAt> <reason> <hash>   duplicate <id of the first>   limited <ms to wait>   stale   FENCED (error)
  EVENTS   created, replaced and duplicate ids, and those that were deduplicated in their favour ]]
-- include: base, clock, exact, fenced, load, leave, start, toDelayed, conclude, endJob, erase, admit, twin, touch, summary, stopIndexes, publish, gatesOf, endChild, whole, awaitStart, enter, missStart
local leader = ARGV[1]
local STRIDE = 2
local WORDS = 21
local INDEXES = '^(%d+):(%d+):(-?%d+):(%x*)$'
-- What a job has behind it, which stays with it when its record is replaced and it still is the same run.
local HISTORY = {'attempt', 'failures', 'stalls', 'epoch', 'error', 'succeeded', 'failed', 'noted', 'logged', 'linked', 'begun', 'createdAt',
  'children', 'childrenSucceeded', 'childrenFailed'}

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

-- Take a job out of the way of a new record. Of the same run the history is kept, unless the new one brings what is completed along.
local function giveWay(job, new, now)
  if job.completions then stopIndexes(job, 'cancel', now) end
  leave(job, now)
  local completions, _, _, completed = string.match(new[19], INDEXES)
  local same = new[7] ~= '' and job.hash == new[7] and (job.completions or nil) == completions and (completed or '') == ''
  if same then job.history = redis.call('HMGET', job.record, unpack(HISTORY)) end
  erase(job, same)
  return job
end

-- What stands in the way of a new record under its id, as a code; nil when nothing does, then with the record that is replaced.
local function present(new, parent)
  local id = new[1]
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
  if new[8] == '1' and not job.index and not job.startedAt and (job.hash ~= new[7] or redis.call('HGET', job.record, 'origin') ~= new[14]) then
    return nil, giveWay(job, new, now)
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

-- The new record goes on where the one that it replaces was; else no word of that one's attempts counts any more.
local function goOn(job, replaced)
  local history = replaced.history
  if not history then
    if replaced.epoch then redis.call('HSET', job.record, 'epoch', exact(tonumber(replaced.epoch) + 1)) end
    return
  end
  local found = {}
  for i, name in ipairs(HISTORY) do
    if history[i] then found[name] = history[i] end
  end
  found.attempt = exact(math.max(tonumber(found.attempt or '0'), tonumber(job.attempt)))
  found.failures = exact(math.max(tonumber(found.failures or '0'), tonumber(job.failures)))
  for name, value in pairs(found) do redis.call('HSET', job.record, name, value) end
  job.attempt, job.noted, job.logged, job.children = found.attempt, found.noted, found.logged, found.children
  if found.epoch or found.begun then
    redis.call('HDEL', job.record, 'startBy') -- it has started once, before it was held back
    job.startBy = nil
  end
end

-- Note which indexes have completed before; whether that is all of them.
local function seedIndexes(job, hexadecimal)
  local bitmap = string.gsub(hexadecimal, '%x%x', function(byte) return string.char(tonumber(byte, 16)) end)
  local key = P .. 'completed-indexes:' .. job.id
  redis.call('SET', key, bitmap)
  local succeeded = redis.call('BITCOUNT', key)
  redis.call('HSET', job.record, 'succeeded', succeeded)
  return succeeded >= tonumber(job.completions)
end

-- A job for which there is nothing to do ends before it has begun, and so may whoever waits for it.
local function endAtOnce(job, reason, ...)
  conclude(job, now, 'completed', reason, ...)
  local waits, itsState, itsReason
  if job.parent then waits, itsState, itsReason = endChild(job, 'completed') end
  endJob(waits, now, itsState, itsReason, {})
end

-- The state in which a new job begins. `seq`: the place that it takes over.
local function arrive(job, new, seq)
  local due, delay = tonumber(new[5]), tonumber(new[6])
  if delay > 0 then due = math.max(due, now + delay) end
  if new[21] == '1' then
    enter(job, 'suspended', now, 'seq', exact(seq or 0), 'dueAt', due > now and exact(due) or 0)
    return
  end
  if due > now then toDelayed(job, due) else start(job, now, seq) end
  if job.startBy and tonumber(job.startBy) <= now then missStart(job, now) else awaitStart(job) end
end

local function put(new, spec, replaced, parent)
  local id, queue, kind, priority = new[1], new[2], new[3], new[4]
  local attempt, failures = string.match(new[13], '^(%d+):(%d+)$')
  local mode, ttl, key = string.match(new[17], '^(%a+) (%d+) (.+)$')
  local completions, parallelism, allowed, completed = string.match(new[19], INDEXES)
  local job = {id = id, record = P .. 'job:' .. id, queue = queue, type = kind, priority = priority, version = replaced and replaced.version or 0, hash = new[7],
    ack = new[9], keep = new[10], attempt = attempt, failures = failures, tags = new[15], completions = completions, gates = gatesOf(new[16], nil),
    startBy = new[20] ~= '0' and new[20] or nil}
  redis.call('HSET', job.record, 'queue', queue, 'type', kind, 'priority', priority, 'seq', 0, 'hash', job.hash, 'ack', job.ack, 'keep', job.keep,
    'attemptDeadline', new[11], 'activeDeadline', new[12], 'attempt', attempt, 'failures', failures, 'origin', new[14], 'spec', spec,
    'tags', job.tags, 'createdAt', now)
  if job.startBy then redis.call('HSET', job.record, 'startBy', job.startBy) end
  if replaced then goOn(job, replaced) end
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
      endAtOnce(job, 'Deduplicated', 'deduplicatedBy', first)
      return 'duplicate ' .. first
    end
    if mode ~= 'Throttle' then
      job.dedup = key
      redis.call('HSET', job.record, 'dedup', key)
    end
    redis.call('SET', P .. 'deduplication:' .. key, id)
    if ttl ~= '0' then redis.call('PEXPIRE', P .. 'deduplication:' .. key, ttl) end
  end

  if completions and completed ~= '' and seedIndexes(job, completed) then
    endAtOnce(job, 'Completed')
  else
    local stays = replaced and replaced.state ~= 'delayed' and tonumber(replaced.seq or 0) ~= 0 and replaced.queue == queue and replaced.priority == priority
    arrive(job, new, stays and replaced.seq or nil)
  end
  return replaced and 'replaced' or 'created'
end

local news = {}
for i = 2, #ARGV, STRIDE do
  local new = cjson.decode(ARGV[i])
  if type(new) ~= 'table' or #new ~= WORDS or not ARGV[i + 1] or not whole(new[4], new[5], new[6], new[10], new[11], new[12], new[20])
    or not string.find(new[13], '^%d+:%d+$') or not string.find(new[2], '^[a-z0-9][a-z0-9._-]*$') or not (new[19] == '' or string.find(new[19], INDEXES)) then
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
    code, replaced = present(new, parent)
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
