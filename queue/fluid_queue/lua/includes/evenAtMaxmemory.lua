-- include: base
-- evenAtMaxmemory: let the rest of the script run when Redis is full. Redis refuses the first write that needs memory, but not in a
-- script that has already written something that needs none; this takes nothing out of an index.
local function evenAtMaxmemory()
  redis.call('ZREM', P .. 'leases', '')
end
