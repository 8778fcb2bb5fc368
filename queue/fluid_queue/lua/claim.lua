--[[ claim: take up to n jobs under a lease, best priority first, queues of equal priority in turn. Before that, whatever is due becomes
  waiting and leases that ran out are taken back. With n = 0 it does only that.
  KEYS     1 prefix of the key space
  ARGV     1 worker   2 selector ("*" or "a,b")   3 n   4 lease (ms)   5 stalls that fail a job
  RETURNS  {now (ms), ms until something may be due, {id, epoch, attempt, failures, startedAt, deadlineAt, queue, type, origin, spec}...}
  CODES    none   EVENTS ids that changed ]]
-- include: base, clock, exact, hint, wake, wakeSelector, queuesOf, takeBack, promote, endJob, evenAtMaxmemory
local worker, selector, n, lease, maxStalled = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local LONGEST_SLEEP = 5000
local BATCH = 200

evenAtMaxmemory()
local nowUs = clock()
local now = math.floor(nowUs / 1000)
local changed, filled = {}, {}
local answer = {now, 0}
local leases = {}

if worker ~= '' then
  redis.call('ZADD', P .. 'workers', now, worker)
  redis.call('ZADD', P .. 'selectors', now, selector)
end
redis.call('ZREMRANGEBYSCORE', P .. 'selectors', '-inf', now - 60000)

local queues = queuesOf(selector)
takeBack(now, BATCH, maxStalled, changed, filled)
local due = now + LONGEST_SLEEP
for _, queue in ipairs(queues) do
  local nextDue = promote(queue, now, BATCH, changed, filled)
  if nextDue and nextDue < due then due = nextDue end
  -- A queue without work is not looked at again before it has some: names are free, and there may be thousands.
  if not nextDue and redis.call('ZCARD', P .. 'waiting:' .. queue) == 0 then redis.call('SREM', P .. 'busy', queue) end
end

-- The queues whose first job has the best priority of all, and that priority's level.
local function best()
  local level, heads = nil, {}
  for _, queue in ipairs(queues) do
    local head = redis.call('ZRANGE', P .. 'waiting:' .. queue, 0, 0, 'WITHSCORES')
    if head[2] then
      local at = math.floor(tonumber(head[2]) / STEP)
      if not level or at < level then level, heads = at, {} end
      if at == level then heads[#heads + 1] = queue end
    end
  end
  return level, heads
end

-- Give one waiting job to the worker; false when it must not start any more, or is not there.
local function start(id, queue)
  local key = P .. 'job:' .. id
  local job = redis.call('HMGET', key, 'attempt', 'failures', 'epoch', 'startedAt', 'attemptDeadline', 'activeDeadline', 'version', 'type', 'origin', 'spec')
  if not job[10] then return false end
  local epoch = exact(math.max(tonumber(job[3] or '0') + 1, nowUs))
  local startedAt = tonumber(job[4] or now)
  local attemptDeadline, activeDeadline = tonumber(job[5]), tonumber(job[6])
  local deadline = attemptDeadline > 0 and now + attemptDeadline or 0
  if activeDeadline > 0 then
    local last = startedAt + activeDeadline
    if last <= now then
      endJob(id, now, 'failed', 'DeadlineExceeded', {})
      return false
    end
    if deadline == 0 or last < deadline then deadline = last end
  end
  local attempt = exact(tonumber(job[1]) + 1)
  redis.call('HSET', key, 'state', 'active', 'epoch', epoch, 'attempt', attempt, 'worker', worker, 'startedAt', exact(startedAt),
    'claimedAt', now, 'deadlineAt', exact(deadline), 'version', exact(tonumber(job[7]) + 1))
  redis.call('ZADD', P .. 'active:' .. queue, now, id)
  leases[#leases + 1] = now + lease
  leases[#leases + 1] = id
  answer[#answer + 1] = {id, epoch, attempt, job[2], exact(startedAt), exact(deadline), queue, job[8], job[9], job[10]}
  return true
end

local left, ended = n, 0
while left > 0 and ended < BATCH do
  local level, heads = best()
  if not level then break end
  local share = math.ceil(left / #heads)
  local first = nowUs % #heads -- the clock turns the order, so that claims of one job at a time serve every queue
  for i = 1, #heads do
    local queue = heads[(first + i) % #heads + 1]
    local waiting = P .. 'waiting:' .. queue
    local ids = redis.call('ZRANGEBYSCORE', waiting, '-inf', '(' .. exact((level + 1) * STEP), 'LIMIT', 0, math.min(share, left))
    if #ids > 0 then redis.call('ZREM', waiting, unpack(ids)) end
    for _, id in ipairs(ids) do
      if start(id, queue) then left = left - 1 else ended = ended + 1 end
      changed[#changed + 1] = id
    end
    if left <= 0 then break end
  end
end
if #leases > 0 then redis.call('ZADD', P .. 'leases', unpack(leases)) end

local rest = n > 0 and (left <= 0 or ended >= BATCH) and best()
if rest then wakeSelector(selector) end
-- The claimer has just looked at its own queues; a sweep (n = 0) has not served them.
if n > 0 then for _, queue in ipairs(queues) do filled[queue] = nil end end
wake(filled)
hint(changed)

local expiring = redis.call('ZRANGE', P .. 'leases', 0, 0, 'WITHSCORES')
if expiring[2] and tonumber(expiring[2]) < due then due = tonumber(expiring[2]) end
answer[2] = rest and 0 or math.max(0, due - now)
return answer
