-- whole: whether every one of these words is a number in plain digits. Asked before the first write: a script that stops half-way
-- leaves half a move behind.
local function whole(...)
  for i = 1, select('#', ...) do
    local word = select(i, ...)
    if type(word) ~= 'string' or not string.find(word, '^-?%d+$') or #word > 16 then return false end
  end
  return true
end
