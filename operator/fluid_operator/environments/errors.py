"""What an environment refers to and cannot be used.

    Exception
    └── UnusableSource
        ├── UnusableAddress    the address of an external Redis
        └── UnusableKeys       the key ring of spec.encryption

None of them holds anything of the Secret that it speaks of.
"""

from fluid_operator.environments.status import Problem


class UnusableSource(Exception):
    """Something that stands in a Secret; `problem` says what is wrong with it and what to do."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class UnusableAddress(UnusableSource):
    """There is no address to connect to."""


class UnusableKeys(UnusableSource):
    """Nothing can be encrypted or read."""
