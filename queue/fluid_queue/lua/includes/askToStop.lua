-- include: base
-- askToStop: an active job's record says that it has to stop, and its worker is told to look at once.
local function askToStop(job, word)
  redis.call('HSET', job.record, 'stop', word)
  job.stop = word
  if not job.worker then return end
  local control = P .. 'control:' .. job.worker
  if redis.call('LLEN', control) == 0 then redis.call('RPUSH', control, '1') end
  redis.call('PEXPIRE', control, 60000)
end
