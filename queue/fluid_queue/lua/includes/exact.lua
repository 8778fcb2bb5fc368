-- exact: a number as digits. tostring() rounds above 14 digits, and epochs have 16.
local function exact(number)
  return string.format('%.0f', number)
end
