-- Health of a FluidEnvironment, for Argo CD, from its conditions: Ready, or Stalled when only a change can help. While the
-- operator goes on trying it is Progressing, and the message says what is wrong with its Redis or workers.
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "waits until the operator has looked at it" }
end

local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end
local ready = found.Ready or { status = "Unknown", reason = "Unknown", message = "nothing is known" }
local health = { status = "Progressing", message = ready.reason .. ": " .. ready.message }
if found.Stalled and found.Stalled.status == "True" then
  health.status = "Degraded"
elseif obj.spec.suspend then
  health.status = "Suspended"
elseif ready.status == "True" then
  local going = found.Reconciling
  if going and going.status == "True" then
    health.message = going.reason .. ": " .. going.message
  else
    health.status = "Healthy"
  end
end
return health
