-- include: gateFree
-- shut: the first gate that a job cannot pass now, or nil.
local function shut(job, now)
  for _, gate in ipairs(job.gates) do
    if gateFree(job.queue, gate, now) <= 0 then return gate end
  end
  return nil
end
