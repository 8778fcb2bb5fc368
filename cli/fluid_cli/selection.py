"""Which FluidJobs a command is about: names, or labels and fields; read from the API server page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fluid_cli.errors import BadUsage, NotThere
from fluid_cli.job import Job
from fluid_cli.session import Session
from fluid_cli.translation import kinds_are_missing
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.kube.errors import Gone, NotFound
from fluid_operator.kube.keys import FLUID_JOBS

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Filters:
    """What jobs must have in common; empty: anything."""

    labels: str = ""
    type: str = ""
    queue: str = ""
    phase: str = ""

    def __bool__(self) -> bool:
        return bool(self.labels or self.type or self.queue or self.phase)

    def selectors(self, *, live: bool = False) -> dict[str, str]:
        """As the API server takes them. `live`: only what a change of status cannot end, for a watch: to it a job
        that leaves the selection looks like a deleted one."""
        fields = {"spec.type": self.type}
        if not live:
            fields |= {"status.queue": self.queue, "status.phase": self.phase}
        wanted = {"labelSelector": self.labels, "fieldSelector": _joined(fields)}
        return {name: text for name, text in wanted.items() if text}

    def match(self, job: Job) -> bool:
        """Whether a job has what `selectors(live=True)` leaves out."""
        return self.queue in ("", job.status.get("queue")) and self.phase in ("", job.phase)


def phase_named(text: str) -> str:
    """A phase, written as one likes. Raises BadUsage."""
    phases = {phase.value.lower(): phase.value for phase in Phase}
    if text and text.lower() not in phases:
        raise BadUsage("--phase", f"{text} is none; one of {', '.join(phases.values())}")
    return phases[text.lower()] if text else ""


async def get_job(session: Session, name: str) -> Job:
    """One job. Raises NotThere."""
    try:
        return Job(await session.kube.get(FLUID_JOBS, session.key(name)))
    except NotFound as error:
        if kinds_are_missing(error):
            raise
        raise NotThere("FluidJob", name, session.namespace) from error


async def get_jobs(session: Session, names: Sequence[str]) -> list[Job]:
    """These jobs, each once. Raises NotThere for the first that does not exist."""
    return [await get_job(session, name) for name in dict.fromkeys(names)]


async def list_jobs(session: Session, filters: Filters, *, everywhere: bool = False) -> tuple[list[Job], str]:
    """The jobs of the namespace, or of all of them, and the resourceVersion of the list."""
    namespace = "" if everywhere else session.namespace
    try:
        return await _list(session, namespace, filters, _PAGE)
    except Gone:
        # The list took so long that its pages expired; all in one answer cannot.
        return await _list(session, namespace, filters, 0)


async def _list(session: Session, namespace: str, filters: Filters, limit: int) -> tuple[list[Job], str]:
    jobs: list[Job] = []
    token = ""
    while True:
        page = await session.kube.list_page(
            FLUID_JOBS, namespace, limit=limit, continue_token=token, selectors=filters.selectors()
        )
        # Items of a list do not say what they are, but whoever prints one of them wants to apply it.
        jobs += [Job({"apiVersion": FLUID_JOBS.api_version, "kind": FLUID_JOBS.kind, **item}) for item in page.items]
        token = page.continue_token
        if not token:
            return jobs, page.resource_version


def _joined(fields: dict[str, str]) -> str:
    for name, value in fields.items():
        if any(sign in value for sign in ",=!\\"):
            raise BadUsage(f"--{name.rpartition('.')[2]}", f"{value!r} is no name")
    return ",".join(f"{name}={value}" for name, value in fields.items() if value)
