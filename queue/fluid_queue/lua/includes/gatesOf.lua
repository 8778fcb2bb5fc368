-- gatesOf: the gates that a job has to pass to become active: its concurrency key, and as an index the parallelism of its parent.
local function gatesOf(key, indexed)
  local gates = {}
  if key and key ~= '' then gates[#gates + 1] = 'key:' .. key end
  if indexed then gates[#gates + 1] = 'index:' .. indexed end
  return gates
end
