"""`python -m fluid_processors` is `fluid-worker`."""

import sys

from fluid_processors.main import main

sys.exit(main())
