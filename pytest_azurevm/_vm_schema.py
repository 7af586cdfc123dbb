"""The members of a virtual machine's body: which names ARM knows, and what they hold.

The names on the wire, as azure-mgmt-compute 39.0.0 declares them (VirtualMachine for PUT,
VirtualMachineUpdate for PATCH); a test compares them with the SDK that is installed. What the
service alone writes in depth (``instanceView``, ``systemData``) is "any" here.

A kind is one of:
    "str", "int", "bool", "float", "datetime"   a scalar (datetime: RFC 3339 text)
    "any"                                       free-form JSON
    "map"                                       an object of any names, each to a string
    {"*": kind}                                 an object of any names, each to that kind
    {"name": kind, "one two": kind, ...}        an object of these members; a key may hold
                                                several names of one kind, parted by spaces
    [kind]                                      a list
    ("A", "B")                                  a string, one of these (in any case)

A member's name may end in a flag: ":ro", set by the service only, with all below it;
":put", in PUT but not in PATCH.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Kind: TypeAlias = str | dict[str, Any] | list[Any] | tuple[str, ...]

_SCHEDULED_EVENTS_POLICY = {
    "userInitiatedRedeploy userInitiatedReboot": {"automaticallyApprove": "bool"},
    "scheduledEventsAdditionalPublishingTargets": {
        "eventGridAndResourceGraph": {"enable": "bool", "scheduledEventsApiVersion": "str"}
    },
    "allInstancesDown": {"automaticallyApprove": "bool"},
}
_SUB_RESOURCE = {"id": "str"}
_KEY_VAULT_SECRET_REFERENCE = {"secretUrl": "str", "sourceVault": _SUB_RESOURCE}
_DISK_ENCRYPTION_SETTINGS = {
    "diskEncryptionKey": _KEY_VAULT_SECRET_REFERENCE,
    "keyEncryptionKey": {"keyUrl": "str", "sourceVault": _SUB_RESOURCE},
    "enabled": "bool",
}
_CACHING = ("None", "ReadOnly", "ReadWrite")
_DIFF_DISK_SETTINGS = {
    "option": ("Local",),
    "placement": ("CacheDisk", "ResourceDisk", "NvmeDisk"),
    "enableFullCaching": "bool",
}
_DISK_CREATE_OPTION = ("FromImage", "Empty", "Attach", "Copy", "Restore")
_STORAGE_FAULT_DOMAIN_ALIGNMENT = ("Aligned", "BestEffortAligned")
_STORAGE_ACCOUNT = (
    "Standard_LRS",
    "Premium_LRS",
    "StandardSSD_LRS",
    "UltraSSD_LRS",
    "Premium_ZRS",
    "StandardSSD_ZRS",
    "PremiumV2_LRS",
)
_MANAGED_DISK_PARAMETERS = {
    "id": "str",
    "storageAccountType": _STORAGE_ACCOUNT,
    "diskEncryptionSet": _SUB_RESOURCE,
    "securityProfile": {
        "securityEncryptionType": ("VMGuestStateOnly", "DiskWithVMGuestState", "NonPersistedTPM"),
        "diskEncryptionSet": _SUB_RESOURCE,
    },
    "additionalDiskProperties": {
        "managedDiskProperties": {
            "tier diskAccessId": "str",
            "burstingEnabled performancePlus optimizedForFrequentAttach": "bool",
            "availabilityPolicy": {"actionOnDiskDelay": ("None", "AutomaticReattach")},
            "maxShares diskIOPSReadOnly diskMBpsReadOnly logicalSectorSize": "int",
            "networkAccessPolicy": ("AllowAll", "AllowPrivate", "DenyAll"),
        }
    },
}
_DISK_DELETE_OPTION = ("Delete", "Detach")
_OS_DISK = {
    "osType": ("Windows", "Linux"),
    "encryptionSettings": _DISK_ENCRYPTION_SETTINGS,
    "name": "str",
    "vhd image": {"uri": "str"},
    "caching": _CACHING,
    "writeAcceleratorEnabled": "bool",
    "diffDiskSettings": _DIFF_DISK_SETTINGS,
    "createOption": _DISK_CREATE_OPTION,
    "diskSizeGB": "int",
    "storageFaultDomainAlignment": _STORAGE_FAULT_DOMAIN_ALIGNMENT,
    "managedDisk": _MANAGED_DISK_PARAMETERS,
    "deleteOption": _DISK_DELETE_OPTION,
}
_DATA_DISK = {
    "lun diskSizeGB diskIOPSReadWrite diskMBpsReadWrite": "int",
    "name": "str",
    "vhd image": {"uri": "str"},
    "caching": _CACHING,
    "writeAcceleratorEnabled toBeDetached": "bool",
    "createOption": _DISK_CREATE_OPTION,
    "storageFaultDomainAlignment": _STORAGE_FAULT_DOMAIN_ALIGNMENT,
    "managedDisk": _MANAGED_DISK_PARAMETERS,
    "sourceResource": _SUB_RESOURCE,
    "detachOption": ("ForceDetach",),
    "deleteOption": _DISK_DELETE_OPTION,
}
_STORAGE_PROFILE = {
    "imageReference": {
        "id publisher offer sku version exactVersion:ro sharedGalleryImageId": "str",
        "communityGalleryImageId": "str",
    },
    "osDisk": _OS_DISK,
    "dataDisks": [_DATA_DISK],
    "diskControllerType": ("SCSI", "NVMe"),
    "alignRegionalDisksToVMZone": "bool",
    "diskApiVersion": ("2025-01-02", "2026-03-02"),
}
_PATCH_AUTOMATIC_BY_PLATFORM_SETTINGS = {
    "rebootSetting": ("Unknown", "IfRequired", "Never", "Always"),
    "bypassPlatformSafetyChecksOnUserSchedule": "bool",
}
_WINDOWS_CONFIGURATION = {
    "provisionVMAgent enableAutomaticUpdates enableVMAgentPlatformUpdates:ro": "bool",
    "timeZone": "str",
    "additionalUnattendContent": [
        {
            "passName": ("OobeSystem",),
            "componentName": ("Microsoft-Windows-Shell-Setup",),
            "settingName": ("AutoLogon", "FirstLogonCommands"),
            "content": "str",
        }
    ],
    "patchSettings": {
        "patchMode": ("Manual", "AutomaticByOS", "AutomaticByPlatform"),
        "enableHotpatching": "bool",
        "assessmentMode": ("ImageDefault", "AutomaticByPlatform"),
        "automaticByPlatformSettings": _PATCH_AUTOMATIC_BY_PLATFORM_SETTINGS,
    },
    "winRM": {"listeners": [{"protocol": ("Http", "Https"), "certificateUrl": "str"}]},
}
_LINUX_CONFIGURATION = {
    "disablePasswordAuthentication provisionVMAgent enableVMAgentPlatformUpdates": "bool",
    "ssh": {"publicKeys": [{"path keyData": "str"}]},
    "patchSettings": {
        "patchMode assessmentMode": ("ImageDefault", "AutomaticByPlatform"),
        "automaticByPlatformSettings": _PATCH_AUTOMATIC_BY_PLATFORM_SETTINGS,
    },
}
_VAULT_SECRET_GROUP = {
    "sourceVault": _SUB_RESOURCE,
    "vaultCertificates": [{"certificateUrl certificateStore": "str"}],
}
_OS_PROFILE = {
    "computerName adminUsername adminPassword customData": "str",
    "windowsConfiguration": _WINDOWS_CONFIGURATION,
    "linuxConfiguration": _LINUX_CONFIGURATION,
    "secrets": [_VAULT_SECRET_GROUP],
    "allowExtensionOperations requireGuestProvisionSignal": "bool",
}
_DELETE_OPTIONS = ("Delete", "Detach")
_DOMAIN_NAME_LABEL_SCOPE = ("TenantReuse", "SubscriptionReuse", "ResourceGroupReuse", "NoReuse")
_IP_VERSIONS = ("IPv4", "IPv6")
_PUBLIC_IP_ADDRESS_CONFIGURATION = {
    "name": "str",
    "properties": {
        "idleTimeoutInMinutes": "int",
        "deleteOption": _DELETE_OPTIONS,
        "dnsSettings": {"domainNameLabel": "str", "domainNameLabelScope": _DOMAIN_NAME_LABEL_SCOPE},
        "ipTags": [{"ipTagType tag firstPartyServiceTagId": "str"}],
        "publicIPPrefix": _SUB_RESOURCE,
        "publicIPAddressVersion": _IP_VERSIONS,
        "publicIPAllocationMethod": ("Dynamic", "Static"),
    },
    "sku": {"name": ("Basic", "Standard"), "tier": ("Regional", "Global")},
    "tags": "map",
}
_NETWORK_INTERFACE_IP_CONFIGURATION = {
    "name": "str",
    "properties": {
        "subnet": _SUB_RESOURCE,
        "primary": "bool",
        "publicIPAddressConfiguration": _PUBLIC_IP_ADDRESS_CONFIGURATION,
        "privateIPAddressVersion": _IP_VERSIONS,
        "privateIPAddressPrefixLength": "int",
        "applicationSecurityGroups applicationGatewayBackendAddressPools": [_SUB_RESOURCE],
        "loadBalancerBackendAddressPools": [_SUB_RESOURCE],
    },
}
_NETWORK_INTERFACE_CONFIGURATION = {
    "name": "str",
    "properties": {
        "primary enableAcceleratedNetworking disableTcpStateTracking enableFpga": "bool",
        "deleteOption": _DELETE_OPTIONS,
        "enableIPForwarding": "bool",
        "networkSecurityGroup dscpConfiguration": _SUB_RESOURCE,
        "dnsSettings": {"dnsServers": ["str"]},
        "ipConfigurations": [_NETWORK_INTERFACE_IP_CONFIGURATION],
        "auxiliaryMode": ("None", "AcceleratedConnections", "Floating"),
        "auxiliarySku": ("None", "A1", "A2", "A4", "A8"),
    },
    "tags": "map",
}
_NETWORK_PROFILE = {
    "networkInterfaces": [
        {"id": "str", "properties": {"primary": "bool", "deleteOption": _DELETE_OPTIONS}}
    ],
    "networkApiVersion": ("2020-11-01", "2022-11-01"),
    "networkInterfaceConfigurations": [_NETWORK_INTERFACE_CONFIGURATION],
    "interconnectGroupProfile": {"interconnectGroup": _SUB_RESOURCE, "subgroups": [_SUB_RESOURCE]},
}
_HOST_ENDPOINT_SETTINGS = {
    "mode": ("Audit", "Enforce", "Disabled"),
    "inVMAccessControlProfileReferenceId": "str",
    "useLocalFileRules": "bool",
}
_SECURITY_PROFILE = {
    "uefiSettings": {"secureBootEnabled vTpmEnabled": "bool"},
    "encryptionAtHost": "bool",
    "securityType": ("Standard", "TrustedLaunch", "ConfidentialVM"),
    "encryptionIdentity": {"userAssignedIdentityResourceId": "str"},
    "proxyAgentSettings": {
        "enabled addProxyAgentExtension": "bool",
        "mode": ("Audit", "Enforce"),
        "keyIncarnationId": "int",
        "wireServer imds": _HOST_ENDPOINT_SETTINGS,
    },
}
_GALLERY_APPLICATION = {
    "tags packageReferenceId configurationReference": "str",
    "order": "int",
    "treatFailureAsDeploymentFailure enableAutomaticUpgrade": "bool",
}
_PROPERTIES = {
    "hardwareProfile": {
        "vmSize": "str",
        "vmSizeProperties": {"vCPUsAvailable vCPUsPerCore": "int"},
        "processorMode": ("Deterministic", "Opportunistic"),
    },
    "flexProfile": {"preferredVMSize": "str"},
    "scheduledEventsPolicy": _SCHEDULED_EVENTS_POLICY,
    "storageProfile": _STORAGE_PROFILE,
    "additionalCapabilities": {
        "ultraSSDEnabled hibernationEnabled enableFips1403Encryption": "bool"
    },
    "osProfile": _OS_PROFILE,
    "networkProfile": _NETWORK_PROFILE,
    "securityProfile": _SECURITY_PROFILE,
    "diagnosticsProfile": {"bootDiagnostics": {"enabled": "bool", "storageUri": "str"}},
    "availabilitySet virtualMachineScaleSet proximityPlacementGroup host": _SUB_RESOURCE,
    "priority": ("Regular", "Low", "Spot", "SpotPlus"),
    "evictionPolicy": ("Deallocate", "Delete"),
    "billingProfile": {"maxPrice": "float"},
    "hostGroup": _SUB_RESOURCE,
    "provisioningState:ro licenseType vmId:ro extensionsTimeBudget userData": "str",
    "instanceView:ro": "any",
    "platformFaultDomain": "int",
    "scheduledEventsProfile": {
        "terminateNotificationProfile": {"notBeforeTimeout": "str", "enable": "bool"},
        "osImageNotificationProfile": {"notBeforeTimeout": "str", "enable": "bool"},
    },
    "capacityReservation": {
        "capacityReservationGroup": _SUB_RESOURCE,
        "disableCapacityReservationAssignment": "bool",
    },
    "interconnectBlockProfile": {"interconnectBlock": _SUB_RESOURCE},
    "applicationProfile": {"galleryApplications": [_GALLERY_APPLICATION]},
    "timeCreated:ro": "datetime",
    "resiliencyProfile": {"zoneMovement": {"isEnabled": "bool"}},
}
_EXTENSION = {
    "id:ro name:ro type:ro location:put": "str",
    "systemData:ro": "any",
    "tags": "map",
    "properties": {
        "forceUpdateTag publisher type typeHandlerVersion provisioningState:ro": "str",
        "autoUpgradeMinorVersion enableAutomaticUpgrade suppressFailures": "bool",
        "settings protectedSettings": "any",
        "instanceView": "any",
        "protectedSettingsFromKeyVault": _KEY_VAULT_SECRET_REFERENCE,
        "provisionAfterExtensions": ["str"],
    },
}
_VIRTUAL_MACHINE = {
    "id:ro name:ro type:ro location:put managedBy:ro etag:ro": "str",
    "systemData:ro": "any",
    "tags": "map",
    "properties": _PROPERTIES,
    "plan": {"name publisher product promotionCode": "str"},
    "resources:ro": [_EXTENSION],
    "identity": {
        "principalId:ro tenantId:ro": "str",
        "type": ("SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned", "None"),
        "userAssignedIdentities": {"*": {"principalId:ro clientId:ro": "str"}},
    },
    "zones": ["str"],
    "extendedLocation:put": {"name": "str", "type": ("EdgeZone",)},
    "placement:put": {"zonePlacementPolicy": ("Any", "Auto"), "includeZones excludeZones": ["str"]},
}


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an object: its name as ARM spells it, its kind, and who may set it."""

    name: str
    kind: Kind
    flag: str
    exactly: type | None = None  # the one type that fits, for a first look at most values


def _exactly(kind: Any) -> type | None:
    exact = {"str": str, "datetime": str, "int": int, "bool": bool}
    return exact.get(kind) if isinstance(kind, str) else None


def _members(kind: Any) -> Any:
    """Give the same kinds with each object's members by name in lower case, as ARM reads them."""
    if isinstance(kind, list):
        return [_members(kind[0])]
    if not isinstance(kind, dict):
        return kind
    if "*" in kind:
        return {"*": _members(kind["*"])}
    return {
        name.lower(): Member(name, _members(member), flag, _exactly(member))
        for names, member in kind.items()
        for name, _, flag in (flagged.partition(":") for flagged in names.split())
    }


VIRTUAL_MACHINE: Final[dict[str, Member]] = _members(_VIRTUAL_MACHINE)
EXTENSION: Final[dict[str, Member]] = _members(_EXTENSION)
REIMAGE: Final[dict[str, Member]] = _members(
    {"exactVersion": "str", "osProfile": {"adminPassword customData": "str"}, "tempDisk": "bool"}
)
