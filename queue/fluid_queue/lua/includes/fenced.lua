-- include: base
-- fenced: an error reply when `leader` ("<shard>:<epoch>", or "" for whoever is no operator) leads no more.
local function fenced(leader)
  if leader == '' then return nil end
  local shard, epoch = string.match(leader, '^(%d+):(%d+)$')
  local current = shard and redis.call('HGET', P .. 'leaders', shard)
  if current and current == epoch then return nil end
  return redis.error_reply('FENCED ' .. leader .. ' ' .. (current or 'nobody'))
end
