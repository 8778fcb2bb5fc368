-- include: base, exact
-- limitScope: nothing of this scope starts before `until`: "queue:<queue>" or "key:<queue>:<key>". A later end stands.
local function limitScope(scope, till)
  redis.call('ZADD', P .. 'limits', 'GT', exact(till), scope)
end
