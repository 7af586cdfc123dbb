"""Failures of operations that Azure accepted: they end Failed.

The wire tells of these in the operation's document, in an answer of HTTP 200, and in the instance
view that the machine shows afterwards. How long each takes, how far the machine comes, and in which
power state it is left, are facts like their texts: each has its source.
"""

# ruff: noqa: E501  messages of Azure's are not wrapped

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

from pytest_azurevm._errors import AGENT_SILENT, ArmError
from pytest_azurevm._failure import CHANGING, NOTHING_TO_SET_UP, Failure, Phase, Situation
from pytest_azurevm._lifecycle import AGENT_GIVEN_UP_AFTER_S
from pytest_azurevm._records import Fate, Held

_ALLOCATES: Final = ("create", "update", "start", "redeploy")
_OF_EXTENSIONS: Final = ("create", "extension_create", "extension_update")
_GUIDANCE: Final = "Read more about improving likelihood of allocation success at http://aka.ms/allocation-guidance"
_TOO_RESTRICTIVE: Final = (
    "Allocation failed. VM(s) with the following constraints cannot be allocated, because the condition is too restrictive. "
    "Please remove some constraints and try again. Constraints applied are:\n"
)


@dataclass(frozen=True, kw_only=True, repr=False)
class AcceptedThenFails(Failure):
    """An operation that is accepted, and fails.

    Args:
        fails_after: virtual seconds from its acceptance to its end; by default as long as Azure
            takes for it, or as long as the operation takes anyway.
    """

    phase: ClassVar[Phase] = "failed"
    message: ClassVar[str]
    usual_s: ClassVar[float | None] = None
    held_in: ClassVar[Held] = "last"

    fails_after: float | None = None

    def fate(self, situation: Situation, fate: Fate) -> Fate:
        """Let it fail in Azure's own words."""
        return replace(
            fate,
            ends="Failed",
            error=(self.code, self.text(situation)),
            ends_after_s=self.fails_after,
            usually_s=self.usual_s,
            held_in=self.held_in,
        )

    def text(self, situation: Situation) -> str:
        """Give Azure's words for it."""
        return self.message.format_map(situation.facts())


class AllocationFailed(AcceptedThenFails):
    """The region has no capacity for the size. The machine stays, Failed, with its NIC and disks.

    Once it is deleted, its NIC is kept for it for 180 s: another machine on that NIC is refused.

    Source: seen Azure/community-edition#3963 (text); cloudfoundry/bosh-azure-cpi-release#443 (about
    40 s until it fails); hail-is/hail#11393 (instance view). After a start the machine is
    deallocated again [assumed].
    """

    operations = _ALLOCATES
    usually = "create"
    code = "AllocationFailed"
    message = f"Allocation failed. We do not have sufficient capacity for the requested VM size in this region. {_GUIDANCE}"
    usual_s = 40
    held_in = "first"
    source = "seen Azure/community-edition#3963"


class ZonalAllocationFailed(AcceptedThenFails):
    """The availability zone has no capacity for the size.

    Source: seen openshift/release#5181 (text), cloudfoundry/bosh-azure-cpi-release#443 (40 s).
    """

    operations = _ALLOCATES
    usually = "create"
    code = "ZonalAllocationFailed"
    message = f"Allocation failed. We do not have sufficient capacity for the requested VM size in this zone. {_GUIDANCE}"
    usual_s = 40
    held_in = "first"
    source = "seen openshift/release#5181"


class OverconstrainedAllocationRequest(AcceptedThenFails):
    """No hardware of the region satisfies all that was asked for at once.

    Source: seen Azure-Samples/aks-store-demo#115; that it takes as long as other allocations to
    fail is assumed.
    """

    operations = _ALLOCATES
    usually = "create"
    code = "OverconstrainedAllocationRequest"
    message = f"{_TOO_RESTRICTIVE}  - Networking Constraints (such as Accelerated Networking or IPv6)\n  - VM Size\n"
    usual_s = 40
    held_in = "first"
    source = "seen Azure-Samples/aks-store-demo#115"


