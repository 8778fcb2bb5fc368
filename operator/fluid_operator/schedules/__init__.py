"""FluidSchedule: creates a FluidJob at each time of a cron expression, and the same time never twice."""
