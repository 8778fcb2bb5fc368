-- include: endJob, stopIndexes, timestamp
-- missStart: a job that has not started by the time at which it had to fails.
local function missStart(job, now)
  if job.completions then stopIndexes(job, 'cancel', now) end -- none has started
  local error = '{"type":"StartingDeadlineExceeded","message":"not started by ' .. timestamp(tonumber(job.startBy))
    .. ', the end of its starting deadline","attempt":' .. job.attempt .. '}'
  endJob(job, now, 'failed', 'StartingDeadlineExceeded', {'error', error})
end
