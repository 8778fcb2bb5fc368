--[[ promote: delayed jobs need not wait any longer.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2.. ids
  RETURNS  a code for each id
  CODES    promoted   unchanged   gone   FENCED (error)
  EVENTS   promoted ids ]]
-- include: clock, fenced, leave, start, evenAtMaxmemory, publish, answerEach
local leader = ARGV[1]

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)
local codes = answerEach({unpack(ARGV, 2)}, function(job)
  if job.state ~= 'delayed' then return 'unchanged' end
  leave(job, now)
  start(job, now)
  return 'promoted'
end)

publish(now)
return codes
