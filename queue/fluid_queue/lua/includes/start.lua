-- include: enter, feed, toWaiting
-- start: a job that may run from now on: it waits for a worker; one with indexes begins to feed them.
local function start(job, now, seq)
  if job.completions then
    enter(job, 'waiting-children', now, 'dueAt', 0, 'next', 0)
    feed(job, now)
  else
    toWaiting(job, now, seq)
  end
end
