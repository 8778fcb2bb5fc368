--[[ configure: what the environment wants of its workers, as one record; every claim and renewal answers its version. Pauses are not part of it.
  KEYS     1 prefix of the key space
  ARGV     1 leader ("<shard>:<epoch>" or "")   2.. field and value: "suspend" ("1"), "outbound" (JSON), "queue:<queue>" (JSON)
  RETURNS  version: the old one when nothing has changed
  CODES    FENCED (error)
  EVENTS   none ]]
-- include: base, fenced, wakeSelector, clock, publish, unblock, evenAtMaxmemory
local leader = ARGV[1]

evenAtMaxmemory() -- what is full is to be stopped, of all things
local refused = fenced(leader)
if refused then return refused end

local key = P .. 'settings'
local before, fields = {}, 0
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do before[all[i]] = all[i + 1] end
local version = tonumber(before.version or '0')
before.version = nil
for _ in pairs(before) do fields = fields + 1 end

local same = version > 0 and fields == (#ARGV - 1) / 2
for i = 2, #ARGV, 2 do same = same and before[ARGV[i]] == ARGV[i + 1] end
if same then return version end

-- Turns are counted anew where they begin, end, or go by another tag: an old round would put new jobs before all that wait.
local function tagOf(text)
  local fairness = text and cjson.decode(text).fairness
  return fairness and fairness.tag
end
local function forgetTurns(field, after)
  local queue = string.match(field, '^queue:(.+)$')
  if not queue or tagOf(before[field]) == tagOf(after) then return end
  for _, priority in ipairs(redis.call('HKEYS', P .. 'rounds:' .. queue)) do redis.call('DEL', P .. 'lanes:' .. queue .. ':' .. priority) end
  redis.call('DEL', P .. 'rounds:' .. queue)
end
local given = {}
for i = 2, #ARGV, 2 do
  given[ARGV[i]] = true
  forgetTurns(ARGV[i], ARGV[i + 1])
end
for field in pairs(before) do
  if not given[field] then forgetTurns(field, nil) end
end

redis.call('DEL', key)
redis.call('HSET', key, 'version', version + 1, unpack(ARGV, 2))
-- A key may have become wider.
local now = math.floor(clock() / 1000)
for _, each in ipairs(redis.call('SMEMBERS', P .. 'gates')) do
  local queue, gate = string.match(each, '^([^:]+):(.+)$')
  unblock(queue, gate, now)
end
for _, selector in ipairs(redis.call('ZRANGE', P .. 'selectors', 0, -1)) do wakeSelector(selector) end
publish(now)
return version + 1
