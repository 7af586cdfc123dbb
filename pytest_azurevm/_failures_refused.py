"""Failures that refuse a request at once, and change nothing.

Some are answered by Azure Resource Manager's front door (``gateway``), others by the compute
resource provider behind it: their headers differ.
"""

# ruff: noqa: E501, RUF001  messages of Azure's are not wrapped, and keep their quotation marks

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import ClassVar, Final

from pytest_azurevm._agenda import microseconds
from pytest_azurevm._errors import ERRORS
from pytest_azurevm._errors import ArmError as WireError
from pytest_azurevm._failure import (
    AT_ONCE,
    CHANGING,
    EVERY,
    PHASES,
    PREEMPTABLE,
    Failure,
    Phase,
    Situation,
)
from pytest_azurevm._lifecycle import CONFLICT
from pytest_azurevm._records import Fate
from pytest_azurevm._throttling import policy_of, throttled

_WRITING: Final = (*CHANGING, *AT_ONCE)
_POLICY: Final = "allowed-machines"


class Refused(Failure):
    """A request that is refused at once."""

    phase = "refused"
    status = 409
    message: ClassVar[str]
    gateway: ClassVar[bool] = False

    def refusal(self, situation: Situation) -> WireError:
        """Refuse it in Azure's own words."""
        facts = situation.facts()
        return WireError(
            self.status,
            self.code,
            self.message.format_map(facts),
            details=self.details(facts),
            gateway=self.gateway,
            headers=self.headers(facts),
        )

    def details(self, facts: Mapping[str, str]) -> Sequence[Mapping[str, str]]:
        """Give the errors within the error."""
        return ()

    def headers(self, facts: Mapping[str, str]) -> Mapping[str, str]:
        """Give headers of its own."""
        return {}


class SkuNotAvailable(Refused):
    """The size is restricted, or has no capacity, in the region. Nothing is created.

    Source: seen azuresandbox#70 (409, synchronous).
    """

    operations = ("create", "update", "start")
    usually = "create"
    code = "SkuNotAvailable"
    message = (
        "The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: {size}' is currently not available in location '{location}'. "
        "Please try another size or deploy to a different location or different zone. See https://aka.ms/azureskunotavailable for details."
    )
    source = "seen azuresandbox#70"


class QuotaExceeded(Refused):
    """The subscription's quota of cores is used up. The code is ``OperationNotAllowed``.

    Source: seen cloud-barista/cb-spider#1558; kubernetes-sigs/karpenter#192.
    """

    operations = ("create", "update", "start")
    usually = "create"
    code = "OperationNotAllowed"
    message = (
        "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. Additional details - Deployment Model: Resource Manager, "
        "Location: {location}, Current Limit: 100, Current Usage: 100, Additional Required: {cores}, (Minimum) New Limit Required: {cores_wanted}. "
        "Setup Alerts when Quota reaches threshold. Learn more at https://aka.ms/quotamonitoringalerting . Submit a request for Quota increase at "
        "https://aka.ms/ProdportalCRP/#blade/Microsoft_Azure_Capacity/UsageAndQuota.ReactView/Parameters/%7B%22subscriptionId%22:%22{subscription}%22,%22command%22:%22openQuotaApprovalBlade%22,"
        "%22quotas%22:[%7B%22location%22:%22{location}%22,%22providerId%22:%22Microsoft.Compute%22,%22resourceName%22:%22cores%22,%22quotaRequest%22:%7B%22properties%22:%7B%22limit%22:{cores_wanted},%22unit%22:%22Count%22,"
        "%22name%22:%7B%22value%22:%22cores%22%7D%7D%7D%7D]%7D by specifying parameters listed in the ‘Details’ section for deployment to succeed. "
        "Please read more about quota limits at https://docs.microsoft.com/en-us/azure/azure-supportability/regional-quota-requests"
    )
    source = "seen cloud-barista/cb-spider#1558"


class Conflict(Refused):
    """Another write of the same machine is under way.

    Source: seen Azure/azure-cli#15765; rec azure-cli for scale sets.
    """

    operations = _WRITING
    usually = "update"
    code = "Conflict"
    message = CONFLICT.message
    source = "seen Azure/azure-cli#15765"


