"""The failures of Azure, by name: what ``fake.inject`` takes.

Each class says how far a request comes (``phase``), which operations it fits (``operations``),
where it strikes if ``on`` is left out (``usually``), the HTTP status and code that tell of it, and
where Azure's form of it is known from (``source``). Take one and inject it::

    from pytest_azurevm import failures

    fake_compute.inject(failures.AllocationFailed(), on="start", times=2)

Those that are accepted and fail take ``fails_after``: virtual seconds until they do, by default as
long as Azure takes. By phase:

*refused*, at once, with an HTTP error, and nothing is changed: SkuNotAvailable, QuotaExceeded,
    Conflict, ConflictingConcurrentWriteNotAllowed, AttachDiskWhileBeingDetached,
    NicReservedForAnotherVm, TooManyVMRedeploymentRequests, Throttled,
    SubscriptionRequestsThrottled, AuthorizationFailed, LinkedAuthorizationFailed, ScopeLocked,
    RequestDisallowedByPolicy, MissingSubscriptionRegistration, SubscriptionNotFound,
    ExpiredAuthenticationToken, and ArmError for any other.
*failed*: accepted; the operation ends Failed, in an answer of HTTP 200, and so does the machine:
    AllocationFailed, ZonalAllocationFailed, OverconstrainedAllocationRequest,
    OverconstrainedZonalAllocationRequest, OSProvisioningTimedOut (with ``recovers_after``
    recovering), OSProvisioningClientError, OSProvisioningInternalError, VMStartTimedOut,
    VMExtensionProvisioningError, VMExtensionProvisioningTimeout,
    VMExtensionHandlerNonTransientError, VMAgentStatusCommunicationError, VMRedeploymentTimedOut,
    VMRedeploymentFailed, InternalOperationError, InternalExecutionError,
    NetworkingInternalOperationError, RetryableError.
*never ending*: Stuck. *preempted*, the operation ends Canceled: OperationPreempted, SpotEvicted.
*lost* on the way, the work done or not: ConnectionReset, ReadTimeout, ServerError, GarbledBody.
*shown* late, or odd: GhostAfterDelete, LateInList, MissingStatuses, GuestNotReady. *slow*: Slow.

Importing this module imports no azure package.
"""

from __future__ import annotations

from pytest_azurevm._failure import PHASES, Failure, Phase
from pytest_azurevm._failures_accepted import (
    AllocationFailed,
    InternalExecutionError,
    InternalOperationError,
    NetworkingInternalOperationError,
    OSProvisioningClientError,
    OSProvisioningInternalError,
    OSProvisioningTimedOut,
    OverconstrainedAllocationRequest,
    OverconstrainedZonalAllocationRequest,
    RetryableError,
    VMAgentStatusCommunicationError,
    VMExtensionHandlerNonTransientError,
    VMExtensionProvisioningError,
    VMExtensionProvisioningTimeout,
    VMRedeploymentFailed,
    VMRedeploymentTimedOut,
    VMStartTimedOut,
    ZonalAllocationFailed,
)
from pytest_azurevm._failures_in_flight import (
    GuestNotReady,
    OperationPreempted,
    Slow,
    SpotEvicted,
    Stuck,
)
from pytest_azurevm._failures_on_the_way import (
    ConnectionReset,
    GarbledBody,
    GhostAfterDelete,
    LateInList,
    MissingStatuses,
    ReadTimeout,
    ServerError,
)
from pytest_azurevm._failures_refused import (
    ArmError,
    AttachDiskWhileBeingDetached,
    AuthorizationFailed,
    Conflict,
    ConflictingConcurrentWriteNotAllowed,
    ExpiredAuthenticationToken,
    LinkedAuthorizationFailed,
    MissingSubscriptionRegistration,
    NicReservedForAnotherVm,
    QuotaExceeded,
    RequestDisallowedByPolicy,
    ScopeLocked,
    SkuNotAvailable,
    SubscriptionNotFound,
    SubscriptionRequestsThrottled,
    Throttled,
    TooManyVMRedeploymentRequests,
)

__all__ = [
    "PHASES",
    "AllocationFailed",
    "ArmError",
    "AttachDiskWhileBeingDetached",
    "AuthorizationFailed",
    "Conflict",
    "ConflictingConcurrentWriteNotAllowed",
    "ConnectionReset",
    "ExpiredAuthenticationToken",
    "Failure",
    "GarbledBody",
    "GhostAfterDelete",
    "GuestNotReady",
    "InternalExecutionError",
    "InternalOperationError",
    "LateInList",
    "LinkedAuthorizationFailed",
    "MissingStatuses",
    "MissingSubscriptionRegistration",
    "NetworkingInternalOperationError",
    "NicReservedForAnotherVm",
    "OSProvisioningClientError",
    "OSProvisioningInternalError",
    "OSProvisioningTimedOut",
    "OperationPreempted",
    "OverconstrainedAllocationRequest",
    "OverconstrainedZonalAllocationRequest",
    "Phase",
    "QuotaExceeded",
    "ReadTimeout",
    "RequestDisallowedByPolicy",
    "RetryableError",
    "ScopeLocked",
    "ServerError",
    "SkuNotAvailable",
    "Slow",
    "SpotEvicted",
    "Stuck",
    "SubscriptionNotFound",
    "SubscriptionRequestsThrottled",
    "Throttled",
    "TooManyVMRedeploymentRequests",
    "VMAgentStatusCommunicationError",
    "VMExtensionHandlerNonTransientError",
    "VMExtensionProvisioningError",
    "VMExtensionProvisioningTimeout",
    "VMRedeploymentFailed",
    "VMRedeploymentTimedOut",
    "VMStartTimedOut",
    "ZonalAllocationFailed",
]
