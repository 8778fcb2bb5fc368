--[[ inspect: read records; never the payload. A record that has gone may have left a tombstone.
  KEYS     1 prefix of the key space
  ARGV     1 number of fields f   2..f+1 fields   f+2.. ids
  RETURNS  for each id: {values of the fields, {attempts (JSON)...}, indexes that run now}, or the tombstone's line, or nil
  CODES    none   EVENTS none ]]
-- include: base
local fields = tonumber(ARGV[1])

local place = {}
for i = 2, fields + 1 do place[ARGV[i]] = i - 1 end

local function running(id, completions, queue)
  return completions and queue and redis.call('SCARD', P .. 'holders:' .. queue .. ':index:' .. id) or 0
end

local answer = {}
for i = fields + 2, #ARGV do
  local id = ARGV[i]
  local values = redis.call('HMGET', P .. 'job:' .. id, unpack(ARGV, 2, fields + 1))
  if values[1] then
    answer[#answer + 1] = {values, redis.call('LRANGE', P .. 'attempts:' .. id, 0, -1), running(id, values[place.completions], values[place.queue])}
  else
    answer[#answer + 1] = redis.call('HGET', P .. 'tombstones', id)
  end
end
return answer
