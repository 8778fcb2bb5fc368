-- include: base, wakeSelector
-- wake: wake a worker of each selector that covers one of the queues ({queue -> true}).
local function wake(queues)
  if next(queues) == nil then return end
  for _, selector in ipairs(redis.call('ZRANGE', P .. 'selectors', 0, -1)) do
    local covered = selector == '*'
    if not covered then
      for queue in string.gmatch(selector, '[^,]+') do
        covered = covered or queues[queue]
      end
    end
    if covered then wakeSelector(selector) end
  end
end
