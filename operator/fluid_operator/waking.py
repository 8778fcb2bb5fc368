"""The safety net under Kopf's events: every object of a kind is woken now and then, told of or not.

After a lost connection Kopf resumes its watch from the old resourceVersion, and after an etcd restore the API server
then silently leaves out all events below it. A list each half minute costs nothing for kinds of which there are few.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import KubeError
from fluid_operator.kube.keys import ObjectKey, Resource

log = logging.getLogger(__name__)

LIST_SECONDS = 30.0
"""An object that no event told of is found within this time."""


async def wake_all_for_ever(
    kube: Kube, resource: Resource, namespaces: Sequence[str], wake: Callable[[ObjectKey], None]
) -> None:
    """Wake each object of these namespaces (none: all) again and again, until cancelled."""
    while True:
        for namespace in namespaces or ("",):
            try:
                page = await kube.list_page(resource, namespace, limit=0)
            except KubeError as error:
                facts = {"resource": resource.plural, "namespace": namespace or "*", "error": str(error)}
                log.warning("Objects could not be listed, will try again.", extra={"fields": facts})
                continue
            for item in page.items:
                wake(ObjectKey(item["metadata"]["namespace"], item["metadata"]["name"]))
        await asyncio.sleep(LIST_SECONDS)