class OverconstrainedZonalAllocationRequest(AcceptedThenFails):
    """No hardware of the zone satisfies all that was asked for at once.

    Source: seen jenkins-infra/azure#1416; that it takes as long as other allocations is assumed.
    """

    operations = _ALLOCATES
    usually = "create"
    code = "OverconstrainedZonalAllocationRequest"
    message = f"{_TOO_RESTRICTIVE}  - Availability Zone\n  - VM Size\n"
    usual_s = 40
    held_in = "first"
    source = "seen jenkins-infra/azure#1416"


class _OSProvisioningFails(AcceptedThenFails):
    """The system of a generalized image did not set itself up. The machine runs, and is billed."""

    operations = ("create",)
    usually = "create"
    held_in = "creating/osProvisioningInProgress"

    def misfit(self, situation: Situation) -> str:
        """A specialized image, or a disk that is attached, has nothing to set up [doc]."""
        return "" if situation.is_generalized else NOTHING_TO_SET_UP


@dataclass(frozen=True, kw_only=True, repr=False)
class OSProvisioningTimedOut(_OSProvisioningFails):
    """The system did not set itself up within 40 minutes; 90 if there are extensions.

    Args:
        recovers_after: virtual seconds after it failed at which the machine is found Succeeded by
            itself; by default only a later operation that succeeds, such as a restart, does that.
        terminal: whether Azure gives the machine up: then only deleting it helps. Its code is the
            same; only its message says so ("non-recoverable").
        fails_after: virtual seconds until it fails.

    Raises:
        ValueError: it is to be terminal, and to recover.

    Source: seen Azure/aks-engine#3694 (text), WALinuxAgent#664 (40 minutes), CloudVE/cloudbridge#222
    (recovers); doc (billed; 90 minutes; the terminal form).
    """

    code = "OSProvisioningTimedOut"
    message = (
        "OS Provisioning for VM '{vm}' did not finish in the allotted time. The VM may still finish provisioning successfully. "
        "Please check provisioning state later. For details on how to check current provisioning state of Windows VMs, refer to "
        "https://aka.ms/WindowsVMLifecycle and Linux VMs, refer to https://aka.ms/LinuxVMLifecycle."
    )
    usual_s = 2400
    source = "seen Azure/aks-engine#3694"
    _TERMINAL: ClassVar[str] = (
        "OS provisioning failure has reached terminal state and is non-recoverable for VM '{vm}'. "
        'Consider deleting and recreating this virtual machine. Additional Details: {{\r\n  "resourceType": "Microsoft.WindowsAzure.ComputeResourceProvider.Core.Shared.Strings, '
        'CRP.Core.Shared, Version=1.0.0.0, Culture=neutral, PublicKeyToken=null",\r\n  "ResourceCode": "OSProvisioningTimedOut",\r\n  "ResourceParameters": [\r\n    "{vm}"\r\n  ]\r\n}}'
    )
    _WITH_EXTENSIONS_S: ClassVar[float] = 5400

    recovers_after: float | None = None
    terminal: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.terminal and self.recovers_after is not None:
            raise ValueError(
                "OSProvisioningTimedOut is either terminal, or recovers after a while: "
                "give terminal=True or recovers_after=..., not both"
            )
        if self.recovers_after is not None:
            self._is_of("recovering")

    def fate(self, situation: Situation, fate: Fate) -> Fate:
        """Let it fail, and say what becomes of the machine."""
        failed = super().fate(situation, fate)
        return replace(
            failed,
            usually_s=self._WITH_EXTENSIONS_S if situation.extension else self.usual_s,
            recovers_after_s=self.recovers_after,
            terminal=self.terminal,
        )

    def text(self, situation: Situation) -> str:
        """Give Azure's words for it."""
        words = self._TERMINAL if self.terminal else self.message
        return words.format_map(situation.facts())


class OSProvisioningClientError(_OSProvisioningFails):
    """What the request gave the system to set itself up with was no good.

    Source: err; seen Azure/azure-cli#29203.
    """

    code = "OSProvisioningClientError"
    message = (
        "OS provisioning for VM '{vm}' failed. Error details: This installation of Windows is undeployable. "
        "Make sure the image has been properly prepared (generalized)."
    )
    source = "err; seen Azure/azure-cli#29203"


