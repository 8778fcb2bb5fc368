--[[ claim: take up to n jobs under a lease, best priority first, queues of equal priority in turn; a queue that was passed over for a
  second gets one start all the same. Before that, whatever is due becomes waiting, leases that ran out are taken back, and what had to start by now fails. With n = 0 it does only that.
  KEYS     1 prefix of the key space
  ARGV     1 worker   2 selector ("*" or "a,b")   3 n   4 lease (ms)   5 stalls that fail a job   6 how many jobs that are one stall from failing may be among them
  RETURNS  {now (ms), ms until something may be due, version of the settings, {id, epoch, attempt, failures, startedAt, deadlineAt, queue, type, origin, spec, tags, stalls, key, index, item}...}
  CODES    none   EVENTS ids that changed ]]
-- include: base, clock, exact, count, touch, measure, load, endJob, block, unblock, shut, room, noteStart, queuesOf, takeBack, promoteDue, endLimits, wakeSelector, evenAtMaxmemory, publish, gatesOf, addLater, settle, heard, whole, placeOf, missStarts, noteFirstStart
local worker, selector, n, lease, maxStalled, suspects = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if not whole(ARGV[3], ARGV[4], ARGV[5], ARGV[6]) then return redis.error_reply('ARGV 3 to 6 are no numbers') end
local LONGEST_SLEEP = lease > 0 and math.min(5000, lease / 2) or 5000
local PASSED_OVER = 1000
local BATCH = 200
local MOST_BYTES = 8388608 -- of payloads in one answer

evenAtMaxmemory()
local nowUs = clock()
local now = math.floor(nowUs / 1000)
local answer = {now, 0, '0'}
local parents, aside = {}, {}
local expiry = now + lease

if worker ~= '' then
  redis.call('ZADD', P .. 'workers', now, worker)
  redis.call('ZADD', P .. 'selectors', now, selector)
end
redis.call('ZREMRANGEBYSCORE', P .. 'selectors', '-inf', now - 60000)

local said = redis.call('HMGET', P .. 'settings', 'version', 'suspend')
answer[3] = said[1] or '0'
local wanted = said[2] and 0 or n

local due = now + LONGEST_SLEEP
local function lookAgain(moment)
  if moment and moment < due then due = moment end
end

local grace = heard(now, lease > 0 and lease or 3 * LONGEST_SLEEP)
if grace > now then lookAgain(grace) else takeBack(now, BATCH, maxStalled) end
lookAgain(endLimits(now))
local awaited = missStarts(now, BATCH)
lookAgain(awaited)
if awaited and awaited <= now then wanted = 0 end -- others have missed their start: the next claim, which comes at once, sees to them first
local queues = queuesOf(selector)
for _, queue in ipairs(queues) do
  local nextDue = promoteDue(queue, now, BATCH)
  lookAgain(nextDue)
  -- A queue without work is not looked at again before it has some: names are free, and there may be thousands.
  if not nextDue and redis.call('ZCARD', P .. 'waiting:' .. queue) == 0 then
    redis.call('SREM', P .. 'busy', queue)
    redis.call('ZREM', P .. 'served', queue)
  end
end

settle(now)

