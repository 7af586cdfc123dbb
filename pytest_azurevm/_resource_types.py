"""The table of resource types that are stored: how each is written, shown and deleted.

A row names a type, all types of a provider (``Microsoft.Network/*``), or all there are (``*``); the
closest one holds. Its witness says where its figures are from: ``rec`` is a recorded exchange,
``spec`` what the SDK's methods accept, ``doc`` Microsoft's documentation, ``assumed`` our inference.
Types that it would be a lie to merely store stand in a table of their own, with the reason.
"""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from typing import Final, Literal, NamedTuple, TypeAlias

# The headers by which a long-running operation is followed: none, for it is over at once;
# Azure-AsyncOperation; Location; or both.
Headers: TypeAlias = Literal["", "async", "location", "both"]
Seconds: TypeAlias = tuple[float, float]  # median, 90th percentile

GROUP: Final = "Microsoft.Resources/resourceGroups"
DISK: Final = "Microsoft.Compute/disks"
NIC: Final = "Microsoft.Network/networkInterfaces"
IP_CONFIGURATION: Final = "Microsoft.Network/networkInterfaces/ipConfigurations"
SUBNET: Final = "Microsoft.Network/virtualNetworks/subnets"
NETWORK: Final = "Microsoft.Network/virtualNetworks"
PUBLIC_IP: Final = "Microsoft.Network/publicIPAddresses"
SECURITY_GROUP: Final = "Microsoft.Network/networkSecurityGroups"
AVAILABILITY_SET: Final = "Microsoft.Compute/availabilitySets"
LOCK: Final = "Microsoft.Authorization/locks"


class Change(NamedTuple):
    """How a request that changes a resource is answered."""

    status: int
    headers: Headers
    seconds: Seconds
    retry_after: int | None


class TypeRow(NamedTuple):
    """One type of resource."""

    type: str
    create: Change
    update: Change  # a PUT of one that is there
    patch: Change
    delete: Change
    shows: str  # the provisioning state while it is written; "": it has none
    located: bool  # whether it must say where it is
    witness: str

    @property
    def namespace(self) -> str:
        """The provider's namespace."""
        return self.type.partition("/")[0]


def _now(status: int) -> Change:
    return Change(status, "", (0, 0), None)


_OK, _NEW = _now(200), _now(201)
_S3: Final[Seconds] = (3, 3)  # over at the first look, which Retry-After sets to 3 s [rec, n=17]
_S10: Final[Seconds] = (10, 10)
_NET_DELETE: Final = Change(202, "both", _S10, 10)
_DISK: Final = Change(202, "both", (0.2, 1.0), 2)
_DISK_DELETE: Final = Change(202, "both", (0.2, 0.3), None)
_CRP_DELETE: Final = Change(202, "both", (5, 10), None)

