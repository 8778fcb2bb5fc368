"""`python -m fluid_cli`: the command, where it is not on the PATH."""

import sys

from fluid_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
