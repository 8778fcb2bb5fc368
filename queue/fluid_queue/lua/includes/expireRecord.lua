-- include: base
-- expireRecord: let a finished record and what belongs to it go after `keep` ms.
local function expireRecord(job)
  local names = {'job:', 'attempts:', 'log:'}
  if job.children then names[#names + 1] = 'children:' end
  if job.completions then
    for _, name in ipairs({'items:', 'completed-indexes:', 'failed-indexes:'}) do names[#names + 1] = name end
  end
  for _, name in ipairs(names) do redis.call('PEXPIRE', P .. name .. job.id, job.keep) end
end
