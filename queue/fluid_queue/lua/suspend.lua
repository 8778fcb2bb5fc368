--[[ suspend: hold jobs back until `resume`; the workers of running ones are asked to stop, and that attempt does not count.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2.. ids
  RETURNS  a code for each id
  CODES    suspended   stopping   unchanged (it waits for its children)   finished <state>   gone   FENCED (error)
  EVENTS   suspended ids ]]
-- include: base, clock, fenced, load, leave, enter, askToStop, stopIndexes, endJob, evenAtMaxmemory, publish
local leader = ARGV[1]

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)
local codes = {}
for i = 2, #ARGV do
  local job = load(ARGV[i])
  local code = 'suspended'
  if not job then
    code = 'gone'
  elseif ENDED[job.state] then
    code = 'finished ' .. job.state
  elseif job.stop and job.stop ~= 'suspend' then
    code = 'stopping'
  elseif job.state == 'waiting-children' and not job.completions then
    code = 'unchanged'
  elseif job.state == 'active' then
    askToStop(job, 'suspend')
    code = 'stopping'
  elseif job.state == 'waiting-children' then
    if stopIndexes(job, 'suspend', now) > 0 then code = 'stopping' else endJob(job, now, 'suspended', '', {}) end
  elseif job.state ~= 'suspended' then
    leave(job, now)
    enter(job, 'suspended', now)
  end
  codes[#codes + 1] = code
end

publish(now)
return codes
