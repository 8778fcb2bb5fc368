-- include: changes
-- measure: one more wait ("wait": ready until claimed) or run ("run": claimed until ended) of so many ms, in the histogram of its
-- queue and type. Bucket k holds what is longer than 2^(k-1) ms and at most 2^k ms; 23 holds all that is longer than an hour.
local function measure(job, kind, ms)
  local fraction, bucket = math.frexp(math.max(1, ms))
  if fraction == 0.5 then bucket = bucket - 1 end
  local queue = changes.durations[job.queue]
  if not queue then
    queue = {wait = {}, run = {}}
    changes.durations[job.queue] = queue
  end
  local found = queue[kind][job.type]
  if not found then
    found = {sum = 0}
    queue[kind][job.type] = found
  end
  bucket = math.min(bucket, 23)
  found[bucket] = (found[bucket] or 0) + 1
  found.sum = found.sum + math.max(0, ms)
end
