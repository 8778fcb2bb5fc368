-- include: base
-- noteFirstStart: a job that had to start by some time has done so, and nothing asks for that time any more.
local function noteFirstStart(id)
  if redis.call('ZREM', P .. 'starting', id) == 1 then redis.call('HDEL', P .. 'job:' .. id, 'startBy') end
end
