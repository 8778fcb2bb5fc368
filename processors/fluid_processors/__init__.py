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

from fluid_queue import Backoff, PermanentError, RateLimited, RetryLater

from .context import Context
from .definitions import Isolation, Processor, Retry, processor
from .errors import (
    DuplicateType,
    FieldProblem,
    InvalidPayload,
    InvalidProcessor,
    ProcessorLoadError,
    SettingsError,
    UnknownType,
    WorkerError,
)
from .outbound import Outbound, OutboundMode
from .registry import Registry
from .resources import Resource, Resources, resource
from .sensitive import Sensitive
from .stop import Stop, Stopped

__all__ = [
    "Backoff",
    "Context",
    "DuplicateType",
    "FieldProblem",
    "InvalidPayload",
    "InvalidProcessor",
    "Isolation",
    "Outbound",
    "OutboundMode",
    "PermanentError",
    "Processor",
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
