--[[ drain: take jobs out of a queue that have not started; they end as cancelled, with the reason Drained. What runs goes on.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2 queue   3 n, jobs at most in this call   4.. states: waiting, blocked, delayed, suspended
  RETURNS  {jobs drained, jobs left in these states}
  CODES    FENCED (error)
  EVENTS   drained ids ]]
-- include: base, clock, fenced, load, endJob, evenAtMaxmemory, publish
local leader, queue, n = ARGV[1], ARGV[2], tonumber(ARGV[3])

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)
local drained, left = 0, 0
for i = 4, #ARGV do
  local key = P .. ARGV[i] .. ':' .. queue
  local ids = drained < n and redis.call('ZRANGE', key, 0, n - drained - 1) or {}
  for _, id in ipairs(ids) do
    local job = load(id)
    if job and job.state == ARGV[i] then
      endJob(job, now, 'cancelled', 'Drained', {})
      drained = drained + 1
    elseif not job then
      redis.call('ZREM', key, id)
    end
  end
end
for i = 4, #ARGV do left = left + redis.call('ZCARD', P .. ARGV[i] .. ':' .. queue) end

publish(now)
return {drained, left}
