-- include: base, cancelOne
-- cancelAll: cancel jobs and, unless they are only withdrawn, whatever they have enqueued as children and grandchildren, also those of indexes. Answers the codes of
-- the jobs themselves, in order.
local function cancelAll(ids, reason, now)
  local codes, asked = {}, #ids
  local i = 1
  while i <= #ids do
    -- Children are looked up first: a parent that waits only for them ends with the last of them.
    local children = reason ~= 'Withdrawn' and redis.call('HGETALL', P .. 'children:' .. ids[i]) or {}
    for _, index in ipairs(reason ~= 'Withdrawn' and redis.call('SMEMBERS', P .. 'fed:' .. ids[i]) or {}) do
      for _, word in ipairs(redis.call('HGETALL', P .. 'children:' .. ids[i] .. '.' .. index)) do children[#children + 1] = word end
    end
    local code = cancelOne(ids[i], reason, now)
    if i <= asked then codes[i] = code end
    if string.sub(code, 1, 8) ~= 'finished' then
      for k = 1, #children, 2 do
        if children[k + 1] == '' then ids[#ids + 1] = children[k] end
      end
    end
    i = i + 1
  end
  return codes
end
