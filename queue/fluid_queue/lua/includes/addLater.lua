-- include: changes
-- addLater: put a member into a sorted set when the call settles.
local function addLater(key, score, member)
  local found = changes.entries[key]
  if not found then
    found = {}
    changes.entries[key] = found
  end
  found[#found + 1] = score
  found[#found + 1] = member
end
