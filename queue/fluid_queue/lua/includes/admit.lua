-- include: base, exact, setting
-- admit: whether the creation limit of a queue lets one more job in; else for how many ms it has to wait. A bucket of `max` that fills
-- within `perSeconds` (GCRA: one number says when it will be full again).
local function admit(queue, nowUs)
  local limit = setting(queue).creationLimit
  if not limit then return nil end
  local key, window = P .. 'creation:' .. queue, limit.perSeconds * 1000000
  local interval = window / limit.max
  local full = math.max(tonumber(redis.call('GET', key) or '0'), nowUs)
  local wait = full + interval - window - nowUs
  if wait > 0 then return math.ceil(wait / 1000) end
  redis.call('SET', key, exact(full + interval), 'PX', exact(math.ceil((full + interval - nowUs) / 1000)))
  return nil
end
