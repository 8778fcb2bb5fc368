"""Writes requests and waits until they are carried out; many at once, but never more than the API server likes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from fluid_cli.job import ENDED, Job
from fluid_cli.session import WRITE_QUERY, Session
from fluid_cli.steering import Verb, request_patch
from fluid_cli.translation import kube_sentence
from fluid_cli.watching import Follower
from fluid_operator.kube.errors import KubeError
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey

AT_ONCE: Final = 16
"""Requests under way at the same time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of one request; `error` is empty when it was written."""

    job: Job
    error: str = ""


async def ask(session: Session, jobs: Sequence[Job], text: str, on_asked: Callable[[Asked], None]) -> list[Asked]:
    """Write the request to each job, telling `on_asked` of each as it is done."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(job: Job) -> Asked:
        async with free:
            answer = await _ask(session, job, text)
        on_asked(answer)
        return answer

    return list(await asyncio.gather(*map(one, jobs)))


async def _ask(session: Session, job: Job, text: str) -> Asked:
    # With the uid nobody hits an object that was created anew under the same name since it was read.
    patch = request_patch(text, uid=job.uid)
    key = ObjectKey(job.namespace, job.name)
    try:
        await session.kube.patch(FLUID_JOBS, key, patch, query=WRITE_QUERY, wait_if_throttled=True)
    except KubeError as error:
        return Asked(job, kube_sentence(error))
    return Asked(job)


async def carried_out(
    session: Session,
    verb: Verb,
    text: str,
    jobs: Iterable[Job],
    selectors: Mapping[str, str],
    on_done: Callable[[Job], None],
) -> None:
    """Wait until every job has carried the request out, was deleted, or was asked for something else.

    A cancel is carried out when the job has ended, a retry when the new run has begun."""
    waiting = {job.uid: job for job in jobs}
    follower = Follower(session.kube, FLUID_JOBS, session.namespace, selectors)
    found = {job.uid: job for job in map(Job, await follower.start())}
    for uid in list(waiting):
        if uid not in found or _is_done(verb, text, found[uid]):
            on_done(waiting.pop(uid))
    if not waiting:
        return
    async with aclosing(follower.changes()) as changes:
        async for change in changes:
            job = Job(change.object)
            if job.uid in waiting and (change.deleted or _is_done(verb, text, job)):
                on_done(waiting.pop(job.uid))
            if not waiting:
                return


def _is_done(verb: Verb, text: str, job: Job) -> bool:
    if job.request != text:
        return True
    return job.handled_request == text and (verb is not Verb.CANCEL or job.phase in ENDED)
