-- Health of a FluidJob, for Argo CD: what its phase means, in the words of its Ready condition.
-- A status that speaks of an older spec says nothing of this one.
local byPhase = {
  Suspended = "Suspended",
  Succeeded = "Healthy",
  Failed = "Degraded",
  Cancelled = "Degraded",
}

local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "waits until the operator has looked at it" }
end

local health = { status = byPhase[status.phase] or "Progressing", message = status.phase }
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then
    health.message = condition.reason .. ": " .. condition.message
  end
end
return health
