"""Azure's errors, as a table: a key of ours, the HTTP status, the code and the message.

``gateway`` tells who answers: Azure Resource Manager's front door, or the compute resource
provider behind it; their headers differ. Each row names its source: ``rec`` is a recorded answer,
``seen`` an issue that quotes one, ``doc`` Microsoft's documentation, ``assumed`` our inference.
"""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


class ArmError(Exception):
    """An error as Azure Resource Manager answers it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        details: Sequence[Mapping[str, str]] = (),
        inner: Mapping[str, str] | None = None,
        additional_info: Sequence[Mapping[str, object]] = (),
        headers: Mapping[str, str] | None = None,
        gateway: bool = False,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.details = tuple(details)
        self.inner = inner
        self.additional_info = tuple(additional_info)
        self.headers = dict(headers or {})
        self.gateway = gateway
        self.shows_details = False  # also where there are none


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One kind of error."""

    key: str
    status: int
    code: str
    message: str
    gateway: bool
    source: str


# fmt: off
_ROWS: Final = (
    #         key                      HTTP  code                                   message                                                        gateway  source
    ErrorRow("no-such-vm",              404, "ResourceNotFound",                    "The Resource '{type}/{name}' under resource group '{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix", True, "rec, n>200"),
    ErrorRow("evicted",                 404, "NotFound",                            "The entity was not found in this Azure location.",            False,   "rec test_vm_simulate_eviction, of a VM that an eviction deleted"),
    ErrorRow("not-spot",                409, "OperationNotAllowed",                 "Operation 'simulateEviction' is allowed only for Spot Virtual Machines", False, "rec, n=12: no final period"),
    ErrorRow("no-parent",               404, "ParentResourceNotFound",              "Failed to perform '{action}' on resource(s) of type '{type}', because the parent resource '{parent}' could not be found.", True, "rec, of a scale set's extension"),
    ErrorRow("no-extensions",           409, "OperationNotAllowed",                 "This operation cannot be performed when extension operations are disallowed. To allow, please ensure VM Agent is installed on the VM and the osProfile.allowExtensionOperations property is true.", False, "seen gravitational/teleport, its test data, with 409"),
    ErrorRow("nic-reserved",            400, "NicReservedForAnotherVm",             "Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide another nic(s) or retry after 180 seconds. Reserved VM: {vm}", False, "seen cloudfoundry/bosh-azure-cpi-release#366"),
    ErrorRow("concurrent-write",        409, "ConflictingConcurrentWriteNotAllowed", "The operation was interrupted by a conflicting concurrent write on the same entity. Please retry later.", True, "seen cloudfoundry/bosh-azure-cpi-release#762; that the front door answers is assumed"),
    ErrorRow("no-such-operation",       404, "NotFound",                            "The entity was not found in this Azure location.",            False,   "rec for scale set instances; assumed here"),
    ErrorRow("bad-subscription",        400, "InvalidSubscriptionId",               "The provided subscription identifier '{subscription}' is malformed or invalid.", True, "seen hashicorp/terraform-provider-azurerm#25954"),
    ErrorRow("bad-group",               400, "InvalidResourceGroup",                "The provided resource group name '{group}' has these invalid characters: '{characters}'. The name can only be a letter, digit, '-', '.', '(', ')' or '_'.", True, "seen microsoft/microsoft-foundry-for-vscode#53"),
    ErrorRow("name-ends-badly",         400, "InvalidResourceNameTrailingCharacters", "The provided resource name '{name}' has these invalid trailing characters: '{characters}'. The name can not end with characters: '. '.", True, "seen microsoft/vscode-azureappservice#1294"),
    ErrorRow("bad-name",                400, "InvalidResourceName",                 "The provided resource name '{name}' has these invalid characters: '{characters}'. The name can not contain the characters: '<>%&:\\?/#'.", True, "assumed, after the form of its neighbours"),
    ErrorRow("long-name",               400, "InvalidParameter",                    "The length of the virtual machine name '{name}' must be between 1 and 64 characters.", False, "doc: 1 to 64; text assumed"),
    ErrorRow("no-api-version",          400, "MissingApiVersionParameter",          "The api-version query parameter (?api-version=) is required for all requests.", True, "seen cloudquery/cloudquery#6626"),
    ErrorRow("bad-api-version",         400, "InvalidApiVersionParameter",          "The api-version '{version}' is invalid. The supported versions are '{versions}'.", True, "seen Azure/azure-sdk-for-python#4104"),
    ErrorRow("unknown-api-version",     400, "NoRegisteredProviderFound",           "No registered resource provider found for location '{location}' and API version '{version}' for type '{type}'. The supported api-versions are '{versions}'. The supported locations are '{locations}'.", True, "seen Azure/azure-sdk-for-python#32029"),
    ErrorRow("no-location",             400, "LocationRequired",                    "The location property is required for this definition.",      True,    "seen Azure/azure-rest-api-specs#35342"),
    ErrorRow("unknown-location",        400, "LocationNotAvailableForResourceType", "The provided location '{location}' is not available for resource type '{type}'. List of available regions for the resource type is '{locations}'.", True, "seen Azure/azure-cli#14837"),
    ErrorRow("other-location",          409, "InvalidResourceLocation",             "The resource '{name}' already exists in location '{old}' in resource group '{group}'. A resource with the same name cannot be created in location '{new}'. Please select a new resource name.", True, "seen Azure/azure-service-operator#784; status assumed"),
    ErrorRow("bad-content",             400, "InvalidRequestContent",               "The request content was invalid and could not be deserialized: '{reason}'.", True, "seen Azure/azure-sdk-for-net#3487"),
    ErrorRow("large-content",           413, "RequestContentTooLarge",              "The request content size exceeds the maximum size of 4 MB.",   True,    "seen Azure/bicep-registry-modules#2358"),
    ErrorRow("bad-value",               400, "BadRequest",                          "{reason}",                                                    False,   "seen kubernetes-sigs/azuredisk-csi-driver#3045"),
    ErrorRow("missing",                 400, "InvalidParameter",                    "Required parameter '{parameter}' is missing (null).",         False,   "rec; seen Azure/azure-powershell#4001"),
    ErrorRow("not-allowed",             400, "InvalidParameter",                    "Parameter '{parameter}' is not allowed.",                     False,   "seen hashicorp/terraform-provider-azurerm#3247"),
    ErrorRow("bad-size",                400, "InvalidParameter",                    "The value {size} provided for the VM size is not valid. The valid sizes in the current region are: {sizes}. Find out more on the valid VM sizes in each region at https://aka.ms/azure-regions.", False, "seen sassoftware/viya4-iac-azure#116"),
    ErrorRow("bad-linux-host",          400, "InvalidParameter",                    "Linux host name cannot exceed 64 characters in length or contain the following characters: ` ~ ! @ # $ % ^ & * ( ) = + _ [ ] {{ }} \\ | ; : ' \" , < > / ?.", False, "seen hashicorp/terraform-provider-azurerm#280"),
    ErrorRow("bad-windows-host",        400, "InvalidParameter",                    "Windows computer name cannot be more than 15 characters long, be entirely numeric, or contain the following characters: ` ~ ! @ # $ % ^ & * ( ) = + _ [ ] {{ }} \\ | ; : . ' \" , < > / ?.", False, "doc"),
    ErrorRow("same-lun",                400, "InvalidParameter",                    "A disk at LUN {lun} already exists.",                         False,   "doc"),
    ErrorRow("bad-lun",                 400, "InvalidParameter",                    "The value '{lun}' of parameter 'dataDisk.lun' is out of range. Value '{lun}' must be between '0' and '63' inclusive.", False, "seen microsoft/lisa#692"),
    ErrorRow("smaller-disk",            400, "BadRequest",                          "The disk {disk} cannot be resized down. Reducing disk/snapshot size is not supported in Azure to prevent data loss. If you do need to reduce the size of the disk, please create new snapshot/disks with the appropriate size. More information is available at https://aka.ms/AzureDisksFAQ.", False, "seen MicrosoftDocs/azure-docs#47704"),
    ErrorRow("resize-while-allocated",  409, "Conflict",                            "Disk resizing is allowed only when creating a VM or when the VM is deallocated.", False, "doc"),
    ErrorRow("immutable",               409, "PropertyChangeNotAllowed",            "Changing property '{property}' is not allowed.",              False,   "rec; seen Azure/azure-sdk-for-net#37285"),
    ErrorRow("bad-expand",              400, "InvalidParameter",                    "The request URL is not valid.",                               False,   "seen Azure/azure-sdk-for-go#20576"),
    ErrorRow("etag",                    412, "PreconditionFailed",                  "The condition '{condition}' in the request does not match the resource's entity tag '{etag}'.", False, "the SDK expects 412; text assumed"),
    ErrorRow("no-method",               405, "MethodNotAllowed",                    "The requested resource does not support http method '{method}'.", False, "seen Azure/terraform-provider-azapi#936"),
    # Groups, and what is stored beside virtual machines.
    ErrorRow("no-such-group",           404, "ResourceGroupNotFound",               "Resource group '{group}' could not be found.",                True,    "rec, n>50"),
    ErrorRow("group-deleting",          409, "ResourceGroupBeingDeleted",           "The resource group '{group}' is in deprovisioning state and cannot perform this operation.", True, "seen Azure/azure-cli#28679"),
    ErrorRow("group-location",          400, "LocationNotAvailableForResourceGroup", "The provided location '{location}' is not available for resource group. List of available regions is '{locations}'.", True, "rec Test_NewResourceGroup_Error"),
    ErrorRow("group-moved",             409, "InvalidResourceGroupLocation",        "Invalid resource group location '{new}'. The Resource group already exists in location '{old}'.", True, "seen trailofbits/algo#1814"),
    ErrorRow("group-stays",             409, "ResourceGroupDeletionBlocked",        "Deletion of resource group '{group}' failed as resources with identifiers '{resources}' could not be deleted. The provisioning state of the resource group will be rolled back. The tracking Id is '{id}'. Please check audit logs for more details.", True, "seen MicrosoftDocs/azure-docs#52282; status assumed"),
    ErrorRow("no-such-resource",        404, "ResourceNotFound",                    "The resource '{name}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix", True, "rec, of a deployment stack: outside of groups"),
    ErrorRow("no-such-child",           404, "NotFound",                            "Resource {id} not found.",                                    False,   "rec, of Microsoft.Network"),
    ErrorRow("no-such-disk",            404, "NotFound",                            "Disk {name} is not found.",                                   False,   "rec Test_Compute_Disk_20240302_CRUD"),
    ErrorRow("no-such-snapshot",        404, "NotFound",                            "Snapshot {name} is not found.",                               False,   "rec Test_Compute_Snapshot_20240302_CRUD"),
    ErrorRow("no-such-disk-access",     404, "NotFound",                            "DiskAccess object {name} not found.",                         False,   "rec Test_Compute_DiskAccess_20240302_CRUD"),
    ErrorRow("no-such-encryption-set",  404, "NotFound",                            "DiskEncryptionSet '{name}' was not found.",                   False,   "rec"),
    ErrorRow("long-resource-name",      400, "InvalidResourceName",                 "The provided resource name '{name}' is longer than {longest} characters.", True, "assumed"),
    ErrorRow("nameless-child",          400, "InvalidRequestFormat",                "Cannot parse the request: every item of {member} needs a name.", False, "assumed"),
    ErrorRow("other-type",              400, "InvalidRequestContent",               "The request content was invalid: the {member} '{given}' does not match that of the URL, '{expected}'.", True, "assumed"),
    ErrorRow("being-deleted",           409, "Conflict",                            "The resource {id} is being deleted. Retry when that has ended.", False, "assumed"),
    ErrorRow("nic-in-use",              400, "NicInUse",                            "Network Interface {id} is used by existing resource {by}. In order to delete the network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.", False, "rec test_delete_dependent_resources"),
    ErrorRow("subnet-in-use",           400, "InUseSubnetCannotBeDeleted",          "Subnet {name} is in use by {by} and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.", False, "rec test_delete_dependent_resources"),
    ErrorRow("public-ip-in-use",        400, "PublicIPAddressCannotBeDeleted",      "Public IP address {id} can not be deleted since it is still allocated to resource {by}. In order to delete the public IP, disassociate/detach the Public IP address from the resource.  To learn how to do this, see aka.ms/deletepublicip.", False, "rec test_delete_dependent_resources"),
    ErrorRow("security-group-in-use",   400, "InUseNetworkSecurityGroupCannotBeDeleted", "Network security group {id} cannot be deleted because it is in use by the following resources: {all}. In order to delete the Network security group, remove the association with the resource(s). To learn how to do this, see aka.ms/deletensg.", False, "rec test_delete_dependent_resources; several are assumed to be listed with commas"),
    ErrorRow("route-table-in-use",      400, "InUseRouteTableCannotBeDeleted",      "Route table {id} cannot be deleted because it is in use by the following resources: {all}.", False, "assumed"),
    ErrorRow("nat-gateway-in-use",      400, "InUseNatGatewayCannotBeDeleted",      "Nat Gateway {id} cannot be deleted because it is in use by the following resources: {all}.", False, "assumed"),
    ErrorRow("no-reference",            400, "InvalidResourceReference",            "Resource {id} referenced by resource {by} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.", False, "rec, of a load balancer's public IP address"),
    ErrorRow("disk-attached",           409, "OperationNotAllowed",                 "Disk {name} is attached to VM {by}.",                         False,   "rec test_delete_dependent_resources"),
    ErrorRow("disk-owned",              409, "ConflictingUserInput",                "Disk '{name}' cannot be attached as the disk is already owned by VM '{by}'.", False, "doc"),
    ErrorRow("set-in-use",              409, "OperationNotAllowed",                 "Availability Set '{name}' cannot be deleted. Before deleting an Availability Set please ensure that it does not contain any VM.", False, "doc"),
    ErrorRow("locked",                  409, "ScopeLocked",                         "The scope '{scope}' cannot perform {verb} operation because following scope(s) are locked: '{locked}'. Please remove the lock and try again.", True, "seen Azure/apiops#606"),
    ErrorRow("bad-filter",              400, "InvalidFilterInQueryString",          "Invalid $filter '{filter}' specified in the query string.",   True,    "assumed"),
    ErrorRow("not-served",              501, "NotImplemented",                      "pytest-azurevm does not serve {operation} yet ({method} {path}). Nothing was changed. If your code needs it, ask for it on the project's issue tracker, naming this operation.", True, "our own"),
    ErrorRow("not-stored",              501, "NotImplemented",                      "pytest-azurevm does not serve {operation} ({method} {path}): {reason}. Nothing was changed. Served are virtual machines, their extensions and managed disks as things that live; resource groups, networks and any other resource as something to write, read, list, tag and delete.", True, "our own"),
)
# fmt: on
ERRORS: Final = {row.key: row for row in _ROWS}


