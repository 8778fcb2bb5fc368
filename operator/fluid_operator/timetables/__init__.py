"""What a FluidSchedule means: which times, and which job for a time. Used by the operator and by the command."""
