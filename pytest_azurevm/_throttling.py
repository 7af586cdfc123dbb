"""The token buckets of Microsoft.Compute, and the header in which it counts them down.

Each policy has a bucket for the subscription and region, and (writes and cheap reads) one for each
VM; both fill up steadily [doc "Throttling limits for Virtual Machines"; rec, the same numbers in
``x-ms-ratelimit-remaining-resource``]. Here they are only counted, not enforced.
"""

from __future__ import annotations

from collections import defaultdict
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
        # By policy, and then by whose they are. Of each bucket one number is kept, for there are
        # a great many: what it lacked when it was last drawn from, on top of what any bucket of
        # its size had gained by then. Tokens are counted in a minute's microseconds, so that
        # refilling is exact.
        self._drawn: defaultdict[str, dict[str, int]] = defaultdict(dict)

    def draw(self, policy: Policy, subscription: str, resource: str, now_us: int) -> str:
        """Take a token from each bucket of *policy*, and give the header that counts them."""
        name = policy.name
        drawn = self._drawn[name]
        left = _take(drawn, subscription, policy.subscription, now_us)
        counted = f"Microsoft.Compute/{name}SubscriptionMaximum;{left}"
        if policy.resource is None:
            return counted
        left = _take(drawn, resource, policy.resource, now_us)
        of_resource = f"Microsoft.Compute/{name}Resource;{left}"
        if policy.resource_first:
            return f"{of_resource},{counted}"
        return f"{counted},{of_resource}"


def _take(drawn: dict[str, int], key: str, size: tuple[int, int], now_us: int) -> int:
    holds, gains = size
    gained = gains * now_us
    lacks = max(0, drawn.get(key, 0) - gained) + _MINUTE_US
    lacks = min(lacks, holds * _MINUTE_US)
    drawn[key] = gained + lacks
    return holds - -(-lacks // _MINUTE_US)
