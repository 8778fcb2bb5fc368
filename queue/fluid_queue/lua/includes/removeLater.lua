-- include: changes
-- removeLater: take a member out of a sorted set when the call settles.
local function removeLater(key, member)
  local found = changes.removals[key]
  if not found then
    found = {}
    changes.removals[key] = found
  end
  found[#found + 1] = member
end
