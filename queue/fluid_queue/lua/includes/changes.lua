-- changes: what this call has changed, gathered so that readers, sleepers and counters hear of it once, at the end (`publish`).
local changes = {
  ids = {},       -- whose record changed, in order
  seen = {},      -- the same as a set
  queues = {},    -- queues in which something may have become claimable
  counts = {},    -- "<queue>:<state>:<type>" -> difference
  durations = {}, -- queue -> {"<wait or run>:<bucket or sum>:<type>" -> difference}
}
