--[[ own: let one owner at a time use the key space. Taken when it is free or already the owner's, and kept for so long from now on.
  KEYS     1 prefix of the key space
  ARGV     1 owner   2 its name for people   3 for how long (ms); 0 = give it up
  RETURNS  {code, name of who has it}
  CODES    owned   taken   free
  EVENTS   none ]]
-- owned: it is the caller's. taken: it is another's, and stays so. free: the caller has it no more.
-- include: base, evenAtMaxmemory
evenAtMaxmemory()
local key, owner, name, ms = P .. 'owner', ARGV[1], ARGV[2], tonumber(ARGV[3])

local holder, known = string.match(redis.call('GET', key) or '', '^(%S+) ?(.*)$')
if holder and holder ~= owner then return {'taken', known} end
if ms > 0 then
  redis.call('SET', key, owner .. ' ' .. name, 'PX', ms)
  return {'owned', name}
end
redis.call('DEL', key)
return {'free', ''}
