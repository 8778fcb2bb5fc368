-- include: base
-- noteAttempt: keep an attempt that did not end the job; the last five stay. `error` is JSON or ''.
local function noteAttempt(id, now, outcome, error)
  local job = redis.call('HMGET', P .. 'job:' .. id, 'attempt', 'claimedAt', 'worker')
  local line = '{"attempt":' .. job[1] .. ',"startedAt":' .. job[2] .. ',"endedAt":' .. now
    .. ',"worker":' .. cjson.encode(job[3]) .. ',"outcome":"' .. outcome .. '"'
    .. (error ~= '' and ',"error":' .. error or '') .. '}'
  redis.call('RPUSH', P .. 'attempts:' .. id, line)
  redis.call('LTRIM', P .. 'attempts:' .. id, -5, -1)
end
