-- include: base
-- summary: a finished job in one line, `<state> <attempt> <startedAt> <finishedAt> <reason> <hash>`; what tombstones hold.
local function summary(id)
  local job = redis.call('HMGET', P .. 'job:' .. id, 'state', 'attempt', 'startedAt', 'finishedAt', 'reason', 'hash')
  return table.concat({job[1], job[2] or '0', job[3] or '0', job[4] or '0', job[5] or '', job[6] or ''}, ' ')
end
