"""Whether a job may reach the world outside: staging must never mail real people nor rotate their tokens.

An environment says Live, Redirect or Suppress; each processor that writes to an outside system asks here
before it does. Pure data.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

_log = logging.getLogger(__name__)


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

    @classmethod
    def from_settings(cls, told: Mapping[str, Any]) -> Self:
        """Read `outbound` of an environment's settings. What cannot be understood suppresses everything: a mail too few
        can be sent again, one too many cannot be taken back."""
        try:
            mode = OutboundMode(told.get("mode", OutboundMode.LIVE))
            return cls(mode, str(told.get("redirectTo", "")), tuple(map(str, told.get("allow", ()))))
        except (TypeError, ValueError) as error:
            _log.error(
                "the outbound rule cannot be understood, so nothing goes out", extra={"fields": {"error": str(error)}}
            )
            return cls(OutboundMode.SUPPRESS)

    def permits(self, address: str) -> bool:
        """Whether this address (no display name) may be reached as it stands."""
        if self.mode is OutboundMode.LIVE:
            return True
        address = address.casefold()
        domain = address.rpartition("@")[2]
        return any(allowed.casefold() in (address, domain) for allowed in self.allow)


LIVE = Outbound()
