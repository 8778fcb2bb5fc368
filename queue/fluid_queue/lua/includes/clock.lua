-- clock: the server's time in microseconds; the only clock that scripts know.
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end
