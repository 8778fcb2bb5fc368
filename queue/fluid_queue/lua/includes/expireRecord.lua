-- include: base
-- expireRecord: let a finished record, its attempts and its log go after `keep` ms.
local function expireRecord(id, keep)
  for _, kind in ipairs({'job:', 'attempts:', 'log:'}) do
    redis.call('PEXPIRE', P .. kind .. id, keep)
  end
end
