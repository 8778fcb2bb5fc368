-- include: base
-- dropIndex: an index that has left the queue leaves nothing behind but a bit of its parent.
local function dropIndex(job)
  redis.call('SREM', P .. 'fed:' .. job.parent, job.index)
  redis.call('DEL', job.record, P .. 'attempts:' .. job.id, P .. 'log:' .. job.id, P .. 'children:' .. job.id)
end
