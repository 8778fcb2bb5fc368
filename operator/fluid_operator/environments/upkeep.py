"""Keeps what an environment consists of: its passwords, its Redis, its workers. One look brings all of it one step on.

Whoever looks again soon enough gets everything right in the end; between two looks nothing is remembered but what saves
requests. It does not know whether Redis answers, nor what jobs there are: numbers of workers are handed in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.environments import passwords
from fluid_operator.environments.children import ChildKey, Children, Outcome, Owner, belongs
from fluid_operator.environments.passwords import Credentials, Phase, Rotation
from fluid_operator.environments.refusals import ChildProblem, problem_of
from fluid_operator.environments.rendering import autoscalers, naming
from fluid_operator.environments.rendering.blueprint import Blueprint
from fluid_operator.environments.rendering.kinds import BY_KIND, OPTIONAL
from fluid_operator.environments.rendering.manifests import render
from fluid_operator.environments.rendering.pools import first_replicas
from fluid_operator.environments.rendering.redis import service_host
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import ApiError, Forbidden, NotFound
from fluid_operator.kube.keys import SECRETS, ObjectKey, Resource
from fluid_queue import Queue, QueueError

log = logging.getLogger(__name__)

_OPTIONAL: Final = frozenset(each.kind for each in OPTIONAL)

PODS: Final = Resource("", "v1", "pods", "Pod")

_ROTATING: Final = {
    Phase.STEADY: "",
    Phase.INTRODUCING: "Redis is learning its new passwords; the kubelet hands them on within two minutes or so.",
    Phase.REPLACING: "The old passwords are still valid, because workers that began with them are not gone yet.",
}

LOOK_SECONDS: Final = 4.0
"""What drifted, and no watch could tell of, is put right within this time."""
CERTAIN_SECONDS: Final = 1.0
"""For so long the children are as they were found; many things wake an environment at once."""
WHOLE_SECONDS: Final = 60.0
"""Between two looks at everything while all watches are open."""
_KINDS_SECONDS: Final = 60.0
"""How long the answer holds whether the cluster has kinds of others."""
_ATTEMPT_SECONDS: Final = 3.0
"""For trying a password: a Redis that does not answer is asked again at the next look."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one look wants of an environment.

    `address`: of an external Redis, as workers are to have it, and its version. `keeps_redis`: a managed Redis that the
    spec does not have any more is still in use. `texts`: what workers read from other Secrets. `rotation`: the last
    wish for other passwords. `link_url`: what the operator's own link uses.
    """

    key: ObjectKey
    uid: str
    spec: FluidEnvironmentSpec
    address: str | None = field(default=None, repr=False)
    address_version: str = ""
    keeps_redis: bool = False
    texts: str = field(default="", repr=False)
    rotation: str = ""
    link_url: str | None = field(default=None, repr=False)

    @property
    def owner(self) -> Owner:
        return Owner(*self.key, self.uid)


@dataclass(frozen=True, slots=True)
class Kept:
    """How the children are after a look. `unscaled`: why pools that want KEDA are not scaled. `rotated`: new passwords
    are in use since this look. `rotating`: how far a rotation has come, a sentence."""

    outcome: Outcome
    unscaled: str = ""
    rotated: bool = False
    rotating: str = ""

    @property
    def problem(self) -> ChildProblem | None:
        """The worst: one that stays before one that passes."""
        return min(self.outcome.problems, key=lambda each: each.passing, default=None)

    @property
    def settled(self) -> bool:
        """Whether another look soon would find nothing to do."""
        return self.outcome.settled and not self.rotating


@dataclass(slots=True)
class _Memory:
    """The last whole look at one environment. `outcome` None: it did not come to its end."""

    blueprint: Blueprint
    at: float
    outcome: Outcome | None = None
    told: bool = False
    checked: float = 0.0
    """When what is not watched was last looked at."""


class Upkeep:
    """Of all environments, in one term of leadership. `kube` must refuse writes of those who do not lead."""

    def __init__(
        self,
        kube: Kube,
        *,
        operator_namespace: str = "",
        metrics_url: str = "",
        watched: Callable[[str], bool] = lambda namespace: False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`operator_namespace`: where the operator's own pods run, "" outside of a cluster. `metrics_url`: see
        Blueprint. `watched`: whether `touch` would be called for each change of a child in this namespace."""
        self._kube = kube
        self._children = Children(kube)
        self._operator_namespace = operator_namespace
        self._metrics_url = metrics_url
        self._watched = watched
        self._clock = clock
        self._now = now
        self._memory: dict[ObjectKey, _Memory] = {}
        self._kinds: tuple[float, frozenset[str]] | None = None

    def forget(self, key: ObjectKey) -> None:
        """The environment is gone."""
        self._children.forget(key)
        self._memory.pop(key, None)

    def touch(self, key: ObjectKey) -> None:
        """Something happened to a child: the next look is a whole one."""
        if memory := self._memory.get(key):
            memory.told = True

    async def keep(self, plan: Plan) -> Kept:
        """Look at everything and bring it in line. Raises InvalidSpec, and KubeError when the API server is away."""
        before = after = secret = None
        if plan.spec.redis.managed is not None:
            secret = await self._secret(plan)
            before = self._credentials(plan, secret)
            after = await self._advanced(plan, before)
        elif plan.keeps_redis and (secret := await self._secret(plan)):
            # Nothing of Redis is rendered, but the pods say which passwords they began with.
            before = after = passwords.read(secret, self._now())
        kinds = await self._optional_kinds()
        blueprint = Blueprint(
            *plan.key,
            plan.uid,
            plan.spec,
            credentials=after,
            address=plan.address,
            address_version=plan.address_version,
            operator_namespace=self._operator_namespace,
            optional=kinds,
            metrics_url=self._metrics_url,
            secrets_version=_version(plan, after),
        )
        outcome = await self._apply(plan, blueprint, secret)
        return Kept(
            outcome,
            unscaled=autoscalers.problem_of(blueprint),
            rotated=bool(before and after and before.generation != after.generation) and _written(plan, outcome),
            rotating=_ROTATING[after.phase] if after else "",
        )

    async def scale(self, owner: Owner, pool: str, replicas: int) -> ChildProblem | None:
        """Give a pool that is scaled by its load another number of workers, or say why that is refused."""
        name = naming.pool_name(owner.name, pool)
        self.touch(ObjectKey(owner.namespace, owner.name))
        try:
            await self._children.scale(owner, name, replicas)
        except NotFound:
            return None  # gone, and made again by the next look
        except ApiError as error:
            metadata = {"name": name, "namespace": owner.namespace}
            return problem_of(error, "scale", {"kind": "Deployment", "metadata": metadata})
        return None

    async def pods(self, key: ObjectKey) -> list[Json]:
        """The pods of an environment; none where the operator may not look at them."""
        labels = {naming.ENVIRONMENT_LABEL: key.name}
        return await self._pods(key, labels)

    async def _apply(self, plan: Plan, blueprint: Blueprint, secret: Json | None) -> Outcome:
        """Bring the children in line, unless that was done already and nobody has told of a change."""
        memory = self._memory.get(plan.key)
        outcome = memory.outcome if memory and memory.blueprint == blueprint else None
        if memory and outcome and await self._holds(plan, memory, outcome):
            return outcome
        manifests = render(blueprint)
        if secret is not None:
            _write_over(manifests, secret)
        keep = naming.is_redis(plan.key.name) if plan.keeps_redis else _nothing
        # In place before the work begins: a change that is told of meanwhile must not be forgotten.
        made = self._memory[plan.key] = _Memory(blueprint, self._clock())
        made.outcome = await self._children.apply(
            plan.owner, manifests, optional=blueprint.optional, keep=keep, first=first_replicas(blueprint)
        )
        return made.outcome

    async def _holds(self, plan: Plan, memory: _Memory, outcome: Outcome) -> bool:
        """Whether the children are as they were found: certain for a moment, and for longer where watches would have
        told of a change and what is not watched has not changed."""
        if memory.told or not outcome.settled:
            return False
        age = self._clock() - memory.at
        if age < CERTAIN_SECONDS:
            return True
        if age >= WHOLE_SECONDS or not self._watched(plan.key.namespace):
            return False
        if self._clock() - memory.checked >= CERTAIN_SECONDS:
            named = {ChildKey(*each) for each in naming.unlisted(plan.key.name)}
            unwatched = {key: live for key, live in outcome.live.items() if key in named or key.kind in _OPTIONAL}
            for key, live in unwatched.items():
                if await self._version_of(plan, key) != live["metadata"]["resourceVersion"]:
                    return False
            memory.checked = self._clock()
        return not memory.told

    async def _version_of(self, plan: Plan, key: ChildKey) -> str | None:
        try:
            found = await self._kube.get(BY_KIND[key.kind], ObjectKey(plan.key.namespace, key.name))
        except NotFound:
            return None
        return str(found["metadata"]["resourceVersion"])

    # -- passwords ----------------------------------------------------------------------------------------------------

    def _credentials(self, plan: Plan, secret: Json | None) -> Credentials:
        """What the Secret holds, or the first passwords where there is none yet."""
        if secret is None:
            # A wish that is older than the Redis is no reason to change its passwords; and workers that began with a
            # Secret that somebody has deleted must not seem to have begun with this one.
            now = self._now()
            return replace(passwords.create(now), request=plan.rotation, generation=int(now.timestamp()))
        return passwords.read(secret, self._now())

    async def _secret(self, plan: Plan) -> Json | None:
        """The environment's own Secret; somebody else's under its name is not looked into. Raises Forbidden: what may
        not be read is not the same as what is not there."""
        try:
            secret = await self._kube.get(SECRETS, ObjectKey(plan.key.namespace, naming.redis_name(plan.key.name)))
        except NotFound:
            return None
        return secret if belongs(secret, plan.owner) else None

    async def _advanced(self, plan: Plan, credentials: Credentials) -> Credentials:
        managed = plan.spec.redis.managed
        days = managed.password_rotation_days if managed else None
        rotation = Rotation(
            plan.rotation,
            timedelta(days=days) if days else None,
            next_accepted=credentials.phase is Phase.INTRODUCING and await self._next_accepted(plan, credentials),
            previous_in_use=credentials.phase is Phase.REPLACING and await self._previous_in_use(plan, credentials),
        )
        after = passwords.advance(credentials, rotation, self._now())
        if after != credentials:
            facts = {"environment": str(plan.key), "phase": after.phase.value, "generation": after.generation}
            log.info("Rotating the passwords of Redis.", extra={"fields": facts})
        return after

    async def _next_accepted(self, plan: Plan, credentials: Credentials) -> bool:
        """Whether Redis knows the next password of both users already."""
        host = service_host(*plan.key)
        for user, known in (("operator", credentials.operator), ("worker", credentials.worker)):
            url = passwords.url(user, known.next or known.current, host)
            if not await _answers(url, plan.spec.redis.key_prefix or f"{plan.key.namespace}.{plan.key.name}"):
                return False
        return True

    async def _previous_in_use(self, plan: Plan, credentials: Credentials) -> bool:
        ours = passwords.url("operator", credentials.operator.current, service_host(*plan.key))
        if plan.link_url != ours:
            return True
        try:
            pods = await self._pods(plan.key, naming.workers_selector(plan.key.name))
        except Forbidden:
            return True  # nobody knows, so they stay valid
        return bool(passwords.began_before(pods, credentials.generation))

    async def _pods(self, key: ObjectKey, labels: Mapping[str, str]) -> list[Json]:
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        page = await self._kube.list_page(PODS, key.namespace, limit=0, selectors={"labelSelector": selector})
        return page.items

    # -- the cluster --------------------------------------------------------------------------------------------------

    async def _optional_kinds(self) -> frozenset[str]:
        """Which kinds of others the cluster has."""
        if self._kinds is None or self._clock() - self._kinds[0] >= _KINDS_SECONDS:
            found = [each.kind for each in OPTIONAL if await self._has(each)]
            self._kinds = (self._clock(), frozenset(found))
        return self._kinds[1]

    async def _has(self, resource: Resource) -> bool:
        try:
            answer = await self._kube.request("get", f"/apis/{resource.group}/{resource.version}", resource="apis")
        except (NotFound, Forbidden):
            return False
        return any(each.get("name") == resource.plural for each in answer.get("resources") or ())


