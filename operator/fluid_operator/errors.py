"""What can go wrong with the operator process itself. The rooms below have families of their own.

    Exception
    └── OperatorError
        ├── SettingsError      environment variables that cannot be used; all problems at once
        ├── CannotListen       the address of probes and metrics, or of the webhook, is taken or does not exist
        ├── KopfEnded          the thread that follows environments came to an end
        └── TermError          a term of leadership came to an end that it must not have
            ├── TermEnded      by itself, although nobody asked it to
            └── TermStuck      not at all, although it was asked to

The first two are found before anything is started (exit code 2); each of the others ends the process (exit code 1).
"""

from collections.abc import Sequence
from typing import NamedTuple


class OperatorError(Exception):
    """Anything that the process around the controllers raises."""


class SettingProblem(NamedTuple):
    """One refused environment variable and what would be right. Never its value: it may be a secret in the wrong
    place."""

    variable: str
    message: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.message}"


class SettingsError(OperatorError):
    """The environment variables cannot be used; `problems` holds everything that is wrong with them."""

    def __init__(self, problems: Sequence[SettingProblem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class CannotListen(OperatorError):
    """Nothing can be served at `host` (empty: all addresses) and `port`; `variables` would change that."""

    def __init__(
        self, host: str, port: int, reason: str, variables: str = "FLUID_HTTP_HOST and FLUID_HTTP_PORT"
    ) -> None:
        where = f"{host or 'all addresses'} port {port}"
        super().__init__(f"cannot listen on {where}: {reason}; set {variables}")
        self.host = host
        self.port = port
        self.reason = reason


class KopfEnded(OperatorError):
    """Environments are not followed any more. Its cause is chained, where there was one."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the thread that follows FluidEnvironments ended: {reason}")
        self.reason = reason


class TermError(OperatorError):
    """Any wrong end of a term."""


class TermEnded(TermError):
    """Everything that a leader does returned, while it still led."""

    def __init__(self) -> None:
        super().__init__("the work of the leader ended although the Lease is held")


class TermStuck(TermError):
    """What a leader does went on for `seconds` after it was told to stop."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the work of a former leader did not stop within {seconds:g} s")
        self.seconds = seconds
