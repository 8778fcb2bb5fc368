-- timestamp: a moment (ms since 1970) as a text for people, "2026-12-01T07:00:00Z". Scripts have no calendar, so it is counted out.
local function isLeap(year)
  return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
end

local function timestamp(ms)
  local seconds = math.floor(ms / 1000)
  local day, year, month = math.floor(seconds / 86400), 1970, 1
  local function skip(days)
    if day < days then return false end
    day = day - days
    return true
  end
  while skip(isLeap(year) and 366 or 365) do year = year + 1 end
  while skip(month == 2 and (isLeap(year) and 29 or 28) or (month == 4 or month == 6 or month == 9 or month == 11) and 30 or 31) do
    month = month + 1
  end
  local rest = seconds % 86400
  return string.format('%04d-%02d-%02dT%02d:%02d:%02dZ', year, month, day + 1, math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60)
end
