"""The failures of Azure, by name: what ``fake.inject`` takes.

Each class says how far a request comes (``phase``), which operations it fits (``operations``),
where it strikes if ``on`` is left out (``usually``), the HTTP status and code that tell of it, and
where Azure's form of it is known from (``source``). Take one and inject it::

    from pytest_azurevm import failures

    fake_compute.inject(failures.AllocationFailed(), on="start", times=2)

Importing this module imports no azure package.
"""

from __future__ import annotations

from pytest_azurevm._failure import PHASES, Failure, Phase
from pytest_azurevm._failures_accepted import (
    AllocationFailed,
    GuestNotReady,
    InternalExecutionError,
    InternalOperationError,
    NetworkingInternalOperationError,
    OperationPreempted,
    OSProvisioningClientError,
    OSProvisioningInternalError,
    OSProvisioningTimedOut,
    OverconstrainedAllocationRequest,
    OverconstrainedZonalAllocationRequest,
    RetryableError,
    Slow,
    SpotEvicted,
    Stuck,
    VMAgentStatusCommunicationError,
    VMExtensionHandlerNonTransientError,
    VMExtensionProvisioningError,
    VMExtensionProvisioningTimeout,
    VMRedeploymentFailed,
    VMRedeploymentTimedOut,
    VMStartTimedOut,
    ZonalAllocationFailed,
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