def arm_error(key: str, *, target: str | None = None, **facts: object) -> ArmError:
    """Build the error of the row *key*, its message filled in with *facts*."""
    row = ERRORS[key]
    error = ArmError(
        row.status, row.code, row.message.format(**facts), target=target, gateway=row.gateway
    )
    error.shows_details = key in _WITH_DETAILS
    return error


# What Microsoft.Network answers has its details, though there are none [rec].
_WITH_DETAILS: Final = frozenset(
    "no-such-child nic-in-use subnet-in-use public-ip-in-use security-group-in-use "
    "route-table-in-use nat-gateway-in-use".split()
)


# An operation that a newer one pushed aside ends like this, in an HTTP 200 answer
# [seen osbuild/osbuild-composer#1447, the newer of two texts].
PREEMPTED: Final = (
    "OperationPreempted",
    "Operation execution has been preempted by a more recent operation.",
)
# An extension whose agent does not report ends like this [rec
# test_vm_create_with_default_trusted_launch].
AGENT_SILENT: Final = (
    "VMAgentStatusCommunicationError",
    "VM '{vm}' has not reported status for VM agent or extensions. Verify that the OS is up and "
    "healthy, the VM has a running VM agent, and that it can establish outbound connections to "
    "Azure storage. Please refer to https://aka.ms/vmextensionlinuxtroubleshoot for additional VM "
    "agent troubleshooting information.",
)
# Nobody has recorded a user's cancel of a VM operation; the text is assumed.
CANCELED: Final = ("OperationCanceled", "The operation was canceled by its owner.")
