--[[ promote: delayed jobs need not wait any longer.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2.. ids
  RETURNS  a code for each id
  CODES    promoted   unchanged   gone   FENCED (error)
  EVENTS   promoted ids ]]
-- include: clock, fenced, load, leave, start, evenAtMaxmemory, publish
local leader = ARGV[1]

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)
local codes = {}
for i = 2, #ARGV do
  local job = load(ARGV[i])
  local code = 'promoted'
  if not job then
    code = 'gone'
  elseif job.state ~= 'delayed' then
    code = 'unchanged'
  else
    leave(job, now)
    start(job, now)
  end
  codes[#codes + 1] = code
end

publish(now)
return codes
