-- include: base, changes, wake, hint, exact
-- publish: the last step of every command that moves jobs. `served`: queues whose sleepers need no wake-up, because the caller has
-- just looked at them itself.
local function publish(served)
  for field, difference in pairs(changes.counts) do
    if difference ~= 0 and redis.call('HINCRBY', P .. 'counts', field, difference) == 0 then redis.call('HDEL', P .. 'counts', field) end
  end
  for queue, found in pairs(changes.durations) do
    for field, difference in pairs(found) do redis.call('HINCRBY', P .. 'histogram:' .. queue, field, exact(difference)) end
  end
  for _, queue in ipairs(served or {}) do changes.queues[queue] = nil end
  wake(changes.queues)
  hint(changes.ids)
end
