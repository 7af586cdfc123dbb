"""The token buckets of Microsoft.Compute, and the header in which it counts them down.

Each policy has a bucket for the subscription and region, and (writes and cheap reads) one for each
VM; both fill up steadily [doc "Throttling limits for Virtual Machines"; rec, the same numbers in
``x-ms-ratelimit-remaining-resource``]. They are always counted; whether an empty one refuses a
request is the fake's ``throttling``.
"""

from __future__ import annotations

import datetime as _dt
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from pytest_azurevm._errors import ArmError

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

# What each operation is counted under [rec; doc]. A PATCH is an update of the model, and is counted
# under the other policy: see ``policy_of``.
POLICIES: Final[dict[str, Policy]] = {
    "create": PUT,
    "update": PUT,
    "delete": DELETE,
    "deallocate": DELETE,
    "simulate_eviction": DELETE,
    **dict.fromkeys(
        (
            "start", "power_off", "restart", "redeploy", "reapply", "reimage", "generalize",
            "extension_create", "extension_update", "extension_delete",
        ),
        UPDATE,
    ),
    **dict.fromkeys(("get", "instance_view", "extension_get", "extension_list"), LOW_COST_GET),
    **dict.fromkeys(("list", "list_all", "list_by_location"), HIGH_COST_GET),
    "poll": GET_OPERATION,
}  # fmt: skip


def policy_of(operation: str, method: str) -> Policy:
    """Give the policy that a request is counted under."""
    return UPDATE if method == "PATCH" else POLICIES[operation]


def throttled(
    policy: Policy, now: _dt.datetime, retry_after: int, *, of_resource: bool = False
) -> ArmError:
    """Give the refusal of a request that found a bucket of *policy* empty [doc; seen].

    Since 2023 the buckets are named as here [rec, headers]; that the detail goes by the same name
    is assumed.
    """
    part = "Resource" if of_resource else "SubscriptionMaximum"
    holds, _ = (policy.resource or policy.subscription) if of_resource else policy.subscription
    group = f"{policy.name}{part}"
    detail = {
        "operationGroup": group,
        "startTime": now.isoformat(),
        "endTime": (now + _dt.timedelta(seconds=retry_after)).isoformat(),
        "allowedRequestCount": holds,
        "measuredRequestCount": holds + 1,
    }
    return ArmError(
        429,
        "OperationNotAllowed",
        "The server rejected the request because too many requests have been received for this "
        "subscription.",
        details=[
            {
                "code": "TooManyRequests",
                "target": group,
                "message": json.dumps(detail, separators=(",", ":")),
            }
        ],
        inner={"internalErrorCode": "TooManyRequestsReceived"},
        headers={
            "Retry-After": str(retry_after),
            "x-ms-ratelimit-remaining-resource": f"Microsoft.Compute/{group};0",
        },
    )


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

    def empty(
        self, policy: Policy, subscription: str, resource: str, now_us: int
    ) -> tuple[int, bool] | None:
        """Say which bucket of *policy* is empty: whole seconds until it is not, whether the VM's.

        ``None``: neither is.
        """
        drawn = self._drawn[policy.name]
        waits = [(_wait_us(drawn, subscription, policy.subscription, now_us), False)]
        if policy.resource is not None:
            waits.append((_wait_us(drawn, resource, policy.resource, now_us), True))
        longest_us, of_resource = max(waits)
        return (-(-longest_us // 1_000_000), of_resource) if longest_us else None


def _wait_us(drawn: dict[str, int], key: str, size: tuple[int, int], now_us: int) -> int:
    """Give the time until a bucket has a token to give."""
    holds, gains = size
    lacks = max(0, drawn.get(key, 0) - gains * now_us)
    return -(-max(0, lacks - (holds - 1) * _MINUTE_US) // gains)


def _take(drawn: dict[str, int], key: str, size: tuple[int, int], now_us: int) -> int:
    holds, gains = size
    gained = gains * now_us
    lacks = max(0, drawn.get(key, 0) - gained) + _MINUTE_US
    lacks = min(lacks, holds * _MINUTE_US)
    drawn[key] = gained + lacks
    return holds - -(-lacks // _MINUTE_US)