# fmt: off
_ROWS: Final = (
    #       type                                        create                                   update                                   patch                                    delete                               shows        located  witness
    TypeRow(GROUP,                                      _NEW,                                    _OK,                                     _OK,                                     Change(202, "location", (10, 15), 15), "",        True,    "rec Test_Resources_ResourceGroup_CRUD 0, 2, 5, 6; an empty one is gone at the first look, n=3"),
    TypeRow(NETWORK,                                    Change(201, "async", _S3, 3),            Change(200, "async", _S3, 3),            _OK,                                     _NET_DELETE,                         "Updating",  True,    "rec Test_Compute_VM_20220301_CRUD 3, 4, n=11; update, delete spec and assumed"),
    TypeRow(SUBNET,                                     Change(201, "async", _S3, 3),            Change(200, "async", _S3, 3),            _OK,                                     _NET_DELETE,                         "Updating",  False,   "rec Test_Compute_VM_20220301_CRUD 7, n=6; update, delete spec and assumed"),
    TypeRow(NIC,                                        _NEW,                                    _OK,                                     _OK,                                     _NET_DELETE,                         "Updating",  True,    "rec Test_Compute_VM_20220301_CRUD 8, n=3 since 2024, over at once; delete spec and assumed"),
    TypeRow(PUBLIC_IP,                                  Change(201, "async", (1, 1), 1),         Change(200, "async", (1, 1), 1),         _OK,                                     _NET_DELETE,                         "Updating",  True,    "rec CanCreateImageByCapturingVM 4, n=2; update, delete spec and assumed"),
    TypeRow("Microsoft.Network/privateEndpoints",       Change(201, "async", (30, 30), 10),      Change(200, "async", (30, 30), 10),      _OK,                                     _NET_DELETE,                         "Updating",  True,    "rec Test_Compute_DiskAccess_20240302_CRUD 17, 21 to 23"),
    TypeRow("Microsoft.Network/*",                      Change(201, "async", _S3, 3),            Change(200, "async", _S3, 3),            _OK,                                     _NET_DELETE,                         "Updating",  True,    "rec test_vm_update_with_workspace_linux 1, a network security group, its Retry-After taken out; assumed of the others"),
    TypeRow(DISK,                                       _DISK,                                   _DISK,                                   _DISK,                                   _DISK_DELETE,                        "Updating",  True,    "rec Test_Compute_Disk_20240302_CRUD 2 to 11, n=450 and 31; patch rec test_compute_disks 4"),
    TypeRow("Microsoft.Compute/snapshots",              _DISK,                                   _DISK,                                   _DISK,                                   _DISK_DELETE,                        "Updating",  True,    "rec Test_Compute_Snapshot_20240302_CRUD 2, 10, n=206"),
    TypeRow("Microsoft.Compute/diskAccesses",           Change(202, "both", (0.3, 1.6), None),   Change(202, "both", (0.3, 1.6), None),   Change(202, "both", (0.3, 1.6), None),   Change(202, "both", (0.2, 30.6), None), "Updating", True,   "rec Test_Compute_DiskAccess_20240302_CRUD 3, 26, 32"),
    TypeRow("Microsoft.Compute/diskEncryptionSets",     Change(202, "both", (0.1, 0.6), None),   Change(202, "both", (0.1, 0.6), None),   Change(202, "both", (0.2, 0.5), None),   Change(202, "both", (0.1, 0.1), None), "Updating", True,    "rec, n=82, 15 and 7"),
    TypeRow("Microsoft.Compute/images",                 Change(201, "async", (5, 10), None),     Change(200, "async", (5, 10), None),     Change(200, "async", (5, 10), None),     _CRP_DELETE,                         "Creating",  True,    "rec Test_Compute_Image_20220301_CRUD 4, 13; its delete's seconds assumed"),
    TypeRow(AVAILABILITY_SET,                           _OK,                                     _OK,                                     _OK,                                     _OK,                                 "",          True,    "rec Test_Compute_AvailabilitySet_v20241101_CRUD 2, 4, 6, n=46: never 201"),
    TypeRow("Microsoft.Compute/capacityReservationGroups", Change(201, "async", (0.1, 0.2), None), Change(200, "async", (0.1, 0.2), None), _OK,                                    _CRP_DELETE,                         "Creating",  True,    "rec Test_Compute_v1api20250401_CreationAndDeletion 2"),
    TypeRow("Microsoft.Compute/proximityPlacementGroups", _NEW,                                  _OK,                                     _OK,                                     _OK,                                 "",          True,    "spec; 201 and 200 assumed"),
    TypeRow("Microsoft.Compute/sshPublicKeys",          _NEW,                                    _OK,                                     _OK,                                     _OK,                                 "",          True,    "spec; 201 and 200 assumed"),
    TypeRow("Microsoft.Compute/*",                      Change(201, "async", (5, 10), None),     Change(200, "async", (5, 10), None),     Change(200, "async", (5, 10), None),     _CRP_DELETE,                         "Creating",  True,    "assumed, like an image"),
    TypeRow("Microsoft.Storage/storageAccounts",        Change(202, "location", (17, 20), 17),   _OK,                                     _OK,                                     _OK,                                 "Creating",  True,    "rec CanCreate 6 to 8; update, delete spec"),
    TypeRow("Microsoft.ManagedIdentity/userAssignedIdentities", _NEW,                            _OK,                                     _OK,                                     _OK,                                 "",          True,    "rec test_vm_explicit_msi 1; the rest spec"),
    TypeRow("Microsoft.Authorization/*",                _NEW,                                    _OK,                                     _OK,                                     _OK,                                 "",          False,   "spec: role assignments, locks and policies are over at once"),
    TypeRow("*",                                        _NEW,                                    _OK,                                     _OK,                                     _OK,                                 "Succeeded", False,   "assumed: over at once"),
)
# fmt: on
_BY_TYPE: Final = {row.type.lower(): row for row in _ROWS}


@cache
def row_of(resource_type: str) -> TypeRow:
    """Give the row that holds for a type: its own, else its provider's, else the last."""
    lowered = resource_type.lower()
    own = _BY_TYPE.get(lowered) or _BY_TYPE.get(f"{lowered.partition('/')[0]}/*")
    row = own or _BY_TYPE["*"]
    # No child of another resource says where it is.
    return row._replace(located=False) if lowered.count("/") > 1 else row


