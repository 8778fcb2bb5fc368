"""The processors of one worker, found through the entry-point group `fluid.processors`.

An entry point names a module (every processor in it counts) or one processor. Two processors with one type
are an error that names both: which one ran would depend on the order of installation.
"""

from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from fluid_processors.definitions import Processor
from fluid_processors.errors import DuplicateType, ProcessorLoadError

GROUP = "fluid.processors"


class Registry:
    """Processors by type, in the order of their types."""

    def __init__(self, processors: Iterable[Processor[Any]] = ()) -> None:
        self._by_type: dict[str, tuple[Processor[Any], str]] = {}
        for each in processors:
            self.add(each, each.source)

    @classmethod
    def from_entry_points(cls, points: Iterable[EntryPoint] | None = None) -> "Registry":
        """Everything that is installed (or only `points`). Raises ProcessorLoadError and DuplicateType."""
        registry = cls()
        for point in entry_points(group=GROUP) if points is None else points:
            source = f"entry point {point.name!r} = {point.value!r}"
            for each in _processors_of(point, source):
                registry.add(each, f"{source} ({each.source})")
        return registry

    def add(self, processor: Processor[Any], source: str) -> None:
        """`source` is named when the type is taken. The same object a second time is no conflict."""
        known = self._by_type.get(processor.job_type)
        if known is not None and known[0] is not processor:
            raise DuplicateType(processor.job_type, known[1], source)
        self._by_type.setdefault(processor.job_type, (processor, source))

    def get(self, job_type: str) -> Processor[Any] | None:
        """The processor of a type, or None."""
        known = self._by_type.get(job_type)
        return known[0] if known else None

    def __iter__(self) -> Iterator[Processor[Any]]:
        return (self._by_type[job_type][0] for job_type in sorted(self._by_type))

    def __len__(self) -> int:
        return len(self._by_type)

    def published(self) -> dict[str, dict[str, Any]]:
        """`{type: {schema, settings}}`, for `Queue.register`."""
        return {each.job_type: each.published() for each in self}


def _processors_of(point: EntryPoint, source: str) -> list[Processor[Any]]:
    try:
        found = point.load()
    except Exception as error:
        # A foreign module may raise anything while it is imported; the cause stays chained.
        raise ProcessorLoadError(source, f"cannot be imported: {type(error).__name__}: {error}") from error
    if isinstance(found, Processor):
        return [found]
    if not isinstance(found, ModuleType):
        raise ProcessorLoadError(source, f"names a {type(found).__name__}; it must be a module or a processor")
    processors = [value for value in vars(found).values() if isinstance(value, Processor)]
    if not processors:
        raise ProcessorLoadError(source, "the module holds no processor; decorate a function with @processor")
    return processors
