"""The processor SDK: write a function, name its job type, ship it in an image.

```python
class Greeting(BaseModel):
    name: str

@processor("greet", payload=Greeting, retry=Retry(limit=3))
async def greet(ctx: Context, payload: Greeting) -> dict[str, str]:
    ctx.progress(50, "thinking of something nice")
    return {"said": f"Hello {payload.name}"}
```

Packages announce their modules through the entry-point group `fluid.processors`; `fluid-worker` finds and
runs them. This package knows the queue (`fluid_queue`) and nothing of Kubernetes.
"""

from fluid_processors.context import Context
from fluid_processors.definitions import Isolation, Processor, Retry, processor
from fluid_processors.errors import (
    DuplicateType,
    FieldProblem,
    InvalidPayload,
    InvalidProcessor,
    MemoryLimitExceeded,
    ProcessorCrashed,
    ProcessorLoadError,
    SettingsError,
    UnknownType,
    WorkerError,
)
from fluid_processors.outbound import Outbound, OutboundMode
from fluid_processors.registry import Registry
from fluid_processors.resources import Resource, Resources, resource
from fluid_processors.sensitive import Sensitive
from fluid_processors.stop import Stop, Stopped
from fluid_queue import Backoff, PermanentError, RateLimited, RetryLater

__all__ = [
    "Backoff",
    "Context",
    "DuplicateType",
    "FieldProblem",
    "InvalidPayload",
    "InvalidProcessor",
    "Isolation",
    "MemoryLimitExceeded",
    "Outbound",
    "OutboundMode",
    "PermanentError",
    "Processor",
    "ProcessorCrashed",
    "ProcessorLoadError",
    "RateLimited",
    "Registry",
    "Resource",
    "Resources",
    "Retry",
    "RetryLater",
    "Sensitive",
    "SettingsError",
    "Stop",
    "Stopped",
    "UnknownType",
    "WorkerError",
    "processor",
    "resource",
]
