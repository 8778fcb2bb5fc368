"""What can go wrong at the terminal, as types with fields. Each is shown as one line; `exit_code` is the command's.

    Exception
    └── CliError                exit code 1
        ├── BadUsage            exit code 2: an option or argument that cannot be meant
        ├── NotThere            an object that was named does not exist
        ├── NoEnvironment       no FluidEnvironment could be chosen
        ├── MissingRight        the caller may not do something that the answer needs
        ├── NoQueueAccess       Redis cannot be asked, for any other reason than a right
        ├── StillWaiting        the time given by --timeout is over
        ├── Declined            the question whether to go on was answered with no
        └── Interrupted         exit code 130: Ctrl-C, or asked to end

Errors of the rooms below (the API server's, the queue's) are put into words by `translation`.
"""

from typing import ClassVar


class CliError(Exception):
    """Anything that ends a command with one line; the message says what to do."""

    exit_code: ClassVar[int] = 1


class BadUsage(CliError):
    """`subject` is the option, argument or field as the user wrote it; `message` what would be right."""

    exit_code = 2

    def __init__(self, subject: str, message: str) -> None:
        super().__init__(f"{subject}: {message}")
        self.subject = subject
        self.message = message


class NotThere(CliError):
    """The object `kind`/`name` does not exist in `namespace`."""

    def __init__(self, kind: str, name: str, namespace: str) -> None:
        super().__init__(f"{kind} {name} does not exist in namespace {namespace} (another namespace: -n)")
        self.kind = kind
        self.name = name
        self.namespace = namespace


class NoEnvironment(CliError):
    """Which FluidEnvironment of `namespace` is meant cannot be told; `names` are those that exist."""

    def __init__(self, namespace: str, names: tuple[str, ...]) -> None:
        if names:
            message = f"namespace {namespace} has several FluidEnvironments: choose one with --environment"
            super().__init__(f"{message} ({', '.join(names)})")
        else:
            super().__init__(f"namespace {namespace} has no FluidEnvironment (another namespace: -n)")
        self.namespace = namespace
        self.names = names


class MissingRight(CliError):
    """The caller may not `verb` the `resource` in `namespace`."""

    def __init__(self, verb: str, resource: str, namespace: str) -> None:
        super().__init__(f"you may not {verb} {resource} in namespace {namespace}")
        self.verb = verb
        self.resource = resource
        self.namespace = namespace


class NoQueueAccess(CliError):
    """The queue in Redis cannot be asked. The message never holds any part of the address."""


class StillWaiting(CliError):
    """`what` has not happened within `seconds`."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"{what} has not happened within {seconds:g} s; it may still: look with `fluid why`")
        self.what = what
        self.seconds = seconds


class Declined(CliError):
    """Nothing was done, as asked."""

    def __init__(self) -> None:
        super().__init__("nothing was done")


class Interrupted(CliError):
    """The user does not want to wait for the end. That is no failure, and nothing is said about it."""

    exit_code = 130
