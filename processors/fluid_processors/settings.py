"""The worker's settings: environment variables with the prefix FLUID_, read once at start, handed down as
one typed value.

Every problem is reported at once, with the variable's name and never with its value: URLs hold passwords.
"""

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
)

from fluid_processors.errors import FieldProblem, SettingsError
from fluid_queue import Address, Codec, InvalidKeyRing, KeyRing, MissingExtra

PREFIX = "FLUID_"
_FROM_FILES = ("redis_url", "encryption_keys")
"""Secrets, which may stand in a file instead: FLUID_REDIS_URL_FILE names it."""


def _redis_url(url: SecretStr) -> SecretStr:
    Address.parse(url.get_secret_value())  # InvalidAddress is a ValueError and repeats nothing of the URL
    return url


def _key_ring(text: SecretStr) -> SecretStr:
    try:
        KeyRing.parse(text.get_secret_value())
    except (InvalidKeyRing, MissingExtra) as error:
        raise ValueError(str(error)) from error
    return text


def _needs_keys(required: bool, info: ValidationInfo) -> bool:
    # Keys that are no keys are a problem of their own, and missing among the data.
    if required and info.data.get("encryption_keys", ...) is None:
        raise ValueError("needs FLUID_ENCRYPTION_KEYS, or FLUID_ENCRYPTION_KEYS_FILE")
    return required


def _split(value: object) -> object:
    return tuple(part for part in re.split(r"[,\s]+", value) if part) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class WorkerSettings(BaseModel):
    """One field a variable: `redis_url` is FLUID_REDIS_URL. Descriptions are the text of `fluid-worker --help`."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] = Field(
        description="Redis, as redis://user:password@host:6379/0; or FLUID_REDIS_URL_FILE, a file that holds it"
    )
    key_prefix: str = Field(
        min_length=1, max_length=128, description="key space of the environment: <namespace>.<environment>"
    )
    encryption_keys: Annotated[SecretStr, AfterValidator(_key_ring)] | None = Field(
        None,
        description="key ring, lines of `<key id>: <32 bytes as base64>`, the first encrypts; "
        "or FLUID_ENCRYPTION_KEYS_FILE, a file that holds it; unset: nothing is encrypted",
    )
    encryption_required: Annotated[bool, AfterValidator(_needs_keys)] = Field(
        False, description="true refuses jobs that are not encrypted; set it when none of before is left"
    )
    queues: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        ("*",), min_length=1, description='queues to claim from, separated by commas; "*" is every queue'
    )
    concurrency: int = Field(50, ge=1, le=1000, description="jobs that run at a time")
    lease_seconds: float = Field(15.0, ge=1, le=3600, description="a killed worker's jobs run again after this time")
    grace_seconds: float = Field(
        25.0,
        ge=0,
        le=86400,
        description="after SIGTERM running jobs may finish for this long, then they are handed back",
    )
    stop_grace_seconds: float = Field(
        30.0, ge=0, le=86400, description="a thread that ignores its stop for this long makes the worker drain and exit"
    )
    kill_grace_seconds: float = Field(
        0.5, ge=0, le=86400, description="a child process that ignores its stop for this long is killed"
    )
    max_jobs_per_child: int = Field(1000, ge=1, description="a child process is replaced after so many jobs")
    memory_limit_megabytes: int | None = Field(
        None, ge=64, description="a child process that holds more memory than this is killed; unset: no limit"
    )
    child_idle_seconds: float = Field(
        300.0, ge=1, le=86400, description="a child process beyond the first of its type ends when idle for this long"
    )
    image: str = Field(
        "local", min_length=1, max_length=500, description="image reference under which types are published"
    )
    worker_name: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        min_length=1,
        max_length=200,
        description="name in status and logs; unset: host name and process id",
    )
    health_host: str = Field("0.0.0.0", description="address of /livez, /readyz and /metrics")  # noqa: S104 - probes come from outside of the pod
    health_port: int = Field(8080, ge=0, le=65535, description="their port; 0 picks a free one and logs it")
    liveness_seconds: float = Field(
        120.0, ge=5, le=86400, description="without a successful claim for this long, /livez answers 503"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="debug, info, warning or error"
    )
    log_format: Annotated[Literal["json", "text"], BeforeValidator(_lower)] = Field(
        "json", description="json, or text for people"
    )

    def codec(self) -> Codec:
        """How payloads and results are stored."""
        keys = KeyRing.parse(self.encryption_keys.get_secret_value()) if self.encryption_keys else None
        return Codec(keys, accept_plain=not self.encryption_required)


def from_environment(environment: Mapping[str, str]) -> WorkerSettings:
    """The settings; an empty variable counts as unset. Raises SettingsError with every problem."""
    values = {
        name: environment[variable]
        for name in WorkerSettings.model_fields
        if environment.get(variable := PREFIX + name.upper())
    }
    problems: list[FieldProblem] = []
    for name in _FROM_FILES:
        variable = f"{PREFIX}{name}_FILE".upper()
        if not (file := environment.get(variable)):
            continue
        try:
            values[name] = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(FieldProblem(variable, f"cannot be read: {_reason(error)}"))
            if name == "redis_url":
                values[name] = "redis://unread"
    try:
        settings = WorkerSettings.model_validate(values)
    except ValidationError as error:
        problems += [_problem(each["loc"][0], each["type"], each["msg"]) for each in error.errors(include_input=False)]
    if problems:
        raise SettingsError(problems)
    return settings


def describe() -> list[tuple[str, str, str]]:
    """Rows of variable, default and meaning, in the order of the fields; for `--help` and reference pages."""
    return [
        (PREFIX + name.upper(), _default(name), field.description or "")
        for name, field in WorkerSettings.model_fields.items()
    ]


def _default(name: str) -> str:
    field = WorkerSettings.model_fields[name]
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return ""
    if field.default is None:
        return ""
    if isinstance(field.default, float):
        return f"{field.default:g}"
    return ",".join(field.default) if isinstance(field.default, tuple) else f"{field.default}"


def _problem(name: int | str, kind: str, message: str) -> FieldProblem:
    variable = f"{PREFIX}{name}".upper()
    if kind == "missing":
        message = "is not set"
        if name == "redis_url":
            message += "; set it, or FLUID_REDIS_URL_FILE to a file that holds it"
    return FieldProblem(variable, message.removeprefix("Value error, ").replace("Input should be", "must be", 1))


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "error" if isinstance(error, OSError) else "not a UTF-8 text"
