-- include: base, changes, settle, wake, hint, exact
-- publish: the last step of every command that moves jobs. `served`: queues whose sleepers need no wake-up, because the caller has
-- just looked at them itself.
local function publish(now, served)
  settle(now)
  for queue, types in pairs(changes.counts) do
    for kind, states in pairs(types) do
      for state, difference in pairs(states) do
        local field = queue .. ':' .. state .. ':' .. kind
        if difference ~= 0 and redis.call('HINCRBY', P .. 'counts', field, difference) == 0 then redis.call('HDEL', P .. 'counts', field) end
      end
    end
  end
  for queue, kinds in pairs(changes.durations) do
    for kind, types in pairs(kinds) do
      for name, buckets in pairs(types) do
        for bucket, difference in pairs(buckets) do
          redis.call('HINCRBY', P .. 'histogram:' .. queue, kind .. ':' .. bucket .. ':' .. name, exact(difference))
        end
      end
    end
  end
  for _, queue in ipairs(served or {}) do changes.queues[queue] = nil end
  wake(changes.queues)
  hint(changes.ids)
end
