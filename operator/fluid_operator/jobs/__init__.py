"""FluidJob, the hot kind: from the object to the queue, and from the record back to the status.

`view` is what is kept of an object, `runs` decides which run it asks for, `preparation` turns a spec into a job,
`status` folds a record into a
status: all pure, except for the reading of payload sources. `controller` is the I/O around them.
"""
