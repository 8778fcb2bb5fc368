-- include: load
-- answerEach: the codes of a command for these jobs. `act` gets each one that is there, and answers its code.
local function answerEach(ids, act)
  local codes = {}
  for i, id in ipairs(ids) do
    local job = load(id)
    codes[i] = job and act(job) or 'gone'
  end
  return codes
end
