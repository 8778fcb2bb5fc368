"""When to try again. Pure: failures and a random number in, seconds out. Knows neither Redis nor clocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

from fluid_queue.checks import number
from fluid_queue.errors import TEN_YEARS, InvalidJob

BACKOFF_LIMIT = 8
"""Retries after the first attempt, when nobody says otherwise: hours in all, so that a provider's outage fails no
job for good."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The wait before each retry. Unset fields are the built-in defaults of design section 3."""

    type: Literal["Exponential", "Fixed"] = "Exponential"
    delay_seconds: int = 10
    factor: int = 3
    max_delay_seconds: int = 3600
    jitter_percent: int = 10

    def __post_init__(self) -> None:
        if self.type not in ("Exponential", "Fixed"):
            raise InvalidJob("backoff.type", "Exponential or Fixed")
        bounds = {
            "delay_seconds": (0, TEN_YEARS),
            "factor": (1, 100),
            "max_delay_seconds": (0, TEN_YEARS),
            "jitter_percent": (0, 100),
        }
        for field, (low, high) in bounds.items():
            number(f"backoff.{field}", getattr(self, field), low, high)

    def wait(self, failures: int, spread: float) -> float:
        """Seconds before the retry that follows failure number `failures` (1-based). `spread` in [-1, 1] places it
        within the jitter.

        The maximum holds for Exponential, and for the wait before jitter is applied, so that many jobs at the maximum
        do not come back in one instant.
        """
        seconds = float(self.delay_seconds)
        if self.type == "Exponential":
            # Stop multiplying once the maximum is passed: a power with a large exponent would not fit a float.
            for _ in range(failures - 1):
                if seconds >= self.max_delay_seconds or seconds == 0:
                    break
                seconds *= self.factor
            seconds = min(seconds, self.max_delay_seconds)
        return seconds * (1 + spread * self.jitter_percent / 100)

    def to_json(self) -> dict[str, Any]:
        """The field names of the API."""
        return {
            "type": self.type,
            "delaySeconds": self.delay_seconds,
            "factor": self.factor,
            "maxDelaySeconds": self.max_delay_seconds,
            "jitterPercent": self.jitter_percent,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_json`; absent fields take their defaults."""
        names = {
            "type": "type",
            "delaySeconds": "delay_seconds",
            "factor": "factor",
            "maxDelaySeconds": "max_delay_seconds",
            "jitterPercent": "jitter_percent",
        }
        return cls(**{names[key]: value for key, value in data.items() if key in names})
