"""The token buckets of Microsoft.Compute, and the header in which it counts them down.

Each policy has a bucket for the subscription and region, and (writes and cheap reads) one for each
VM; both fill up steadily [doc "Throttling limits for Virtual Machines"; rec, the same numbers in
``x-ms-ratelimit-remaining-resource``]. Here they are only counted, not enforced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy: what its buckets hold, and how many tokens each gains a minute."""

    name: str
    subscription: tuple[int, int]  # holds, gains a minute
    resource: tuple[int, int] | None
    resource_first: bool = False


_WRITE: Final = (1500, 500)
_WRITE_RESOURCE: Final = (12, 4)
PUT: Final = Policy("PutVM", _WRITE, _WRITE_RESOURCE)
UPDATE: Final = Policy("UpdateVM", _WRITE, _WRITE_RESOURCE)
DELETE: Final = Policy("DeleteVM", _WRITE, _WRITE_RESOURCE)
LOW_COST_GET: Final = Policy("LowCostGet", (24_000, 8_000), (36, 12))
HIGH_COST_GET: Final = Policy("HighCostGet", (900, 300), None)
# The resource is the operation that is polled, and its part comes first [rec].
GET_OPERATION: Final = Policy("GetOperation", (15_000, 5_000), (45, 15), resource_first=True)


class Buckets:
    """Every bucket that was drawn from."""

    def __init__(self) -> None:
        # Levels in tokens times a minute's microseconds, so that refilling is exact.
        self._levels: dict[tuple[str, str], tuple[int, int]] = {}

    def draw(self, policy: Policy, subscription: str, resource: str, now_us: int) -> str:
        """Take a token from each bucket of *policy*, and give the header that counts them."""
        left = self._take(policy.name, subscription, policy.subscription, now_us)
        parts = [f"Microsoft.Compute/{policy.name}SubscriptionMaximum;{left}"]
        if policy.resource is not None:
            left = self._take(policy.name, resource, policy.resource, now_us)
            part = f"Microsoft.Compute/{policy.name}Resource;{left}"
            parts.insert(0 if policy.resource_first else 1, part)
        return ",".join(parts)

    def _take(self, name: str, key: str, size: tuple[int, int], now_us: int) -> int:
        holds, gains = size
        full = holds * _MINUTE_US
        level, at_us = self._levels.get((name, key), (full, now_us))
        level = min(full, level + gains * (now_us - at_us))
        level = max(0, level - _MINUTE_US)
        self._levels[name, key] = (level, now_us)
        return level // _MINUTE_US
