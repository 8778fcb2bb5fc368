"""The users of a managed Redis and their passwords: made, written into one Secret, read back, and rotated.

The Secret is the only memory: whoever reads it knows how far a rotation has come. Rotating takes three states, and in
each of them every password that somebody may hold is valid:

    STEADY       one password per user
    INTRODUCING  Redis is given a second one, nobody uses it yet; over when Redis accepts it
    REPLACING    new connections and new pods use the new one; over when nobody is left who began with the old one

What Redis gets are hashes; no repr of this module shows a password. Planning is pure: the caller says what it has seen,
and this module never connects, reads a clock or speaks to the API server.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from fluid_operator.api.fields import format_whole_time
from fluid_operator.api.meta import GROUP
from fluid_queue import acl
from fluid_queue.keys import KeySpace

CREDENTIALS_ANNOTATION: Final = f"{GROUP}/credentials"
"""On a worker pod: the generation of the passwords that it began with."""

ACL_FILE: Final = "users.acl"
ACL_VERSION: Final = "users.version"
"""Tells the pod whether `users.acl` is another than the one that Redis has loaded."""
PROBE_PASSWORD: Final = "probe-password"  # noqa: S105 - the name of a key, not a password
WORKER_URL: Final = "worker-url"
OPERATOR_URL: Final = "operator-url"

_GENERATION: Final = "generation"
_ROTATED: Final = "rotated-at"
_REQUEST: Final = "rotation-request"
_BYTES: Final = 32
_PORT: Final = 6379


class Phase(StrEnum):
    """How far a rotation has come."""

    STEADY = "Steady"
    INTRODUCING = "Introducing"
    REPLACING = "Replacing"


@dataclass(frozen=True, slots=True)
class Passwords:
    """Of one user. `next` is not used by anybody yet, `previous` not given to anybody any more; both are valid."""

    current: str = field(repr=False)
    next: str | None = field(default=None, repr=False)
    previous: str | None = field(default=None, repr=False)

    @property
    def valid(self) -> list[str]:
        """What Redis accepts."""
        return [password for password in (self.current, self.next, self.previous) if password]


@dataclass(frozen=True, slots=True)
class Credentials:
    """The users of one managed Redis.

    `probe` belongs to the pod itself and never leaves it, so it is not rotated. `generation` counts the passwords that
    workers have been given; `request` is the last wish for a rotation that was carried out.
    """

    operator: Passwords
    worker: Passwords
    probe: str = field(repr=False)
    generation: int
    rotated: datetime
    request: str = ""

    @property
    def phase(self) -> Phase:
        if self.operator.next or self.worker.next:
            return Phase.INTRODUCING
        if self.operator.previous or self.worker.previous:
            return Phase.REPLACING
        return Phase.STEADY


@dataclass(frozen=True, slots=True)
class Rotation:
    """What the caller wants and what it has seen.

    `request`: any text, such as an annotation's value; another than the last one asks for a rotation. `max_age`: the
    age at which passwords are rotated without being asked. `next_accepted`: Redis took the next password of both
    users. `previous_in_use`: a worker that began with an earlier generation still exists (`began_before`), or the
    operator's own link has not been opened anew.
    """

    request: str = ""
    max_age: timedelta | None = None
    next_accepted: bool = False
    previous_in_use: bool = True


def new_password() -> str:
    """256 random bits, in characters that need no quoting in a URL or a shell."""
    return secrets.token_urlsafe(_BYTES)


def create(now: datetime, *, make: Callable[[], str] = new_password) -> Credentials:
    """The first passwords of a Redis."""
    return Credentials(Passwords(make()), Passwords(make()), make(), generation=1, rotated=now)


def advance(
    credentials: Credentials, rotation: Rotation, now: datetime, *, make: Callable[[], str] = new_password
) -> Credentials:
    """The credentials after at most one step; the very same when nothing is to be done."""
    operator, worker = credentials.operator, credentials.worker
    if credentials.phase is Phase.INTRODUCING:
        return _use_next(credentials, now) if rotation.next_accepted else credentials
    if credentials.phase is Phase.REPLACING:
        if rotation.previous_in_use:
            return credentials
        return replace(credentials, operator=Passwords(operator.current), worker=Passwords(worker.current))
    asked = bool(rotation.request) and rotation.request != credentials.request
    due = rotation.max_age is not None and now - credentials.rotated >= rotation.max_age
    if not (asked or due):
        return credentials
    return replace(
        credentials,
        operator=Passwords(operator.current, next=make()),
        worker=Passwords(worker.current, next=make()),
        request=rotation.request or credentials.request,
    )


def _use_next(credentials: Credentials, now: datetime) -> Credentials:
    def turned(user: Passwords) -> Passwords:
        return Passwords(user.next, previous=user.current) if user.next else user

    return replace(
        credentials,
        operator=turned(credentials.operator),
        worker=turned(credentials.worker),
        generation=credentials.generation + 1,
        rotated=now,
    )


def began_before(pods: Iterable[Mapping[str, Any]], generation: int) -> list[str]:
    """The names of worker pods that began with earlier passwords; pods that are still draining count."""
    wanted = str(generation)
    return sorted(
        pod["metadata"]["name"]
        for pod in pods
        if (pod["metadata"].get("annotations") or {}).get(CREDENTIALS_ANNOTATION) != wanted
        and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    )


def acl_file(credentials: Credentials, key_prefix: str) -> str:
    """The users as Redis reads them: hashes of passwords, and the least rights. Nobody can be `default`."""
    # The probe waits for leases before the pod stops, and has this file read again when it was changed.
    rights = ("-@all", "+ping", "+time", "+zcount", "+acl|load")
    probe = ("user probe reset on", f"#{_digest(credentials.probe)}", f"~{leases_key(key_prefix)}", *rights)
    lines = [
        # Off, so that nobody can be it. It keeps its rights because Redis 7.0 checks against them what it reads from
        # the append-only file, and would drop every transaction in it: all that our scripts have ever written.
        "user default reset off ~* &* +@all",
        acl.user_line("operator", "operator", key_prefix, credentials.operator.valid),
        acl.user_line("worker", "worker", key_prefix, credentials.worker.valid),
        " ".join(probe),
    ]
    return "\n".join(lines) + "\n"


def leases_key(key_prefix: str) -> str:
    """The key that holds a lease for each active job: id -> expiry in milliseconds."""
    return KeySpace(key_prefix).key("leases")


def secret_data(credentials: Credentials, key_prefix: str, host: str) -> dict[str, str]:
    """The Secret's data, in base64: state, URLs for whoever connects to `host`, and the users for Redis."""
    users = acl_file(credentials, key_prefix)
    texts: dict[str, str | None] = {
        ACL_FILE: users,
        ACL_VERSION: _digest(users)[:16],
        PROBE_PASSWORD: credentials.probe,
        _GENERATION: str(credentials.generation),
        _ROTATED: format_whole_time(credentials.rotated.astimezone(UTC)),
        _REQUEST: credentials.request or None,
    }
    for name, user in (("operator", credentials.operator), ("worker", credentials.worker)):
        texts |= {
            f"{name}-password": user.current,
            f"{name}-password-next": user.next,
            f"{name}-password-previous": user.previous,
            f"{name}-url": url(name, user.current, host),
        }
    return {key: base64.b64encode(text.encode()).decode() for key, text in texts.items() if text is not None}


