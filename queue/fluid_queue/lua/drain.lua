--[[ drain: take jobs out of a queue that have not started; they end as cancelled, with the reason Drained. What runs goes on, also
  an index job of which some index has started.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2 queue   3 n, jobs at most in this call   4.. states: waiting, blocked, delayed, suspended
  RETURNS  {jobs drained, jobs left in these states}
  CODES    FENCED (error)
  EVENTS   drained ids ]]
-- include: base, clock, fenced, load, endJob, evenAtMaxmemory, publish, stopIndexes
local MOST_SKIPPED = 2000
local leader, queue, n = ARGV[1], ARGV[2], tonumber(ARGV[3])

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)
local drained, left = 0, 0

-- What can be drained in the place of a waiting job: itself, or of an index its job, as long as no other index has started.
local function drainable(id, state)
  local job = load(id)
  if not job or job.state ~= state then return nil end
  if not job.index then return job end
  local parent = load(job.parent)
  if not parent or parent.startedAt then return nil end
  stopIndexes(parent, 'cancel', now)
  return parent
end

for i = 4, #ARGV do
  local key, skipped = P .. ARGV[i] .. ':' .. queue, 0
  while drained < n and skipped < MOST_SKIPPED do
    local id = redis.call('ZRANGE', key, skipped, skipped)[1]
    if not id then break end
    local job = drainable(id, ARGV[i])
    if job then
      endJob(job, now, 'cancelled', 'Drained', {})
      drained = drained + 1
    else
      skipped = skipped + 1
    end
  end
  left = left + redis.call('ZCARD', key) - skipped
end

publish(now)
return {drained, left}