class ConflictingConcurrentWriteNotAllowed(Refused):
    """Two writes of one machine met; the newer form of ``Conflict``.

    Source: seen bosh-azure-cpi-release#762, microsoft/lisa#4623.
    """

    operations = _WRITING
    usually = "update"
    code = "ConflictingConcurrentWriteNotAllowed"
    message = ERRORS["concurrent-write"].message
    gateway = True
    source = "seen cloudfoundry/bosh-azure-cpi-release#762; that the front door answers is assumed"


class AttachDiskWhileBeingDetached(Refused):
    """A data disk is attached whose detaching is not over. Source: seen kubernetes/kubernetes#78657."""

    operations = ("create", "update")
    usually = "update"
    code = "AttachDiskWhileBeingDetached"
    message = (
        "Cannot attach data disk '{disk}' to VM '{vm}' because the disk is currently being detached or the last detach operation failed. "
        "Please wait until the disk is completely detached and then try again or delete/detach the disk explicitly again."
    )
    source = "seen kubernetes/kubernetes#78657"


class NicReservedForAnotherVm(Refused):
    """The network interface is kept for a machine whose create failed, for 180 seconds.

    The fake refuses so by itself, too: after a create that failed, and the machine's delete, the
    create of another machine on its NIC. Only the same machine, made anew, may have it.

    Source: seen taskcluster/taskcluster#7196, bosh-azure-cpi-release#366.
    """

    operations = ("create", "update")
    usually = "create"
    status = 400
    code = "NicReservedForAnotherVm"
    message = ERRORS["nic-reserved"].message.replace("{vm}", "{scope}-before")
    source = "seen cloudfoundry/bosh-azure-cpi-release#366"


class TooManyVMRedeploymentRequests(Refused):
    """The machine was moved too often of late. Source: err; HTTP 409 assumed."""

    operations = ("redeploy",)
    usually = "redeploy"
    code = "TooManyVMRedeploymentRequests"
    message = "Too many redeployment requests have been received for VM '{vm}' or the VMs in the same availabilityset with this VM. Please retry later."
    source = "err; status assumed"


@dataclass(frozen=True, kw_only=True, repr=False)
class Throttled(Refused):
    """Compute has had too many requests: 429, with the bucket that is empty.

    Args:
        retry_after: whole seconds that its ``Retry-After`` says. The SDK's retry policy waits them
            out, in virtual time.

    Source: doc "Troubleshooting API throttling errors"; seen hashicorp/terraform-provider-azurerm
    #19146.
    """

    operations = EVERY
    status = 429
    code = "OperationNotAllowed"
    source = "doc; seen hashicorp/terraform-provider-azurerm#19146"

    retry_after: int = 17

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_retry_after(self)

    def refusal(self, situation: Situation) -> WireError:
        """Refuse it as real throttling does."""
        policy = policy_of(situation.operation, situation.method)
        return throttled(policy, situation.now, self.retry_after)


@dataclass(frozen=True, kw_only=True, repr=False)
class SubscriptionRequestsThrottled(Refused):
    """The front door has had too many requests of the subscription.

    Args:
        retry_after: whole seconds that its ``Retry-After`` says.

    Source: seen MicrosoftDocs/azure-docs#105248.
    """

    operations = EVERY
    status = 429
    code = "SubscriptionRequestsThrottled"
    message = (
        "Number of requests for subscription '{subscription}' and operation '{route}' exceeded the backend storage limit. "
        "Please try again after '{retry_after}' seconds."
    )
    gateway = True
    source = "seen MicrosoftDocs/azure-docs#105248"

    retry_after: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_retry_after(self)

    def refusal(self, situation: Situation) -> WireError:
        """Refuse it, and say when to come again."""
        facts = situation.facts() | {"retry_after": str(self.retry_after)}
        return WireError(
            self.status,
            self.code,
            self.message.format_map(facts),
            gateway=True,
            headers={"Retry-After": str(self.retry_after)},
        )


class AuthorizationFailed(Refused):
    """Whoever asks has no role that allows it. Source: rec azure-cli, of other actions."""

    operations = EVERY
    status = 403
    code = "AuthorizationFailed"
    message = (
        "The client '00000000-0000-4000-8000-00000000c11e' with object id '00000000-0000-4000-8000-00000000c11e' does not have authorization to perform action '{action}' "
        "over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
    )
    gateway = True
    source = "rec azure-cli"


