-- include: leave, conclude, endIndex, endChild, enter
-- endJob: the one way into completed, failed and cancelled, for a job in whatever state, and for all that waited for it alone. `fields`
-- are further pairs for the record.
local function endJob(job, now, state, reason, fields)
  while job do
    leave(job, now)
    local parent, itsState, itsReason
    if job.index then
      local error = ''
      for i = 1, #fields, 2 do
        if fields[i] == 'error' then error = fields[i + 1] end
      end
      if error == '' then error = redis.call('HGET', job.record, 'error') or '' end
      parent, itsState, itsReason = endIndex(job, now, state, error)
    elseif state == 'suspended' then
      if job.startedAt then redis.call('HSET', job.record, 'begun', 1) end
      redis.call('HDEL', job.record, 'stop', 'startedAt') -- the clock stands still, as in batch/v1
      enter(job, 'suspended', now)
    else
      conclude(job, now, state, reason, unpack(fields))
      if job.parent then parent, itsState, itsReason = endChild(job, state) end
    end
    job, state, reason, fields = parent, itsState, itsReason, {}
  end
end
