"""Kopf's log records in our form: the object's facts under the names that all our records use, its own wiring left
out. Knows the names of Kopf's loggers and extras, and does not import it.
"""

import logging
from typing import Final

_WIRING: Final = ("k8s_ref", "k8s_skip", "settings")
_FACTS: Final = ("namespace", "name", "uid")


class KopfFacts(logging.Filter):
    """For the handler that writes: turns Kopf's reference of an object into fields, and lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a record of Kopf; others are as they were."""
        found = vars(record)
        reference = found.get("k8s_ref")
        for name in _WIRING:
            found.pop(name, None)
        if reference:
            found["fields"] = {**found.get("fields", {}), **{fact: reference.get(fact) for fact in _FACTS}}
        return True


def quieten(handler: logging.Handler) -> None:
    """Have Kopf speak through this handler, of trouble only."""
    handler.addFilter(KopfFacts())
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLogger().level))
    # It warns that it sees no signals in a thread, each term anew. That is why it is in one.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
