-- include: base, gatesOf
-- load: what transitions need to know of a job, as a table; nil when there is no record. Numbers that may be large stay digits.
local function load(id)
  local record = P .. 'job:' .. id
  local v = redis.call('HMGET', record, 'state', 'queue', 'type', 'priority', 'seq', 'version', 'key', 'parent', 'index', 'completions',
    'dedup', 'keep', 'ack', 'attempt', 'failures', 'startedAt', 'claimedAt', 'dueAt', 'hash', 'stop', 'epoch', 'worker', 'children', 'logged', 'noted', 'startBy')
  if not v[1] then return nil end
  return {
    id = id, record = record, state = v[1], queue = v[2], type = v[3], priority = v[4], seq = tonumber(v[5]), version = tonumber(v[6] or '0'),
    parent = v[8], index = v[9], completions = v[10], dedup = v[11], keep = v[12] or '0', ack = v[13], attempt = v[14] or '0', failures = v[15] or '0',
    startedAt = v[16], claimedAt = v[17], dueAt = v[18], hash = v[19] or '', stop = v[20], epoch = v[21], worker = v[22], children = v[23], logged = v[24], noted = v[25], startBy = v[26],
    gates = gatesOf(v[7], v[9] and v[8]),
  }
end
