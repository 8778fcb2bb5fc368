-- include: base
-- hint: tell readers whose records changed. Ids only: whoever reads a hint looks at the record itself.
local function hint(ids)
  if #ids > 0 then
    redis.call('XADD', P .. 'events', 'MAXLEN', '~', 10000, '*', 'ids', table.concat(ids, ' '))
  end
end
