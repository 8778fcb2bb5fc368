-- include: base
-- forget: take a job out of every index of its queue.
local function forget(id, queue)
  redis.call('ZREM', P .. 'waiting:' .. queue, id)
  redis.call('ZREM', P .. 'delayed:' .. queue, id)
  redis.call('ZREM', P .. 'active:' .. queue, id)
  redis.call('ZREM', P .. 'leases', id)
end