# Types as Azure spells them, where somebody spells one otherwise.
_SPELLED: Final = {
    name.lower(): name
    for name in (
        *(row.type for row in _ROWS if "*" not in row.type),
        SECURITY_GROUP, LOCK, IP_CONFIGURATION, "Microsoft.Network/networkSecurityGroups/securityRules",
        "Microsoft.Network/networkSecurityGroups/defaultSecurityRules",
        "Microsoft.Network/virtualNetworks/virtualNetworkPeerings", "Microsoft.Network/routeTables",
        "Microsoft.Network/routeTables/routes", "Microsoft.Network/loadBalancers",
        "Microsoft.Network/natGateways", "Microsoft.Network/applicationSecurityGroups",
        "Microsoft.Authorization/roleAssignments", "Microsoft.Authorization/roleDefinitions",
        "Microsoft.Authorization/policyAssignments", "Microsoft.Compute/virtualMachines",
        "Microsoft.Resources/tags", "Microsoft.KeyVault/vaults",
    )
}  # fmt: skip


def known_types() -> tuple[str, ...]:
    """Give every type that is named here."""
    return tuple(sorted(_SPELLED.values()))


def spelled_type(resource_type: str) -> str:
    """Give a type as Azure spells it, if that is known."""
    return _SPELLED.get(resource_type.lower(), resource_type)


# The lists in a resource's properties that hold resources of their own: member, by type. Each is
# the child's type, too [rec of the first four; the others spec].
CHILDREN: Final[dict[str, tuple[str, ...]]] = {
    NETWORK.lower(): ("subnets", "virtualNetworkPeerings"),
    NIC.lower(): ("ipConfigurations",),
    SECURITY_GROUP.lower(): ("securityRules", "defaultSecurityRules"),
    "microsoft.network/routetables": ("routes",),
    "microsoft.network/loadbalancers": (
        "frontendIPConfigurations", "backendAddressPools", "loadBalancingRules", "probes",
        "inboundNatRules", "outboundRules", "inboundNatPools",
    ),
}  # fmt: skip
# A PUT that leaves one of these out leaves it as it is; any other is then emptied [doc "Update a
# virtual network without its subnets"; assumed of the others].
KEPT_IF_LEFT_OUT: Final = ("subnets", "defaultSecurityRules")
# Children that are read by themselves, and written with their parent only [spec].
READ_ONLY: Final = frozenset(
    name.lower()
    for name in (
        IP_CONFIGURATION,
        "Microsoft.Network/networkSecurityGroups/defaultSecurityRules",
        "Microsoft.Network/loadBalancers/frontendIPConfigurations",
        "Microsoft.Network/loadBalancers/loadBalancingRules",
        "Microsoft.Network/loadBalancers/probes",
        "Microsoft.Network/loadBalancers/outboundRules",
    )
)


# Members that are read here, wherever they stand in a body of these providers, and their kinds.
SHAPED: Final = ("microsoft.network", "microsoft.compute", "microsoft.storage")
SHAPES: Final[dict[str, type]] = {
    **dict.fromkeys(
        (
            "sku", "properties", "dnsSettings", "subnet", "publicIPAddress", "storageProfile",
            "osDisk", "creationData", "networkSecurityGroup", "addressSpace",
        ),
        dict,
    ),
    **dict.fromkeys(
        (
            "addressPrefix", "privateIPAddress", "privateIPAllocationMethod", "deleteOption",
            "publicIPAllocationMethod", "publicIPAddressVersion", "domainNameLabel", "tier",
        ),
        str,
    ),
    **dict.fromkeys(("diskSizeGB", "maxShares", "idleTimeoutInMinutes"), int),
    "addressPrefixes": list,
}  # fmt: skip


class Held(NamedTuple):
    """What keeps a resource from being deleted: that others refer to it."""

    error: str  # a key of the table of errors
    shows: str  # the member in which it names them
    single: bool  # whether that is one, and no list


# By type; whoever is looked for by type refers to it [rec test_delete_dependent_resources, all but
# the route table's].
HELD: Final[dict[str, Held]] = {
    SUBNET.lower(): Held("subnet-in-use", "ipConfigurations", single=False),
    PUBLIC_IP.lower(): Held("public-ip-in-use", "ipConfiguration", single=True),
    SECURITY_GROUP.lower(): Held("security-group-in-use", "networkInterfaces", single=False),
    "microsoft.network/routetables": Held("route-table-in-use", "subnets", single=False),
    "microsoft.network/natgateways": Held("nat-gateway-in-use", "subnets", single=False),
}


