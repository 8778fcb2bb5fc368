-- include: base
-- expireRecord: let a finished record and what belongs to it go after `keep` ms.
local function expireRecord(job)
  local id, keep = job.id, job.keep
  redis.call('PEXPIRE', job.record, keep)
  if job.noted then redis.call('PEXPIRE', P .. 'attempts:' .. id, keep) end
  if job.logged then redis.call('PEXPIRE', P .. 'log:' .. id, keep) end
  if job.children then redis.call('PEXPIRE', P .. 'children:' .. id, keep) end
  if job.completions then
    for _, name in ipairs({'items:', 'completed-indexes:', 'failed-indexes:'}) do redis.call('PEXPIRE', P .. name .. id, keep) end
  end
end