class LinkedAuthorizationFailed(Refused):
    """Whoever asks may not use what the machine refers to, here its network interface.

    Source: seen kubernetes-sigs/cloud-provider-azure#1999, of a load balancer's pool.
    """

    operations = ("create", "update")
    usually = "create"
    status = 403
    code = "LinkedAuthorizationFailed"
    message = (
        "The client '00000000-0000-4000-8000-00000000c11e' with object id '00000000-0000-4000-8000-00000000c11e' has permission to perform action '{action}' on scope '{scope}'; "
        "however, it does not have permission to perform action 'Microsoft.Network/networkInterfaces/join/action' on the linked scope(s) '{nic}' or the linked scope(s) are invalid."
    )
    gateway = True
    source = "seen kubernetes-sigs/cloud-provider-azure#1999"


class ScopeLocked(Refused):
    """A lock forbids it: CanNotDelete a delete, ReadOnly every write. Source: seen apiops#606."""

    operations = _WRITING
    usually = "delete"
    code = "ScopeLocked"
    message = "The scope '{scope}' cannot perform {verb} operation because following scope(s) are locked: '{scope}'. Please remove the lock and try again."
    gateway = True
    source = "seen Azure/apiops#606"


class RequestDisallowedByPolicy(Refused):
    """A policy denies the machine as it is asked for.

    Source: seen Azure/azure-cli#32417, Azure/karpenter-provider-azure#794.
    """

    operations = ("create", "update", "extension_create", "extension_update")
    usually = "create"
    status = 403
    code = "RequestDisallowedByPolicy"
    message = "Resource '{vm}' was disallowed by policy. Policy identifiers: '[{identifiers}]'."
    gateway = True
    source = "seen Azure/azure-cli#32417"

    def refusal(self, situation: Situation) -> WireError:
        """Refuse it, and name the policy."""
        facts = situation.facts()
        root = f"/subscriptions/{facts['subscription']}/providers/Microsoft.Authorization"
        assignment, definition = (
            f"{root}/policyAssignments/{_POLICY}",
            f"{root}/policyDefinitions/{_POLICY}",
        )
        identifiers = (
            f'{{"policyAssignment":{{"name":"Allowed machines","id":"{assignment}"}},'
            f'"policyDefinition":{{"name":"Allowed machines","id":"{definition}","version":"1.0.0"}}}}'
        )
        info = {
            "policyDefinitionId": definition,
            "policyDefinitionName": _POLICY,
            "policyDefinitionDisplayName": "Allowed machines",
            "policyDefinitionEffect": "deny",
            "policyAssignmentId": assignment,
            "policyAssignmentName": _POLICY,
            "policyAssignmentScope": f"/subscriptions/{facts['subscription']}",
            "policyAssignmentParameters": {},
            "policyExemptionIds": [],
        }
        return WireError(
            self.status,
            self.code,
            self.message.format_map({**facts, "identifiers": identifiers}),
            target=facts["vm"],
            additional_info=[{"type": "PolicyViolation", "info": info}],
            gateway=True,
        )


class MissingSubscriptionRegistration(Refused):
    """The subscription has not registered Microsoft.Compute.

    The SDK registers it by itself, and repeats the request: only a second hit (``times=None``)
    reaches the code under test. Source: rec azure-cli, of other namespaces.
    """

    operations = _WRITING
    usually = "create"
    code = "MissingSubscriptionRegistration"
    message = "The subscription is not registered to use namespace 'Microsoft.Compute'. See https://aka.ms/rps-not-found for how to register subscriptions."
    gateway = True
    source = "rec azure-cli"

    def details(self, facts: Mapping[str, str]) -> Sequence[Mapping[str, str]]:
        """Say it again, as Azure does."""
        return ({"code": self.code, "target": "Microsoft.Compute", "message": self.message},)


class SubscriptionNotFound(Refused):
    """There is no such subscription, or none that the token reaches. Source: rec."""

    operations = EVERY
    status = 404
    code = "SubscriptionNotFound"
    message = "The subscription '{subscription}' could not be found."
    gateway = True
    source = "rec azure-sdk-for-python log_analytics"


