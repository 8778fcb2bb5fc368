"""The soak: real servers, real processes, thousands of jobs, and faults at random; afterwards every job must have
exactly one outcome, and the right one.

    plan        which jobs there are and how each may end            pure
    faults      what is killed and frozen, and when                  pure
    probe       the job types, inside the workers
    witness     what the handlers saw, outside of all that can be lost
    scene       API server, Redis, operators, workers
    chaos       strikes the scene
    producers   hand the jobs in, and cancel some
    evidence    what is true at the end
    history     the runs of each job, and what explains each re-run  pure
    verdict     evidence in, problems out                            pure
    losses      the second part: what a Redis on everysec may lose   rules pure
    report      what people and programs read

It is no level of `make test`: `make soak MINUTES=3` runs it.
"""
