-- include: base
-- twin: the job whose deduplication makes this one needless, with its state; nil when there is none.
local function twin(id, mode, key)
  local first = redis.call('GET', P .. 'deduplication:' .. key)
  if not first or first == id then return nil end
  local state = redis.call('HGET', P .. 'job:' .. first, 'state')
  if mode ~= 'Throttle' and (not state or ENDED[state]) then return nil end
  return first, state
end
