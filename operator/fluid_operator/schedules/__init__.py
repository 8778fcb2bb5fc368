"""FluidSchedule. It has no effect yet, and says so in its status."""
