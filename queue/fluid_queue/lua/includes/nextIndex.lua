-- include: base
-- nextIndex: the first index from `from` on that has neither completed nor failed; nil when there is none below `completions`.
local function nextIndex(id, from, completions)
  local completed, failed = P .. 'completed-indexes:' .. id, P .. 'failed-indexes:' .. id
  local index = from
  while index < completions do
    if index % 8 == 0 then
      -- Whole bytes of completed ones are passed over in one step; behind the end of the string all bits are clear.
      local clear = redis.call('BITPOS', completed, 0, math.floor(index / 8))
      if clear > index then index = clear end
      if clear < 0 then index = math.max(index, redis.call('STRLEN', completed) * 8) end
    end
    if index >= completions then return nil end
    if redis.call('GETBIT', completed, index) == 0 and redis.call('GETBIT', failed, index) == 0 then return index end
    index = index + 1
  end
  return nil
end
