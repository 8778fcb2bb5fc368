"""`fluid run`: create a FluidJob, and follow it to its end if asked to."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fluid_cli.created import see_it_end, show_created
from fluid_cli.creation import generated_name, manifest, payload_from, spec_of
from fluid_cli.errors import BadUsage, CliError
from fluid_cli.options import Context, EnvironmentName, Form, Kubeconfig, Namespace, Timeout, run
from fluid_cli.output import Output
from fluid_cli.session import WRITE_QUERY, Access, Session, open_session
from fluid_operator.kube.errors import AlreadyExists
from fluid_operator.kube.keys import FLUID_JOBS

_NAMES_TRIED = 3

EPILOG = """\b
Examples:
  fluid run email --payload to=ada@example.com --payload subject=Hello --wait
  fluid run report --payload-json '{"month": "2026-11", "pages": [1, 2]}' --queue slow
  fluid run import -f payload.yaml --name import-42 --priority 10
  fluid run email -f - --dry-run -o yaml < payload.json > job.yaml
"""


def create(
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="The type of job: the processor that runs it.")],
    payload: Annotated[
        list[str] | None,
        typer.Option(
            "--payload", "-p", metavar="KEY=VALUE", help="One field of the payload; JSON values are taken as such."
        ),
    ] = None,
    payload_json: Annotated[str, typer.Option(metavar="JSON", help="The payload as a JSON object.")] = "",
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="The payload from a JSON or YAML file, - for stdin."),
    ] = None,
    queue: Annotated[str, typer.Option(metavar="QUEUE", help="Queue; unset: the processor's, else the type.")] = "",
    environment: EnvironmentName = "",
    priority: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="-1000 to 1000, higher first; unset: 0.")
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Name; unset: TYPE and five letters.")] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow it to its end; exit code 0 if it succeeds, else 1.")
    ] = False,
    timeout: Timeout = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Have the API server check it, and create nothing.")
    ] = False,
    output: Form = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Create a FluidJob of TYPE, which runs once."""
    if wait and dry_run:
        raise BadUsage("--wait", "nothing is created with --dry-run, so there is nothing to wait for")
    spec = spec_of(
        kind,
        payload_from(payload or (), payload_json, file),
        queue=queue,
        environment=environment,
        priority=priority,
    )
    access = Access(namespace, context, kubeconfig)
    run(_create(access, spec, name, output, timeout, wait=wait, dry_run=dry_run))


async def _create(
    access: Access,
    spec: dict[str, Any],
    name: str,
    form: Output | None,
    timeout: float | None,
    *,
    wait: bool,
    dry_run: bool,
) -> int:
    async with open_session(access) as session:
        sent, created = await _send(session, spec, name, dry_run=dry_run)
        # What a dry run answers carries a uid of nobody; what was sent can be put into a file and applied.
        show_created(sent if dry_run else created, form, dry_run=dry_run)
        return await see_it_end(session, created, timeout, form) if wait else 0


async def _send(
    session: Session, spec: dict[str, Any], name: str, *, dry_run: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifest and the server's answer. A made-up name that is taken is made up anew."""
    query = {**WRITE_QUERY, "dryRun": "All"} if dry_run else WRITE_QUERY
    rng = random.Random()
    for last in (False,) * (_NAMES_TRIED - 1) + (True,):
        body = manifest(spec, name or generated_name(spec["type"], rng), session.namespace)
        try:
            return body, await _post(session, body, query)
        except AlreadyExists as error:
            if name or last:
                taken = body["metadata"]["name"]
                raise CliError(
                    f"a FluidJob {taken} exists in namespace {session.namespace}: choose another --name"
                ) from error
    raise AssertionError("the last try returns or raises")


async def _post(session: Session, body: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    path = FLUID_JOBS.path(session.namespace)
    return await session.kube.request("create", path, resource=FLUID_JOBS.plural, query=query, body=body)
