"""`python -m fluid_processors.processes` is the program of a child process; only a worker starts it."""

import sys

from fluid_processors.processes.program import main

sys.exit(main(sys.argv[1:]))
