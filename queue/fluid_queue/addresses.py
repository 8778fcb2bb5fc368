"""Where Redis is, read from one URL: a server, Sentinels that know the master, or the nodes of a Cluster.

    redis://[user:password@]host[:port][/database]                            rediss:// with TLS
    redis+sentinel://[user:password@]host[:port][,host[:port]...]/master[/database]        rediss+sentinel://
    redis+cluster://[user:password@]host[:port][,host[:port]...]                            rediss+cluster://
    unix://[user:password@]/path/of/the.sock[?db=database]

User and password are those of Redis; Sentinels that have their own get them as `?sentinel_username=` and
`?sentinel_password=`. TLS options may stand in the URL under redis-py's names or be handed over as `Tls`. An address
is a secret as a whole: no message and no repr of this module holds a password. Nothing here connects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from fluid_queue.errors import InvalidAddress

Kind = Literal["server", "socket", "sentinel", "cluster"]

Node = tuple[str, int]
"""Host and port."""

FORMS = (
    "redis://user:password@host:6379/0, redis+sentinel://host:26379,host:26379/master/0 or "
    "redis+cluster://host:6379,host:6379; rediss for TLS"
)

_SCHEMES: Mapping[str, tuple[Kind, bool]] = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
    "unix": ("socket", False),
}
_PORTS: Mapping[Kind, int] = {"server": 6379, "sentinel": 26379, "cluster": 6379, "socket": 0}
_TLS_OPTIONS = frozenset(
    {"ssl_ca_certs", "ssl_ca_data", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}
)
_SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})
_CERTIFICATE_CHECKS = ("required", "optional", "none")
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Tls:
    """How TLS checks the server, and what it shows of itself. Unset: the CAs of the system, no client certificate."""

    ca_file: str | None = None
    ca_pem: str | None = field(default=None, repr=False)
    """The CA's certificates as PEM text, for whoever has them in memory; instead of `ca_file`."""
    certificate_file: str | None = None
    key_file: str | None = None
    check_certificate: Literal["required", "optional", "none"] = "required"
    check_hostname: bool = True

    def __post_init__(self) -> None:
        if self.ca_file and self.ca_pem:
            raise InvalidAddress("tls", "give the CA as a file or as text, not both")
        if bool(self.certificate_file) != bool(self.key_file):
            raise InvalidAddress("tls", "a client certificate needs both its certificate and its key file")
        if self.check_certificate not in _CERTIFICATE_CHECKS:
            raise InvalidAddress("tls", f"ssl_cert_reqs is one of {', '.join(_CERTIFICATE_CHECKS)}")

    def arguments(self) -> dict[str, Any]:
        """As redis-py's connections take it."""
        return {
            "ssl_ca_certs": self.ca_file,
            "ssl_ca_data": self.ca_pem,
            "ssl_certfile": self.certificate_file,
            "ssl_keyfile": self.key_file,
            "ssl_cert_reqs": self.check_certificate,
            # Without a certificate to check there is no name in it to compare.
            "ssl_check_hostname": self.check_hostname and self.check_certificate != "none",
        }


@dataclass(frozen=True, slots=True)
class Address:
    """One Redis. `nodes` are the server, the Sentinels, or Cluster nodes to begin with; `path` is a Unix socket."""

    kind: Kind
    url: str = field(repr=False)
    """As it was given."""
    nodes: tuple[Node, ...] = ()
    path: str = ""
    database: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    master: str = ""
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)
    tls: Tls | None = None

    @classmethod
    def parse(cls, url: str, *, tls: Tls | None = None) -> Self:
        """Read a URL; `tls` adds what a URL cannot hold, and takes the place of its TLS options. Raises
        InvalidAddress."""
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise InvalidAddress("url", f"is no URL; it must look like {FORMS}") from error
        if parts.scheme not in _SCHEMES:
            raise InvalidAddress("url", f"does not begin with redis:// or a relative of it; it must look like {FORMS}")
        kind, encrypted = _SCHEMES[parts.scheme]
        if tls and not encrypted:
            raise InvalidAddress("url", "TLS options need a URL that begins with rediss")
        options = _options(parts, kind, encrypted)
        userinfo, _, hosts = parts.netloc.rpartition("@")
        username, _, password = userinfo.partition(":")
        path, master, database = _place(parts.path, kind, options)
        return cls(
            kind=kind,
            url=url,
            nodes=_nodes(hosts, kind),
            path=path,
            database=database,
            username=unquote(username),
            password=unquote(password),
            master=master,
            sentinel_username=options.get("sentinel_username", ""),
            sentinel_password=options.get("sentinel_password", ""),
            tls=(tls or _tls(options)) if encrypted else None,
        )


