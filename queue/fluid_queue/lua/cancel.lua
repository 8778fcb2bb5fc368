--[[ cancel: end waiting jobs now, ask the workers of running ones to stop; the same for their children and indexes. Terminal only when the
  worker confirms or its lease runs out. With the reason Withdrawn, what has started is left alone.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2 reason of the end   3.. ids
  RETURNS  a code for each id
  CODES    cancelled   stopping   active   finished <state>   gone   FENCED (error)
  EVENTS   cancelled ids ]]
-- include: clock, fenced, evenAtMaxmemory, publish, cancelAll
local leader, reason = ARGV[1], ARGV[2]

evenAtMaxmemory()
local refused = fenced(leader)
if refused then return refused end

local now = math.floor(clock() / 1000)

local ids = {}
for i = 3, #ARGV do ids[#ids + 1] = ARGV[i] end
local codes = cancelAll(ids, reason, now)

publish(now)
return codes