def url(user: str, password: str, host: str) -> str:
    """The address by which a user reaches the managed Redis at `host`. A secret."""
    return f"redis://{user}:{password}@{host}:{_PORT}/0"


def read(secret: Mapping[str, Any], now: datetime, *, make: Callable[[], str] = new_password) -> Credentials:
    """The credentials that a Secret of the API server holds.

    What is missing or cannot be read is made anew. A password that somebody changed by hand is taken as it is, if a URL
    can carry it. Either way the generation goes up, so that workers get what is valid now.
    """
    data = {key: _decoded(text) for key, text in (secret.get("data") or {}).items()}
    operator, worker = _passwords(data, "operator", make), _passwords(data, "worker", make)
    known = data.get(ACL_FILE, "")
    # ASCII only: `isdigit` alone also holds for digits that `int` does not read.
    number = data.get(_GENERATION, "")
    generation = int(number) if number.isascii() and number.isdigit() else 0
    if f"#{_digest(operator.current)}" not in known or f"#{_digest(worker.current)}" not in known:
        generation += 1
    return Credentials(
        operator,
        worker,
        _password(data.get(PROBE_PASSWORD)) or make(),
        generation=max(generation, 1),
        rotated=_moment(data.get(_ROTATED, ""), now),
        request=data.get(_REQUEST, ""),
    )


def _passwords(data: Mapping[str, str], user: str, make: Callable[[], str]) -> Passwords:
    found = [_password(data.get(f"{user}-password{suffix}")) for suffix in ("", "-next", "-previous")]
    current, following, previous = found
    return Passwords(current or make(), next=following, previous=previous)


def _password(text: str | None) -> str | None:
    """The text if it can be a password of ours: printable ASCII, nothing that a URL takes for itself."""
    if text and text.isascii() and all(letter.isalnum() or letter in "-_.~" for letter in text):
        return text
    return None


def _decoded(text: str) -> str:
    """The text, empty where somebody put something else there."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


def _moment(text: str, otherwise: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return moment if moment.tzinfo else otherwise


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
