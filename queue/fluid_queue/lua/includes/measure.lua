-- include: changes
-- measure: one more wait ("wait": ready until claimed) or run ("run": claimed until ended) of so many ms, in the histogram of its
-- queue and type. Bucket k holds what is longer than 2^(k-1) ms and at most 2^k ms; 23 holds all that is longer than an hour.
local function measure(job, kind, ms)
  local fraction, bucket = math.frexp(math.max(1, ms))
  if fraction == 0.5 then bucket = bucket - 1 end
  local found = changes.durations[job.queue] or {}
  changes.durations[job.queue] = found
  local name, sum = kind .. ':' .. math.min(bucket, 23) .. ':' .. job.type, kind .. ':sum:' .. job.type
  found[name] = (found[name] or 0) + 1
  found[sum] = (found[sum] or 0) + math.max(0, ms)
end
