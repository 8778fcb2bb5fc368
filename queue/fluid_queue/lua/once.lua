--[[ once: a ledger for side effects that must not be repeated. `begin` before, `sent` after; `release` if it certainly did not happen.
  KEYS     1 prefix of the key space
  ARGV     1 key   2 begin | sent | release   3 owner (the id of the job)   4 how long to remember (ms)
  RETURNS  a code
  CODES    begun   again   sending   sent   released   lost
  EVENTS   none ]]
-- begun: nobody did it. again: the same owner had begun, and nobody knows how that went. sending: another owner has begun.
-- sent: it is done. released, lost: the answer to `release`, or to a word of somebody who is not the owner.
-- include: base, evenAtMaxmemory
evenAtMaxmemory()
local key, word, owner, ttl = P .. 'once:' .. ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local state, holder = string.match(redis.call('GET', key) or '', '^(%a+) (.+)$')
if word == 'begin' then
  if state == 'sent' then return 'sent' end
  if state and holder ~= owner then return 'sending' end
  redis.call('SET', key, 'sending ' .. owner, 'PX', ttl)
  if state then return 'again' end
  return 'begun'
end
if holder ~= owner then return 'lost' end
if word == 'sent' then
  redis.call('SET', key, 'sent ' .. owner, 'PX', ttl)
  return 'sent'
end
if state == 'sent' then return 'sent' end
redis.call('DEL', key)
return 'released'
