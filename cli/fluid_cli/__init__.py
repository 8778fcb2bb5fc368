"""The command `fluid`, also `kubectl fluid`: run, look at and steer FluidJobs from a terminal."""