class Provider(NamedTuple):
    """How a provider's operations are followed."""

    operations: str  # the URL's part behind Azure-AsyncOperation
    results: str  # behind Location; "": the same, with monitor=true
    timed: bool  # whether the document has times and a name, or the status alone
    partition: bool  # whether its URLs have a p=
    notifies: bool  # Azure-AsyncNotification
    polls: tuple[int | None, int | None]  # Retry-After of the first look, and of later ones


_DISK_KINDS: Final = ("disks", "snapshots", "diskaccesses", "diskencryptionsets")


# fmt: off
_PROVIDERS: Final = {
    #                                 operations          results             timed  p=     notifies  Retry-After while it lasts
    "network":    Provider("operations",      "operationResults", False, False, True,     (10, 20)),  # [rec Test_Compute_DiskAccess_20240302_CRUD 1, 21 to 23; the results' URL assumed]
    "storage":    Provider("asyncoperations", "",                 True,  False, False,    (None, None)),  # [rec CanCreate 6]
    "disk":       Provider("DiskOperations",  "",                 True,  True,  False,    (None, None)),  # [rec Test_Compute_DiskAccess_20240302_CRUD 33]
    "compute":    Provider("operations",      "",                 True,  True,  True,     (None, None)),  # [rec Test_Compute_Image_20220301_CRUD 4, 14]
    "other":      Provider("operations",      "",                 True,  False, True,     (None, None)),  # assumed
}
# fmt: on


@cache
def provider_of(resource_type: str) -> Provider:
    """Say how operations on a type are followed."""
    namespace, _, kind = resource_type.lower().partition("/")
    if namespace == "microsoft.compute":
        return _PROVIDERS["disk" if kind in _DISK_KINDS else "compute"]
    return _PROVIDERS.get(namespace.removeprefix("microsoft."), _PROVIDERS["other"])


# How long a group's own delete takes once there is something in it: until what is in it is gone
# [rec: 3 or 4 looks of 15 s most often, n=7 of 9].
GROUP_WITH_RESOURCES_S: Final[Seconds] = (45, 105)

# What is not stored, for it does more than lie there: a part of the type, and why. The first that
# fits holds; ``*`` stands for any text.
REFUSED: Final = (
    ("microsoft.resources/deployments", "a template is not carried out here: ask for what it names, resource by resource"),
    ("microsoft.resources/deploymentstacks", "a template is not carried out here: ask for what it names, resource by resource"),
    ("microsoft.resources/deploymentscripts", "no script is run here"),
    ("microsoft.compute/virtualmachinescalesets", "it would have to make virtual machines, and does not: make them one by one"),
    ("microsoft.compute/cloudservices", "it would have to make virtual machines, and does not"),
    ("microsoft.compute/virtualmachines/runcommands", "no command is run in a guest here"),
    ("microsoft.compute/virtualmachines/*", "of a virtual machine's children, extensions are served"),
    ("microsoft.containerservice/*", "it would have to make virtual machines, and does not"),
    ("microsoft.batch/*", "it would have to make virtual machines, and does not"),
    ("microsoft.virtualmachineimages/*", "no image is built here"),
    ("microsoft.insights/*", "nothing is measured here: metrics and logs would be made up"),
    ("microsoft.operationalinsights/*/query", "nothing is measured here: metrics and logs would be made up"),
    ("microsoft.costmanagement/*", "costs are in fake.bill and vm.bill"),
    ("microsoft.consumption/*", "costs are in fake.bill and vm.bill"),
    ("microsoft.resourcegraph/*", "no query language is served: list the resources"),
)  # fmt: skip


@cache
def refusal_of(resource_type: str) -> str | None:
    """Say why a type is not stored; ``None``: it is."""
    for pattern, reason in REFUSED:
        if (
            resource_type == pattern
            or fnmatchcase(resource_type, pattern)
            or (resource_type.startswith(f"{pattern}/"))
        ):
            return reason
    return None


# Collections of what no one wrote: catalogues and figures. A list of them would be empty, and wrong.
CATALOGUES: Final = frozenset(
    "skus usages vmsizes operations quotas metrics metricdefinitions publishers artifacttypes "
    "capabilities servicetags roledefinitions roleassignmentschedules".split()
)