class OSProvisioningInternalError(_OSProvisioningFails):
    """The system was not set up, for a reason of Azure's own. Source: err."""

    code = "OSProvisioningInternalError"
    message = "OS Provisioning failed for VM '{vm}' due to an internal error."
    source = "err"


@dataclass(frozen=True, kw_only=True, repr=False)
class VMStartTimedOut(AcceptedThenFails):
    """The machine did not come up within 40 minutes; it may do so later, and stay Failed.

    Args:
        comes_up_after: virtual seconds after it failed at which its system is up all the same; its
            provisioning state stays Failed. By default it rests where it was before.
        fails_after: virtual seconds until it fails.

    Source: err (text); seen scylladb/scylla-cluster-tests#15004 (40 minutes; up after 50, Failed).
    """

    operations = ("start", "restart")
    usually = "start"
    code = "VMStartTimedOut"
    message = "VM '{vm}' did not start in the allotted time. The VM may still start successfully. Please check the power state later."
    usual_s = 2400
    held_in = "first"
    source = "err; seen scylladb/scylla-cluster-tests#15004"

    comes_up_after: float | None = None

    def fate(self, situation: Situation, fate: Fate) -> Fate:
        """Let it fail, and say when the system is up."""
        failed = super().fate(situation, fate)
        return replace(failed, comes_up_after_s=self.comes_up_after)


class _ExtensionFails(AcceptedThenFails):
    """An extension failed. Written with the machine, it makes that Failed; as a child, only itself.

    A create brings extensions as ``"resources": [{"name": ..., "properties": {"publisher": ...,
    "type": ..., "typeHandlerVersion": ...}}]``, beside ``"properties"``.

    Source for the child: rec azure-cli, n=2.
    """

    operations = _OF_EXTENSIONS
    usually = "extension_create"

    def misfit(self, situation: Situation) -> str:
        """A create that brings no extension has none that could fail."""
        return (
            "" if situation.extension else "it brings no extension (as resources) that could fail"
        )

    def fate(self, situation: Situation, fate: Fate) -> Fate:
        """Let the first extension that is asked for fail."""
        failed = super().fate(situation, fate)
        return replace(failed, extension=situation.facts()["extension"])


@dataclass(frozen=True, kw_only=True, repr=False)
class VMExtensionProvisioningError(_ExtensionFails):
    """The extension's handler reported a failure.

    Args:
        reason: what the handler said.
        fails_after: virtual seconds until it fails.

    Source: rec azure-cli test_vm_update_with_workspace_linux.
    """

    code = "VMExtensionProvisioningError"
    message = (
        "VM has reported a failure when processing extension '{extension}' (publisher '{publisher}' and type '{type}'). "
        'Error message: "{reason}". More information on troubleshooting is available at https://aka.ms/vmextensionlinuxtroubleshoot. '
    )
    source = "rec azure-cli test_vm_update_with_workspace_linux"

    reason: str = "Enable failed: failed to execute command: command terminated with exit status=1"

    def text(self, situation: Situation) -> str:
        """Give Azure's words for it."""
        return self.message.format_map({**situation.facts(), "reason": self.reason})


class VMExtensionProvisioningTimeout(_ExtensionFails):
    """The extension did not report anything for 90 minutes.

    Source: rec azure-cli test_sig_image_version_cross_tenant: it failed after 5,412 s.
    """

    code = "VMExtensionProvisioningTimeout"
    message = (
        "Provisioning of VM extension {extension} has timed out. Extension provisioning has taken too long to complete. "
        "The extension did not report a message. More information on troubleshooting is available at https://aka.ms/vmextensionlinuxtroubleshoot"
    )
    usual_s = 5412
    source = "rec azure-cli test_sig_image_version_cross_tenant"


