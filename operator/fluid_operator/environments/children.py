"""Makes the children of an environment what was rendered, and takes away those that are no longer.

Whoever calls `apply` again corrects what drifted meanwhile; nothing is kept between two calls but a memory that saves
requests. A child is looked at before it is written, because a name may be somebody else's: what another object owns is
never touched. A child differs when something else is rendered than was applied last, or when the API server says that
a field which we applied is not ours any more: any change by anybody takes its field out of our part of managedFields.
That is exact where a comparison of values is not (1000m is 1 to the API server), and costs no annotation; after a
restart each child is applied once, which changes nothing.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from fluid_operator.environments.refusals import ChildProblem, Trouble, problem_of, problem_of_kind
from fluid_operator.environments.rendering import naming
from fluid_operator.environments.rendering.kinds import BY_KIND, DEPLOYMENTS, LISTED, OPTIONAL
from fluid_operator.kube.client import APPLY_PATCH, Json, Kube
from fluid_operator.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
)
from fluid_operator.kube.keys import ObjectKey, Resource

log = logging.getLogger(__name__)

FIELD_MANAGER: Final = "fluid-operator"
SCALING_MANAGER: Final = "fluid-operator-scaling"
"""Owns the number of workers where an autoscaler of ours decides; the scale subresource is written under this name."""


class Owner(NamedTuple):
    """The environment whose children they are."""

    namespace: str
    name: str
    uid: str


class ChildKey(NamedTuple):
    """A child inside its namespace."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call did, what it could not do, and our children as they are now (passwords among them)."""

    applied: tuple[ChildKey, ...] = ()
    deleted: tuple[ChildKey, ...] = ()
    problems: tuple[ChildProblem, ...] = ()
    live: Mapping[ChildKey, Json] = field(default_factory=dict, repr=False)

    @property
    def settled(self) -> bool:
        """Nothing was changed and nothing is wrong."""
        return not (self.applied or self.deleted or self.problems)


class _Applied(NamedTuple):
    """How a child stood after it was applied: which object, what was sent, what of it is ours."""

    uid: str
    sent: str
    ours: str


