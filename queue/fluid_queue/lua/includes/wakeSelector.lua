-- include: base
-- wakeSelector: leave one marker for the workers of a selector; one is enough, whoever leaves work behind sets it again.
local function wakeSelector(selector)
  local list = P .. 'wake:' .. selector
  if redis.call('LLEN', list) == 0 then redis.call('RPUSH', list, '1') end
end
