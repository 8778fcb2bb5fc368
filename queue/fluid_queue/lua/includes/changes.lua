-- changes: what this call has changed, gathered so that it costs one command each and not one per job. `settle` carries out what is
-- kept back here; `publish` tells readers, sleepers and counters. Nothing that the same call reads again may be kept back.
local changes = {
  ids = {},        -- whose record changed, in order
  seen = {},       -- the same as a set
  queues = {},     -- queues in which something may have become claimable
  counts = {},     -- queue -> type -> state -> difference
  durations = {},  -- queue -> "wait" or "run" -> type -> bucket or "sum" -> difference
  entries = {},    -- key of a sorted set -> {score, member, ...} to add
  removals = {},   -- key of a sorted set -> {member, ...} to remove
  tombstones = {}, -- {id, line, ...}
  graves = {},     -- {when the tombstone goes, id, ...}
}
