-- include: changes
-- count: keep the number of jobs by queue, state and type. Live states go up and down, ended ones only up.
local function count(job, state, difference)
  local queue, kind = changes.counts[job.queue], job.type
  if not queue then
    queue = {}
    changes.counts[job.queue] = queue
  end
  local states = queue[kind]
  if not states then
    states = {}
    queue[kind] = states
  end
  states[state] = (states[state] or 0) + difference
end
