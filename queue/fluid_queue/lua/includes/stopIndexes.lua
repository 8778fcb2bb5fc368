-- include: base, load, leave, askToStop, dropIndex, touch
-- stopIndexes: no further index of this job starts, and those that run are asked to stop. `word` says what for: cancel, suspend, or
-- "fail <reason>". Answers how many still run; with none the caller may conclude.
local function stopIndexes(parent, word, now)
  redis.call('HSET', parent.record, 'stop', word)
  parent.stop = word
  local running = 0
  for _, index in ipairs(redis.call('SMEMBERS', P .. 'fed:' .. parent.id)) do
    local job = load(parent.id .. '.' .. index)
    if not job then
      redis.call('SREM', P .. 'fed:' .. parent.id, index)
    elseif job.state == 'active' then
      askToStop(job, word)
      running = running + 1
    else
      -- Its going opens gates for others of its kind, which go in their turn.
      leave(job, now)
      dropIndex(job)
    end
  end
  touch(parent.id)
  return running
end