class VMExtensionHandlerNonTransientError(_ExtensionFails):
    """The extension's handler failed for good. Source: err."""

    code = "VMExtensionHandlerNonTransientError"
    message = (
        "Handler '{publisher}.{type}' has reported failure for VM Extension '{extension}' with terminal error code '1009' "
        "and error message: 'Enable failed: the handler cannot go on'"
    )
    source = "err"


class VMAgentStatusCommunicationError(_ExtensionFails):
    """Nothing was heard of the guest's agent, so that no extension could be installed.

    Source: rec azure-cli test_vm_create_with_default_trusted_launch: it failed after 25 minutes.
    """

    code, message = AGENT_SILENT
    usual_s = AGENT_GIVEN_UP_AFTER_S
    source = "rec azure-cli test_vm_create_with_default_trusted_launch"


class VMRedeploymentTimedOut(AcceptedThenFails):
    """The machine was not up on its new host in time. Source: err; 40 minutes as a start, assumed."""

    operations = ("redeploy",)
    usually = "redeploy"
    code = "VMRedeploymentTimedOut"
    message = "Redeployment of VM '{vm}' didn't finish in the allotted time. It might finish successfully in sometime. Else, you can retry the request."
    usual_s = 2400
    source = "err"


class VMRedeploymentFailed(AcceptedThenFails):
    """The machine could not be moved to another host. Source: err."""

    operations = ("redeploy",)
    usually = "redeploy"
    code = "VMRedeploymentFailed"
    message = "VM '{vm}' redeployment failed due to an internal error. Please retry later."
    source = "err"


class InternalOperationError(AcceptedThenFails):
    """Azure gave the operation up. Source: err; the instance view's form is documented."""

    operations = CHANGING
    usually = "update"
    code = "InternalOperationError"
    message = "Operation abandoned due to internal error. Please try again later."
    source = "err"


class InternalExecutionError(AcceptedThenFails):
    """Azure failed inside.

    Source: rec libraries-for-java testCreateVirtualMachineUsingSpecializedDiskFromSnapshot.
    """

    operations = CHANGING
    usually = "create"
    code = "InternalExecutionError"
    message = "An internal execution error occurred."
    held_in = "first"
    source = "rec libraries-for-java"


class NetworkingInternalOperationError(AcceptedThenFails):
    """The machine's network could not be set up.

    Source: err; seen jenkinsci/azure-vm-agents-plugin#236 (instance view).
    """

    operations = ("create", "update", "start", "redeploy")
    usually = "create"
    code = "NetworkingInternalOperationError"
    message = "An internal error occurred in processing network profile of the VM."
    held_in = "first"
    source = "err; seen jenkinsci/azure-vm-agents-plugin#236"


@dataclass(frozen=True, kw_only=True, repr=False)
class RetryableError(AcceptedThenFails):
    """Something that the machine refers to was being changed.

    Args:
        at_once: whether the request is refused with 429, as Azure's network does, with no
            ``Retry-After``. By default the operation is accepted, and fails.
        fails_after: virtual seconds until it fails.

    Source: seen hashicorp/terraform-provider-azurerm#16928 (fails), ray-project/ray (instance view);
    rec azure-service-operator Test_Compute_VM_20201201 (429, of a network interface).
    """

    operations = ("create", "update", "start", "redeploy", "extension_create", "extension_update")
    usually = "create"
    code = "RetryableError"
    message = "A retryable error occurred."
    held_in = "first"
    source = "seen hashicorp/terraform-provider-azurerm#16928; rec azure-service-operator"

    at_once: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.at_once:
            if self.fails_after is not None:
                raise ValueError("RetryableError fails at_once, or fails_after a while: not both")
            self._is_of("refused", status=429)

    def refusal(self, situation: Situation) -> ArmError | None:
        """Refuse it at once, if so it is to be."""
        if not self.at_once:
            return None
        facts = situation.facts()
        detail = {
            "code": "ReferencedResourceNotProvisioned",
            "message": f"Cannot proceed with operation because resource {facts['nic']} used by resource {facts['scope']} is not in Succeeded state. "
            "Resource is in Updating state and the last operation that updated/is updating the resource is PutNicOperation.",
        }
        return ArmError(429, self.code, self.message, details=[detail])