class Children:
    """The children of all environments, as far as they are remembered. One instance a term of leadership."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._memory: dict[Owner, dict[ChildKey, _Applied]] = {}

    def forget(self, key: ObjectKey) -> None:
        """The environment is gone; the garbage collector takes its children."""
        for owner in [owner for owner in self._memory if (owner.namespace, owner.name) == key]:
            del self._memory[owner]

    async def apply(
        self,
        owner: Owner,
        manifests: Sequence[Json],
        *,
        optional: Collection[str] = (),
        keep: Callable[[ChildKey], bool] = lambda key: False,
        first: Mapping[str, int] = MappingProxyType({}),
    ) -> Outcome:
        """Bring the children in line, in the order of `manifests`.

        `optional`: those kinds of `kinds.OPTIONAL` that the cluster has. `keep`: what is to stay as it is although it
        was not rendered. `first`: how many workers a Deployment begins with whose number is an autoscaler's, by its
        name. Refusals end up in the outcome, one per child, and do not stop the others. Raises a KubeError when the
        API server is in trouble itself.
        """
        work = _Work(self._kube, owner, self._memory.setdefault(owner, {}), first)
        return await work.carry_out({_key(each): each for each in manifests}, optional, keep)

    async def scale(self, owner: Owner, deployment: str, replicas: int) -> None:
        """Set the number of workers of a pool that is left to its autoscaler, and touch nothing else of it.

        Raises a KubeError, a NotFound among them when the Deployment is gone.
        """
        body = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": deployment, "namespace": owner.namespace},
            "spec": {"replicas": replicas},
        }
        # By force: whoever set the number before us, a person or an autoscaler of before, has been overruled by now.
        query = {"fieldManager": SCALING_MANAGER, "force": "true", "fieldValidation": "Strict"}
        path = DEPLOYMENTS.path(owner.namespace, deployment, "scale")
        await self._kube.request(
            "patch", path, resource="deployments/scale", query=query, body=body, content_type=APPLY_PATCH
        )
        log.info(
            "Scaled a pool of workers.",
            extra={"fields": {"namespace": owner.namespace, "deployment": deployment, "replicas": replicas}},
        )


class _Work:
    """One call of `apply`."""

    def __init__(self, kube: Kube, owner: Owner, memory: dict[ChildKey, _Applied], first: Mapping[str, int]) -> None:
        self._kube = kube
        self._owner = owner
        self._memory = memory
        self._first = first
        self._live: dict[ChildKey, Json] = {}
        self._unknown: set[str] = set()
        """Kinds that the operator may not look at, and so does not write either."""
        self._applied: list[ChildKey] = []
        self._deleted: list[ChildKey] = []
        self._problems: list[ChildProblem] = []

    async def carry_out(
        self, wanted: Mapping[ChildKey, Json], optional: Collection[str], keep: Callable[[ChildKey], bool]
    ) -> Outcome:
        await self._look(wanted, optional)
        for key, manifest in wanted.items():
            if key.kind not in self._unknown:
                await self._settle(key, manifest)
            if any(problem.kind == "Secret" for problem in self._problems):
                # Pods would begin with what the Secret does not hold.
                break
        for key in [key for key in self._live if key not in wanted and not keep(key)]:
            await self._remove(key)
        for key in self._memory.keys() - wanted.keys():
            del self._memory[key]
        mine = {key: live for key, live in self._live.items() if self._owned(live)}
        return Outcome(tuple(self._applied), tuple(self._deleted), tuple(self._problems), mine)

    async def _look(self, wanted: Iterable[ChildKey], optional: Collection[str]) -> None:
        """Find everything that the environment has, and everything that stands where it should have something."""
        for resource in (*LISTED, *(each for each in OPTIONAL if each.kind in optional)):
            await self._list(resource)
        named = [ChildKey(*each) for each in naming.unlisted(self._owner.name)]
        for key in dict.fromkeys((*named, *wanted)):
            if key not in self._live and key.kind not in self._unknown:
                await self._get(key)

    async def _list(self, resource: Resource) -> None:
        labels = naming.environment_selector(self._owner.name)
        selectors = {"labelSelector": ",".join(f"{name}={value}" for name, value in labels.items())}
        try:
            page = await self._kube.list_page(resource, self._owner.namespace, limit=0, selectors=selectors)
        except Forbidden as error:
            self._may_not_look(resource.kind, error)
            return
        except NotFound:
            return
        # The items of a list do not say their kind.
        found = {ChildKey(resource.kind, each["metadata"]["name"]): each for each in page.items}
        self._live.update(found)

    async def _get(self, key: ChildKey) -> None:
        try:
            self._live[key] = await self._kube.get(BY_KIND[key.kind], self._object_key(key))
        except NotFound:
            return
        except Forbidden as error:
            self._may_not_look(key.kind, error)

    def _may_not_look(self, kind: str, error: Forbidden) -> None:
        self._unknown.add(kind)
        self._problems.append(problem_of_kind(error, kind, self._owner.namespace))

    async def _settle(self, key: ChildKey, manifest: Json) -> None:
        """Make one child what it should be, unless it is."""
        live = self._live.get(key)
        problem = None if live is None else self._obstacle(key, live)
        if problem is not None:
            self._problems.append(problem)
            return
        sent = _digest(_without_version(manifest))
        if live is not None and self._memory.get(key) == _Applied(live["metadata"]["uid"], sent, _ours(live)):
            return
        try:
            after = await self._apply(key, manifest, live)
        except ApiError as error:
            self._problems.append(problem_of(error, "apply", manifest))
            return
        if after is None:
            return
        self._live[key] = after
        self._memory[key] = _Applied(after["metadata"]["uid"], sent, _ours(after))
        if live is None or live["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"]:
            self._applied.append(key)
            log.info("Applied a part of an environment.", extra={"fields": self._fields(key)})

    def _obstacle(self, key: ChildKey, live: Json) -> ChildProblem | None:
        """Why an object that is there must not be written, None when it is ours or may be adopted."""
        metadata = live["metadata"]
        owner = _controller(live)
        if owner and not self._owned(live):
            who = f"{owner.get('kind')} {owner.get('name')}"
            if (owner.get("kind"), owner.get("name")) == ("FluidEnvironment", self._owner.name):
                message = f"{key} belongs to an earlier environment of this name and is waited for until it is gone."
                return ChildProblem(*key, Trouble.BEING_DELETED, message)
            message = f"{key} belongs to {who}; rename the environment or the pool, or take the other one away."
            return ChildProblem(*key, Trouble.NAME_TAKEN, message)
        if metadata.get("deletionTimestamp"):
            return ChildProblem(*key, Trouble.BEING_DELETED, f"{key} is being deleted, and made again after that.")
        if belongs(live, self._owner):
            return None
        message = f"{key} exists and is not the operator's; rename the environment or the pool, or delete the object."
        return ChildProblem(*key, Trouble.NAME_TAKEN, message)

    async def _apply(self, key: ChildKey, manifest: Json, live: Json | None) -> Json | None:
        """Write one child and return it; None when it has to go first, because it cannot be changed like this."""
        if live is None and key.kind == "Deployment" and key.name in self._first:
            # A Deployment without a number has one worker; an autoscaler that finds no work would have to send it away.
            numbered = manifest | {"spec": manifest["spec"] | {"replicas": self._first[key.name]}}
            live = await self._patch(key, numbered, FIELD_MANAGER, force=True)
        if live is not None and key.kind == "Deployment":
            await self._hand_over_replicas(key, manifest, live)
        try:
            return await self._patch(key, manifest, FIELD_MANAGER, force=True)
        except Invalid as error:
            if live is None or not _immutable(key, error):
                raise
        await self._replace(key, manifest, live)
        return None

    async def _patch(self, key: ChildKey, body: Json, manager: str, *, force: bool) -> Json:
        query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        resource = BY_KIND[key.kind]
        return await self._kube.patch(
            resource, self._object_key(key), body, content_type=APPLY_PATCH, query=query, wait_if_throttled=True
        )

    async def _hand_over_replicas(self, key: ChildKey, manifest: Json, live: Json) -> None:
        """Leave the number of workers to the autoscaler, as it is: a field that we just stop applying is taken away,
        and a Deployment without one has one worker."""
        ours = (_our_fields(live).get("f:spec") or {}).keys()
        if "replicas" in manifest["spec"] or "f:replicas" not in ours:
            return
        body = {
            "apiVersion": manifest["apiVersion"],
            "kind": key.kind,
            "metadata": {"name": key.name, "namespace": self._owner.namespace},
            "spec": {"replicas": live["spec"]["replicas"]},
        }
        await self._patch(key, body, SCALING_MANAGER, force=False)

    async def _replace(self, key: ChildKey, manifest: Json, live: Json) -> None:
        """Delete a child without its pods and volumes; the next call creates the new one, which adopts them."""
        resource = BY_KIND[key.kind]
        # Were the new one refused as well, there would be nothing left that looks after the pods.
        path = resource.path(self._owner.namespace)
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        with contextlib.suppress(AlreadyExists):
            await self._kube.request("create", path, resource=resource.plural, query=query, body=manifest)
        metadata = live["metadata"]
        await self._kube.delete(
            resource,
            self._object_key(key),
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            propagation="Orphan",
        )
        message = f"{key} cannot be changed in place and is made anew; its pods and volumes stay."
        self._problems.append(ChildProblem(*key, Trouble.BEING_REPLACED, message))
        log.info("Making a part of an environment anew.", extra={"fields": self._fields(key)})

    async def _remove(self, key: ChildKey) -> None:
        """Delete what is ours and no longer rendered."""
        live = self._live[key]
        metadata = live["metadata"]
        if not self._owned(live) or metadata.get("deletionTimestamp"):
            return
        named = {"kind": key.kind, "metadata": {"name": key.name, "namespace": self._owner.namespace}}
        try:
            await self._kube.delete(BY_KIND[key.kind], self._object_key(key), uid=metadata["uid"])
        except (NotFound, Conflict):
            # It is gone, or another stands in its place.
            return
        except Forbidden as error:
            self._problems.append(problem_of(error, "delete", named))
            return
        del self._live[key]
        self._deleted.append(key)
        log.info("Deleted a part of an environment.", extra={"fields": self._fields(key)})

    def _owned(self, live: Json) -> bool:
        return (_controller(live) or {}).get("uid") == self._owner.uid

    def _object_key(self, key: ChildKey) -> ObjectKey:
        return ObjectKey(self._owner.namespace, key.name)

    def _fields(self, key: ChildKey) -> dict[str, Any]:
        owner = self._owner
        return {"namespace": owner.namespace, "environment": owner.name, "kind": key.kind, "name": key.name}


def belongs(live: Mapping[str, Any], owner: Owner) -> bool:
    """Whether an object is a child of this environment, or may be adopted by it: what an environment left behind
    (`kubectl delete --cascade=orphan`) or a backup brought back has our labels and no owner."""
    controller = _controller(live)
    if controller is not None:
        return bool(controller.get("uid") == owner.uid)
    labels = live["metadata"].get("labels") or {}
    return naming.environment_selector(owner.name).items() <= labels.items()


def _key(manifest: Json) -> ChildKey:
    return ChildKey(manifest["kind"], manifest["metadata"]["name"])


def _controller(live: Mapping[str, Any]) -> Json | None:
    owners: list[Json] = live["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def _our_fields(live: Json) -> Json:
    """The part of managedFields that our applying owns."""
    for entry in live["metadata"].get("managedFields") or ():
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            fields: Json = entry.get("fieldsV1") or {}
            return fields
    return {}


def _ours(live: Json) -> str:
    return _digest(_our_fields(live))


def _without_version(manifest: Json) -> Json:
    """What is wanted, whichever version it is to be written over."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "resourceVersion"}
    return manifest | {"metadata": metadata}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _immutable(key: ChildKey, error: ApiError) -> bool:
    """Whether it was refused because a StatefulSet cannot be changed like this; the API server blames its whole spec
    then, and single fields of it for everything else."""
    return key.kind == "StatefulSet" and any(at == "spec" for at, _ in error.causes)
