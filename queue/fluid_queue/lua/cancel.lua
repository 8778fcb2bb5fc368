--[[ cancel: end waiting jobs now, ask the workers of running ones to stop; the same for their children and indexes. Terminal only when the
  worker confirms or its lease runs out. With the reason Withdrawn, what has started is left alone.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2 reason of the end   3.. ids
  RETURNS  a code for each id
  CODES    cancelled   stopping   active   finished <state>   gone   FENCED (error)
  EVENTS   cancelled ids ]]
-- include: base, clock, fenced, load, endJob, askToStop, stopIndexes, touch, evenAtMaxmemory, publish
local leader, reason = ARGV[1], ARGV[2]

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)

local function runs(job)
  if job.state == 'waiting-children' then return job.startedAt ~= false end
  if job.state ~= 'active' then return false end
  local lease = redis.call('ZSCORE', P .. 'leases', job.id)
  return lease and tonumber(lease) > now
end

local function cancel(id)
  local job = load(id)
  if not job then return 'gone' end
  if ENDED[job.state] then return 'finished ' .. job.state end
  if reason == 'Withdrawn' and runs(job) then return 'active' end
  if job.completions and job.state == 'waiting-children' then
    if stopIndexes(job, 'cancel', now) > 0 then return 'stopping' end
  elseif job.state == 'waiting-children' then
    redis.call('HSET', job.record, 'stop', 'cancel') -- its children decide when
    touch(id)
    return 'stopping'
  elseif runs(job) then
    askToStop(job, 'cancel')
    return 'stopping'
  end
  endJob(job, now, 'cancelled', reason, {})
  return 'cancelled'
end

local codes, wanted = {}, {}
for i = 3, #ARGV do wanted[#wanted + 1] = ARGV[i] end
local first = #wanted
local i = 1
while i <= #wanted do
  local id = wanted[i]
  -- Children are looked up first: a parent that waits only for them ends with the last of them.
  local children = reason ~= 'Withdrawn' and redis.call('HGETALL', P .. 'children:' .. id) or {}
  local code = cancel(id)
  if i <= first then codes[i] = code end
  if string.sub(code, 1, 8) ~= 'finished' then
    for k = 1, #children, 2 do
      if children[k + 1] == '' then wanted[#wanted + 1] = children[k] end
    end
  end
  i = i + 1
end

publish(now)
return codes
