-- exact: a number as digits, for texts and answers: tostring() rounds above 14 digits, and epochs have 16. Redis itself writes a number that
-- is an argument with 17 digits, so milliseconds and counters need none of this.
local function exact(number)
  return string.format('%.0f', number)
end
