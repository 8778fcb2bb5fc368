-- P: the key space's prefix; every key of a script is derived from it, so all stand in one hash slot.
local P = KEYS[1]

-- One step of priority in a score of `waiting`; a score stays below 2^53, so doubles hold it exactly.
local STEP = 4398046511104

-- States that a job leaves only by `retry`.
local ENDED = {completed = true, failed = true, cancelled = true}
