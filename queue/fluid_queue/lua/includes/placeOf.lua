-- include: base
-- placeOf: the score of a job in `waiting` and `blocked`: better priority first, then lower `seq`.
local function placeOf(priority, seq)
  return (1000 - tonumber(priority)) * STEP + seq
end
