"""`isolation="process"`: jobs in child processes, which can be killed, may crash, and take no neighbour along.

    pool.py      the worker's side: which children there are, and which one runs the next job
    child.py     the worker's side of one child: a process, a socket, and a thread that watches both
    limits.py    what a child may cost, and what is known when one has died
    system.py    what the operating system is asked: start, kill, watch, weigh
    messages.py  what the two sides say to each other, and how errors become data
    program.py   the child's side: `python -m fluid_processors.processes`

A child is a fresh interpreter (spawned, never forked from a process with threads) that imports the processor's
module by name and runs the very handler that a worker runs: validation, masking, resources and threads are the
same. Job and outcome travel as JSON over a socket pair; nothing is pickled, and no payload stands in arguments
or environment. A child never speaks to Redis; what it reports goes through its worker, which holds the lease.
"""
