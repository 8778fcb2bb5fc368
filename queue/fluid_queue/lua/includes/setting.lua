-- include: base
-- setting: what `configure` said about a queue, as a table; empty when it said nothing. Read once in a call.
local settings = {}

local function setting(queue)
  if not settings[queue] then
    local text = redis.call('HGET', P .. 'settings', 'queue:' .. queue)
    settings[queue] = text and cjson.decode(text) or {}
  end
  return settings[queue]
end
