"""Whether a job may reach the world outside: staging must never mail real people nor rotate their tokens.

An environment says Live, Redirect or Suppress; each processor that writes to an outside system asks here
before it does. Pure data.
"""

from dataclasses import dataclass
from enum import StrEnum


class OutboundMode(StrEnum):
    """What happens to effects on the outside world."""

    LIVE = "Live"
    REDIRECT = "Redirect"
    SUPPRESS = "Suppress"


@dataclass(frozen=True, slots=True)
class Outbound:
    """The outbound rule of an environment.

    `redirect_to` is the address that receives everything under Redirect. `allow` lists addresses
    (`a@example.org`) and domains (`example.org`) that are reached in every mode.
    """

    mode: OutboundMode = OutboundMode.LIVE
    redirect_to: str = ""
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.mode is OutboundMode.REDIRECT and not self.redirect_to:
            raise ValueError("outbound mode Redirect needs redirect_to, the address that receives everything")

    def permits(self, address: str) -> bool:
        """Whether this address (no display name) may be reached as it stands."""
        if self.mode is OutboundMode.LIVE:
            return True
        address = address.casefold()
        domain = address.rpartition("@")[2]
        return any(allowed.casefold() in (address, domain) for allowed in self.allow)


LIVE = Outbound()
