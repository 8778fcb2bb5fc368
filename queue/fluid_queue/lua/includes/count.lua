-- include: changes
-- count: keep the number of jobs by queue, state and type. Live states go up and down, ended ones only up.
local function count(job, state, difference)
  local field = job.queue .. ':' .. state .. ':' .. job.type
  changes.counts[field] = (changes.counts[field] or 0) + difference
end
