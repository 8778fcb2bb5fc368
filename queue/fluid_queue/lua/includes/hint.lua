-- include: base
-- hint: tell readers whose records changed. Ids only: whoever reads a hint looks at the record itself. Entries are bounded in size and
-- number, so that the stream stays within some tens of megabytes whatever happens.
local function hint(ids)
  for first = 1, #ids, 100 do
    local last = math.min(first + 99, #ids)
    redis.call('XADD', P .. 'events', 'MAXLEN', '~', 5000, '*', 'ids', table.concat(ids, ' ', first, last))
  end
end