def _options(parts: SplitResult, kind: Kind, encrypted: bool) -> dict[str, str]:
    """What stands after the question mark; only what is known, because a misspelt option would do nothing."""
    allowed: set[str] = set()
    if encrypted:
        allowed |= _TLS_OPTIONS
    if kind == "sentinel":
        allowed |= _SENTINEL_OPTIONS
    if kind == "socket":
        allowed.add("db")
    found = dict(parse_qsl(parts.query, keep_blank_values=True))
    if found.keys() - allowed or parts.fragment:
        known = f"only {', '.join(sorted(allowed))}" if allowed else "none"
        raise InvalidAddress("url", f"has options after the database that are not supported ({known} are)")
    return found


def _nodes(hosts: str, kind: Kind) -> tuple[Node, ...]:
    if kind == "socket":
        if hosts:
            raise InvalidAddress("url", "names a host; a Unix socket has none: unix:///path/of/the.sock")
        return ()
    nodes = tuple(_node(each, _PORTS[kind]) for each in hosts.split(","))
    if kind == "server" and len(nodes) > 1:
        raise InvalidAddress("url", "names several hosts; Sentinel is redis+sentinel://, a Cluster redis+cluster://")
    return nodes


def _node(text: str, default_port: int) -> Node:
    """One `host`, `host:port` or `[IPv6]:port`."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidAddress("url", "has a host or port that is none; a port is a number from 1 to 65535") from error
    if not host:
        raise InvalidAddress("url", "names no host")
    if port == 0:
        raise InvalidAddress("url", "names port 0")
    return host, port or default_port


def _place(path: str, kind: Kind, options: Mapping[str, str]) -> tuple[str, str, int]:
    """What stands behind the hosts: path of the socket, name of the master, number of the database."""
    if kind == "socket":
        if path in ("", "/"):
            raise InvalidAddress("url", "names no socket: unix:///path/of/the.sock")
        return unquote(path), "", _database(options.get("db", ""))
    pieces = path.removeprefix("/").split("/")
    master = unquote(pieces.pop(0)) if kind == "sentinel" else ""
    if kind == "sentinel" and not master:
        raise InvalidAddress("url", "names no master: redis+sentinel://host:26379/master/0")
    if len(pieces) > 1 and any(pieces[1:]):
        raise InvalidAddress("url", "has more after the database")
    database = _database(pieces[0] if pieces else "")
    if kind == "cluster" and database:
        raise InvalidAddress("url", "names a database; a Cluster has only 0")
    return "", master, database


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdecimal()):
        raise InvalidAddress("url", "names a database that is no number")
    return int(text or 0)


def _tls(options: Mapping[str, str]) -> Tls:
    check_hostname = options.get("ssl_check_hostname", "true").lower()
    if check_hostname not in _WORDS:
        raise InvalidAddress("url", "ssl_check_hostname is true or false")
    check: Any = options.get("ssl_cert_reqs", "required")
    return Tls(
        ca_file=options.get("ssl_ca_certs"),
        ca_pem=options.get("ssl_ca_data"),
        certificate_file=options.get("ssl_certfile"),
        key_file=options.get("ssl_keyfile"),
        check_certificate=check,
        check_hostname=_WORDS[check_hostname],
    )
