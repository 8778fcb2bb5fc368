-- include: base, unbury
-- erase: nothing is left of a job that has left its state, its tombstone included.
local function erase(job)
  local id = job.id
  redis.call('DEL', job.record, P .. 'attempts:' .. id, P .. 'log:' .. id, P .. 'children:' .. id, P .. 'items:' .. id,
    P .. 'completed-indexes:' .. id, P .. 'failed-indexes:' .. id)
  redis.call('ZREM', P .. 'unacknowledged', id)
  if job.dedup and redis.call('GET', P .. 'deduplication:' .. job.dedup) == id then redis.call('DEL', P .. 'deduplication:' .. job.dedup) end
  unbury(id)
end
