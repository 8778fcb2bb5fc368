-- include: base
-- loadPlain: as `load`, for a job that runs and has no links to anything else (key, parent, children, indexes, deduplication, attempts, log):
-- half of the fields, because most jobs are like that and each field counts. nil for all others.
local NO_GATES = {}

local function loadPlain(id)
  local record = P .. 'job:' .. id
  local v = redis.call('HMGET', record, 'linked', 'state', 'queue', 'type', 'version', 'keep', 'ack', 'attempt', 'startedAt', 'claimedAt', 'hash', 'stop', 'epoch')
  if v[1] or v[2] ~= 'active' then return nil end
  return {
    id = id, record = record, state = v[2], queue = v[3], type = v[4], version = tonumber(v[5]), keep = v[6], ack = v[7], attempt = v[8], startedAt = v[9],
    claimedAt = v[10], hash = v[11], stop = v[12], epoch = v[13], gates = NO_GATES,
  }
end
