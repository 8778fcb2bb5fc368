-- include: changes
-- touch: note that readers should look at this record.
local function touch(id)
  if not changes.seen[id] then
    changes.seen[id] = true
    changes.ids[#changes.ids + 1] = id
  end
end