-- Queues that have a waiting job and may start some, with how many.
local rooms, open, paused = {}, {}, {}
if wanted > 0 then
  for _, queue in ipairs(redis.call('SMEMBERS', P .. 'paused')) do paused[queue] = true end
  for _, queue in ipairs(queues) do
    if redis.call('ZCARD', P .. 'waiting:' .. queue) > 0 then
      local free, again = room(queue, now, paused)
      lookAgain(again)
      if free > 0 then
        rooms[queue] = free
        open[#open + 1] = queue
      end
    end
  end
end

-- The level of the best priority that waits in an open queue, the queues that have it, and whether others have to wait.
local function best()
  local level, heads, others = nil, {}, false
  for _, queue in ipairs(open) do
    local head = rooms[queue] > 0 and redis.call('ZRANGE', P .. 'waiting:' .. queue, 0, 0, 'WITHSCORES') or {}
    if head[2] then
      local at = math.floor(tonumber(head[2]) / STEP)
      others = others or (level ~= nil and at ~= level)
      if not level or at < level then level, heads = at, {} end
      if at == level then heads[#heads + 1] = queue end
    end
  end
  return level, heads, others
end

-- What an index shares with all others of its parent.
local function parentOf(id)
  if not parents[id] then
    local v = redis.call('HMGET', P .. 'job:' .. id, 'origin', 'spec', 'startedAt', 'activeDeadline')
    parents[id] = {origin = v[1] or '{}', spec = v[2], started = v[3], startedAt = tonumber(v[3] or now), activeDeadline = tonumber(v[4] or '0')}
  end
  return parents[id]
end

local left, passed, served, bytes, suspected = wanted, 0, {}, 0, false

local FIELDS = {'attempt', 'failures', 'epoch', 'startedAt', 'attemptDeadline', 'activeDeadline', 'version', 'type', 'origin', 'spec', 'tags', 'stalls',
  'key', 'index', 'parent', 'readyAt', 'priority', 'seq', 'state'}

-- Give one waiting job to the worker; false when it must not start now, or is not there.
local function take(id, queue)
  local record = P .. 'job:' .. id
  local v = redis.call('HMGET', record, unpack(FIELDS))
  local index, parent = v[14], v[15]
  local shared = index and parentOf(parent)
  if index and shared.spec then v[9], v[10] = shared.origin, shared.spec end
  if not v[10] or v[19] ~= 'waiting' then return false end
  local job = {id = id, record = record, queue = queue, state = 'waiting', type = v[8], priority = v[17], seq = tonumber(v[18]), version = tonumber(v[7]),
    parent = parent, index = index, gates = gatesOf(v[13], index and parent)}

  if suspects <= 0 and tonumber(v[12] or '0') >= maxStalled - 1 then
    aside[#aside + 1] = job
    passed = passed - 1 -- looking past it is no work that has to end
    return false
  end
  local gate = #job.gates > 0 and shut(job, now)
  if gate then
    count(job, 'waiting', -1)
    block(job, gate, placeOf(job.priority, job.seq))
    for _, other in ipairs(job.gates) do
      if other ~= gate then unblock(queue, other, now) end -- it may have been called forward there, and leaves without a start
    end
    return false
  end

  local startedAt = tonumber(v[4] or now)
  local attemptDeadline, activeDeadline = tonumber(v[5]), tonumber(v[6])
  local last = activeDeadline > 0 and startedAt + activeDeadline or 0
  if shared and shared.activeDeadline > 0 then last = shared.startedAt + shared.activeDeadline end
  if last > 0 and last <= now then
    endJob(load(id), now, 'failed', 'DeadlineExceeded', {})
    return false
  end
  if shared and shared.spec and not shared.started then
    shared.started = true
    redis.call('HSET', P .. 'job:' .. parent, 'startedAt', now)
    if shared.activeDeadline > 0 then redis.call('ZADD', P .. 'leases', exact(now + shared.activeDeadline), parent) end
    if awaited then noteFirstStart(parent) end
  end
  if awaited and not index then noteFirstStart(id) end
  local deadline = attemptDeadline > 0 and now + attemptDeadline or 0
  if last > 0 and (deadline == 0 or last < deadline) then deadline = last end

  local epoch = exact(math.max(tonumber(v[3] or '0') + 1, nowUs))
  local attempt = tonumber(v[1]) + 1
  redis.call('HSET', record, 'state', 'active', 'epoch', epoch, 'attempt', attempt, 'worker', worker, 'startedAt', startedAt,
    'claimedAt', now, 'deadlineAt', deadline, 'version', job.version + 1)
  if #job.gates == 0 then
    addLater(P .. 'active:' .. queue, now, id)
  else
    redis.call('ZADD', P .. 'active:' .. queue, now, id) -- gates look at it
    for _, each in ipairs(job.gates) do redis.call('SADD', P .. 'holders:' .. queue .. ':' .. each, id) end
  end
  addLater(P .. 'leases', expiry, id)
  if tonumber(v[12] or '0') >= maxStalled - 1 then suspects, suspected = suspects - 1, true end
  count(job, 'waiting', -1)
  count(job, 'active', 1)
  touch(index and parent or id)
  measure(job, 'wait', now - tonumber(v[16] or now))
  noteStart(job, now, epoch)
  local item = index and redis.call('HGET', P .. 'items:' .. parent, index) or ''
  bytes = bytes + #v[10] + #item
  answer[#answer + 1] = {id, epoch, attempt, v[2], startedAt, deadline, queue, v[8], v[9], v[10], v[11] or '{}', v[12] or '0', v[13] or '',
    index or '', item}
  return true
end

-- Up to `most` of the first jobs of a queue, none behind this level.
local function takeFrom(queue, level, most)
  local waiting = P .. 'waiting:' .. queue
  local ids = redis.call('ZRANGEBYSCORE', waiting, '-inf', '(' .. exact((level + 1) * STEP), 'LIMIT', 0, math.min(most, left, rooms[queue]))
  if #ids > 0 then redis.call('ZREM', waiting, unpack(ids)) end
  for k, id in ipairs(ids) do
    if bytes > MOST_BYTES then
      for rest = k, #ids do
        local v = redis.call('HMGET', P .. 'job:' .. ids[rest], 'priority', 'seq')
        if v[1] then redis.call('ZADD', waiting, exact(placeOf(v[1], tonumber(v[2]))), ids[rest]) end
      end
      left = 0
      break
    end
    if take(id, queue) then
      left, rooms[queue], served[queue] = left - 1, rooms[queue] - 1, true
    else
      passed = passed + 1
    end
  end
end

-- Priority may not starve a queue: one of a worse priority that has had no start for a second comes first, with one job.
local _, _, several = best()
if several then
  for _, queue in ipairs(open) do
    local last = left > 0 and redis.call('ZSCORE', P .. 'served', queue)
    if last and tonumber(last) + PASSED_OVER <= now then takeFrom(queue, 2000, 1) end
  end
end
while left > 0 and passed < BATCH do
  local level, heads = best()
  if not level then break end
  local share = math.ceil(left / #heads)
  local first = nowUs % #heads -- the clock turns the order, so that claims of one job at a time serve every queue
  for i = 1, #heads do
    if left > 0 then takeFrom(heads[(first + i) % #heads + 1], level, share) end
  end
end

for _, queue in ipairs(open) do
  if rooms[queue] <= 0 then
    local _, again = room(queue, now, paused) -- this claim has used up what there was
    lookAgain(again)
  end
end

local rest = wanted > 0 and (left <= 0 or passed >= BATCH) and best()
-- A queue that has just been served, or that has begun to wait beside others, counts its second from now.
if #open > 1 then
  for _, queue in ipairs(open) do redis.call('ZADD', P .. 'served', served[queue] and 'GT' or 'NX', now, queue) end
end
for _, job in ipairs(aside) do
  redis.call('ZADD', P .. 'waiting:' .. job.queue, exact(placeOf(job.priority, job.seq)), job.id)
end
-- The claimer has just looked at its own queues; a sweep (n = 0) has not served them.
publish(now, n > 0 and queues or nil)

local expiring = redis.call('ZRANGE', P .. 'leases', 0, 0, 'WITHSCORES')
if expiring[2] then lookAgain(math.max(tonumber(expiring[2]), grace)) end
-- Whoever is full does not sleep until something is due: somebody else of its kind has to. The same for suspects beside the one that was taken.
if rest or (wanted > 0 and left <= 0 and due < now + LONGEST_SLEEP) or (suspected and #aside > 0) then wakeSelector(selector) end
answer[2] = rest and 0 or math.max(0, due - now)
return answer
