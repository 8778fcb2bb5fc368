-- include: base
-- queuesOf: the queues that a selector covers; for "*" those that have work.
local function queuesOf(selector)
  if selector == '*' then return redis.call('SMEMBERS', P .. 'busy') end
  local queues = {}
  for queue in string.gmatch(selector, '[^,]+') do queues[#queues + 1] = queue end
  return queues
end
