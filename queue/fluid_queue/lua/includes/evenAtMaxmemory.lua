-- include: base
-- evenAtMaxmemory: let the rest of the script run when Redis is full. Redis refuses the first write that needs memory, but not in a
-- script that has already written something that needs none; this takes nothing out of an index.
-- Answers whether it is full: LPUSHX needs memory, and does nothing to a list that is not there.
local function evenAtMaxmemory()
  local probe = redis.pcall('LPUSHX', P .. 'full', '')
  redis.call('ZREM', P .. 'leases', '')
  return type(probe) == 'table' and probe.err ~= nil
end