def operator_address(environment: str, live: Mapping[ChildKey, Mapping[str, Any]]) -> str | None:
    """Where the operator reaches a managed Redis, None while its Secret is not there."""
    secret = live.get(ChildKey("Secret", naming.redis_name(environment)))
    encoded = ((secret or {}).get("data") or {}).get(passwords.OPERATOR_URL)
    return base64.b64decode(encoded).decode() if encoded else None


async def _answers(url: str, key_prefix: str) -> bool:
    try:
        async with Queue.from_url(url, key_prefix, timeout=_ATTEMPT_SECONDS) as queue:
            await queue.ping()
    except QueueError:
        return False
    return True


def _write_over(manifests: list[Json], secret: Json) -> None:
    """Let the Secret be written only over the one that the new passwords were derived from."""
    for manifest in manifests:
        if (manifest["kind"], manifest["metadata"]["name"]) == ("Secret", secret["metadata"]["name"]):
            manifest["metadata"]["resourceVersion"] = secret["metadata"]["resourceVersion"]


def _written(plan: Plan, outcome: Outcome) -> bool:
    return ChildKey("Secret", naming.redis_name(plan.key.name)) in outcome.applied


def _version(plan: Plan, credentials: Credentials | None) -> str:
    """Another text when workers would read other Secrets at their start, and no other reason: whoever touches a label
    of a Secret must not have all workers started anew. Anybody may read it, so it cannot be tried out: it is keyed by
    a secret that the workers have anyway."""
    if not plan.texts:
        return ""
    key = credentials.worker.current if credentials else plan.address_version
    return hmac.new(key.encode(), plan.texts.encode(), hashlib.sha256).hexdigest()[:16]


def _nothing(key: ChildKey) -> bool:
    return False
