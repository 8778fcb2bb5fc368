"""`python -m fluid_operator` is `fluid-operator`."""

import sys

from fluid_operator.main import main

sys.exit(main())
