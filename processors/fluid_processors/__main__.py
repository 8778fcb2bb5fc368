"""`python -m fluid_processors` is `fluid-worker`."""

import sys

from .main import main

sys.exit(main())