class ExpiredAuthenticationToken(Refused):
    """The token is too old: 401. The SDK raises ``ClientAuthenticationError``.

    Source: seen hashicorp/terraform-provider-azurerm#20867, Azure/azure-sdk-for-java#1714.
    """

    operations = EVERY
    status = 401
    code = "ExpiredAuthenticationToken"
    message = (
        "The access token expiry UTC time '{expired}' is earlier than current UTC time '{now}'."
    )
    gateway = True
    source = "seen hashicorp/terraform-provider-azurerm#20867; the header is assumed"

    def headers(self, facts: Mapping[str, str]) -> Mapping[str, str]:
        """Challenge for a new token."""
        return {
            "WWW-Authenticate": 'Bearer authorization_uri="https://login.windows.net/", error="invalid_token", '
            'error_description="The access token has expired."'
        }


_OTHER_PHASES: Final = ("refused", "failed", "recovering", "preempted")


@dataclass(frozen=True, repr=False)
class ArmError(Failure):
    """Any other error of Azure's, by its code and message.

    Args:
        code: the error code.
        message: its text.
        status: the HTTP status, 400 to 599, where it refuses a request.
        phase: ``"refused"``: at once; ``"failed"``: accepted, and the operation fails;
            ``"recovering"``: the same, and the machine recovers later; ``"preempted"``: accepted,
            and the operation ends Canceled.
        target: what it is about, where it refuses a request.
        details: errors within it, likewise.
        headers: more headers of that answer, such as ``Retry-After``.
        fails_after: virtual seconds until an accepted operation ends.
        recovers_after: virtual seconds after that until the machine has recovered.

    Raises:
        ValueError: the phase cannot be, or an argument does not fit it.
    """

    code: str = field()  # type: ignore[misc]  # of the others these three are the class's
    message: str = field()
    _: KW_ONLY
    status: int = 409  # type: ignore[misc]
    phase: Phase = "refused"  # type: ignore[misc]
    target: str | None = None
    details: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    fails_after: float | None = None
    recovers_after: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.phase not in PHASES:
            raise ValueError(f"phase {self.phase!r} is not one of {', '.join(_OTHER_PHASES)}")
        if self.phase not in _OTHER_PHASES:
            raise ValueError(
                f"ArmError takes phase {', '.join(_OTHER_PHASES)}: for {self.phase!r} there are "
                "failures of their own, such as Stuck, ServerError, MissingStatuses and Slow"
            )
        if not isinstance(self.code, str) or not self.code or not isinstance(self.message, str):
            raise TypeError("ArmError takes a code and a message, both text")
        if isinstance(self.status, bool) or not isinstance(self.status, int):
            raise TypeError(f"status must be an HTTP status such as 409, not {self.status!r}")
        if self.status not in range(400, 600):
            raise ValueError(f"status must be that of an error, 400 to 599, not {self.status!r}")
        if self.recovers_after is not None and self.phase != "recovering":
            raise ValueError("recovers_after goes with phase='recovering' only")
        if self.phase != "refused" and (self.target or self.details or self.headers):
            raise ValueError(
                "target, details and headers go with phase='refused' only: an operation's document "
                "tells the code and the message"
            )
        if self.phase == "refused" and self.fails_after is not None:
            raise ValueError("fails_after goes with an operation that is accepted, not refused")
        if self.phase == "recovering" and self.recovers_after is None:
            raise ValueError("phase='recovering' takes recovers_after, in seconds")

    @property
    def where(self) -> tuple[str, ...]:
        """Any request can be refused; only long-running operations fail later."""
        if self.phase == "refused":
            return EVERY
        return PREEMPTABLE if self.phase == "preempted" else CHANGING

    def refusal(self, situation: Situation) -> WireError | None:
        """Refuse it, if that is its phase."""
        if self.phase != "refused":
            return None
        return WireError(
            self.status,
            self.code,
            self.message,
            target=self.target,
            details=self.details,
            headers=self.headers,
        )

    def fate(self, situation: Situation, fate: Fate) -> Fate | None:
        """Let the operation fail, or be canceled."""
        return replace(
            fate,
            ends="Canceled" if self.phase == "preempted" else "Failed",
            error=(self.code, self.message),
            ends_after_s=self.fails_after,
            recovers_after_s=self.recovers_after,
            keeps_change=self.phase != "preempted",
        )


def _check_retry_after(failure: Throttled | SubscriptionRequestsThrottled) -> None:
    name, seconds = type(failure).__name__, failure.retry_after
    microseconds(seconds, what=f"{name}(retry_after=...)")
    if not isinstance(seconds, int):
        raise TypeError(f"{name}(retry_after=...) must be whole seconds, not {seconds!r}")
