-- include: base
-- noteAttempt: keep an attempt that did not end the job; the last five stay. `error` is JSON or ''.
local function noteAttempt(job, now, outcome, error)
  local line = '{"attempt":' .. job.attempt .. ',"startedAt":' .. job.claimedAt .. ',"endedAt":' .. now
    .. ',"worker":' .. cjson.encode(job.worker) .. ',"outcome":"' .. outcome .. '"'
    .. (error ~= '' and ',"error":' .. error or '') .. '}'
  redis.call('HSET', job.record, 'noted', 1, 'linked', 1)
  job.noted = true
  redis.call('RPUSH', P .. 'attempts:' .. job.id, line)
  redis.call('LTRIM', P .. 'attempts:' .. job.id, -5, -1)
end
