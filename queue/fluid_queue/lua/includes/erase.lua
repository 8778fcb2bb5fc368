-- include: base, unbury
-- erase: nothing is left of a job that has left its state, its tombstone included. `history` stays if another record of it follows.
local function erase(job, history)
  local id = job.id
  redis.call('DEL', job.record, P .. 'items:' .. id)
  if not history then
    redis.call('DEL', P .. 'attempts:' .. id, P .. 'log:' .. id, P .. 'children:' .. id, P .. 'completed-indexes:' .. id, P .. 'failed-indexes:' .. id)
  end
  redis.call('ZREM', P .. 'unacknowledged', id)
  redis.call('ZREM', P .. 'starting', id)
  if job.dedup and redis.call('GET', P .. 'deduplication:' .. job.dedup) == id then redis.call('DEL', P .. 'deduplication:' .. job.dedup) end
  unbury(id)
end
