"""What can go wrong while the local machine is made ready, as one family with fields.

    DevError
    ├── MissingTool      a program is not installed; `remedy` says how to get it
    ├── DiskFull         too little space for a build
    ├── BuildFailed      the Go compiler said no; `log` holds its whole answer
    ├── ProcessDied      a process that should stay up went away
    ├── PortTaken        somebody else listens on the port
    ├── TimedOut         something did not become true in time
    ├── ClusterError     the local Kubernetes did not do what it was asked
    ├── NodeError        the local node did not start, stop, or do what it was asked
    ├── ImageError       a container image could not be made
    ├── DemoError        the demo did not reach what its examples promise
    └── Interrupted      somebody pressed Ctrl-C or sent SIGTERM

Every message is one line that tells the reader what to do next; long output stays in the log that the message names.
"""

from pathlib import Path


class DevError(Exception):
    """Base of all errors of this package."""


class MissingTool(DevError):
    def __init__(self, tool: str, remedy: str) -> None:
        super().__init__(f"{tool} is missing: {remedy}")
        self.tool = tool
        self.remedy = remedy


class DiskFull(DevError):
    def __init__(self, folder: Path, *, needed: int, free: int) -> None:
        gib = 2**30
        super().__init__(
            f"{folder} has {free / gib:.1f} GiB free, the build needs {needed / gib:.1f} GiB: "
            "free some space (or point GOCACHE, GOMODCACHE and XDG_CACHE_HOME to a larger disk), then run this again"
        )
        self.folder = folder
        self.needed = needed
        self.free = free


class BuildFailed(DevError):
    def __init__(self, tool: str, reason: str, log: Path) -> None:
        super().__init__(f"building {tool} failed: {reason} (all of it: {log}); a re-run goes on where this stopped")
        self.tool = tool
        self.reason = reason
        self.log = log


class ProcessDied(DevError):
    def __init__(self, name: str, log: Path, tail: str) -> None:
        super().__init__(f"{name} went away; the end of {log}:\n{tail}")
        self.name = name
        self.log = log
        self.tail = tail


class PortTaken(DevError):
    def __init__(self, name: str, port: int) -> None:
        super().__init__(
            f"port {port} on 127.0.0.1 is taken, {name} cannot listen there: choose another or stop its owner"
        )
        self.name = name
        self.port = port


class TimedOut(DevError):
    def __init__(self, what: str, within: float, last: str = "") -> None:
        super().__init__(f"not within {within:g} s: {what}" + (f" (last seen: {last})" if last else ""))
        self.what = what
        self.within = within


class ClusterError(DevError):
    """The local Kubernetes did not start, stop or answer as it should; the cause is chained."""


class NodeError(DevError):
    """The local node did not start, stop or do what it was asked; or this machine cannot have one."""


class ImageError(DevError):
    """A container image could not be made; the message says why and what to do."""


class DemoError(DevError):
    """The demo did not reach what its examples promise."""


class Interrupted(DevError):
    def __init__(self) -> None:
        super().__init__("interrupted: the same command goes on from here, 'make down' stops and removes what runs")
