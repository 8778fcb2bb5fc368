"""The safety net under Kopf's events: every object of a kind is woken now and then, told of or not.

After a lost connection Kopf resumes its watch from the old resourceVersion, and after an etcd restore the API server
then silently leaves out all events below it. A list each half minute costs nothing for kinds of which there are few.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import Forbidden, KubeError, NotFound
from fluid_operator.kube.keys import ObjectKey, Resource

log = logging.getLogger(__name__)

LIST_SECONDS = 30.0
"""An object that no event told of is found within this time."""

RETRY_SECONDS = 1.0
"""Pause after a list that failed: the first one holds everything up."""


async def wake_all_for_ever(
    kube: Kube,
    resource: Resource,
    namespaces: Sequence[str],
    wake: Callable[[ObjectKey], None],
    listed: Callable[[set[ObjectKey]], None] = lambda keys: None,
) -> None:
    """Wake each object of these namespaces (none: all) again and again, until cancelled. `listed` gets all their keys
    after each list that was complete."""
    while True:
        keys: set[ObjectKey] = set()
        complete = True
        for namespace in namespaces or ("",):
            try:
                page = await kube.list_page(resource, namespace, limit=0)
            except (Forbidden, NotFound) as error:
                # No right there, or no such namespace: nothing to wait for, and no reason to hold up the others.
                facts = {"resource": resource.plural, "namespace": namespace or "*", "error": str(error)}
                log.warning("A namespace cannot be listed.", extra={"fields": facts})
                continue
            except KubeError as error:
                facts = {"resource": resource.plural, "namespace": namespace or "*", "error": str(error)}
                log.warning("Objects could not be listed, will try again.", extra={"fields": facts})
                complete = False
                continue
            keys.update(ObjectKey(item["metadata"]["namespace"], item["metadata"]["name"]) for item in page.items)
        if complete:
            listed(keys)
        for key in keys:
            wake(key)
        await asyncio.sleep(LIST_SECONDS if complete else RETRY_SECONDS)
