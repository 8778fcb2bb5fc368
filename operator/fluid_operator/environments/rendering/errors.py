"""What can go wrong while manifests are made.

    Exception
    └── RenderingError
        ├── UnwritableValue    a value that JSON cannot hold reached a template
        └── BadManifest        a template gave something else than the object it stands for; a mistake of ours

What a user wrote and cannot be rendered is an InvalidSpec, as everywhere.
"""


class RenderingError(Exception):
    """Anything that this room raises of its own."""


class UnwritableValue(RenderingError):
    """`value` of this type has no place in a manifest; `reason` says why."""

    def __init__(self, value: object, reason: str) -> None:
        super().__init__(f"a value of type {type(value).__name__} cannot be written: {reason}")
        self.reason = reason


class BadManifest(RenderingError):
    """Template `template` does not give what it should; never holds the object itself, which may be a Secret."""

    def __init__(self, template: str, reason: str) -> None:
        super().__init__(f"{template}: {reason}")
        self.template = template
        self.reason = reason
