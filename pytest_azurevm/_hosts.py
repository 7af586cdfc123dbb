"""Azure's hosts: which of them a fake answers for, and which it only keeps from the network.

A row is a host with all that is below it. What is not in the table is not Azure's, and is nobody's
business here: an application's own site may well be hosted there (azurewebsites.net, azurefd.net).
"""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv6Address
from socket import inet_aton, inet_ntoa
from typing import Final, Literal, NamedTuple, TypeAlias

Part: TypeAlias = Literal["arm", "sign-in", "metadata", "other"]


class AzureOutOfReach(RuntimeError):
    """A request was meant for Azure, and was kept from the network: nothing was sent.

    It is no error of azure-core's or of an HTTP library's, so that no retry and no handler for
    network troubles takes it for one.
    """


class _Row(NamedTuple):
    host: str
    part: Part
    source: str


# fmt: off
_ROWS: Final = (
    #    host                                  part        source
    _Row("management.azure.com",               "arm",      "doc: Azure Resource Manager; regional names are below it"),
    _Row("management.usgovcloudapi.net",       "arm",      "doc: Azure Government"),
    _Row("management.chinacloudapi.cn",        "arm",      "doc: Azure in China"),
    _Row("management.microsoftazure.de",       "arm",      "doc: Azure Germany, closed in 2021; SDKs still name it"),
    _Row("login.microsoftonline.com",          "sign-in",  "doc: Microsoft Entra ID"),
    _Row("login.microsoft.com",                "sign-in",  "msal: an alias, with regional names below it"),
    _Row("login.windows.net",                  "sign-in",  "msal: an alias"),
    _Row("sts.windows.net",                    "sign-in",  "msal: an alias"),
    _Row("login.microsoftonline.us",           "sign-in",  "doc: Azure Government"),
    _Row("login.chinacloudapi.cn",             "sign-in",  "doc: Azure in China"),
    _Row("login.partner.microsoftonline.cn",   "sign-in",  "msal: an alias of the former"),
    _Row("login.microsoftonline.de",           "sign-in",  "doc: Azure Germany"),
    _Row("169.254.169.254",                    "metadata", "doc: the instance metadata service of every VM"),
    _Row("168.63.129.16",                      "other",    "doc: the platform's address inside every VM"),
    _Row("graph.microsoft.com",                "other",    "doc: Microsoft Graph"),
    _Row("graph.microsoft.us",                 "other",    "doc: Microsoft Graph, Azure Government"),
    _Row("microsoftgraph.chinacloudapi.cn",    "other",    "doc: Microsoft Graph, Azure in China"),
    _Row("microsoftonline.com",                "other",    "doc: what else belongs to sign-in"),
    _Row("azure.com",                          "other",    "doc: prices, DevOps, log analytics, batch, ..."),
    _Row("azure.net",                          "other",    "doc: vaults, and blobs of managed boot diagnostics"),
    _Row("azure.us",                           "other",    "doc: Azure Government"),
    _Row("azure.cn",                           "other",    "doc: Azure in China"),
    _Row("windows.net",                        "other",    "doc: storage, service bus, databases, the old Graph"),
    _Row("usgovcloudapi.net",                  "other",    "doc: Azure Government's data planes"),
    _Row("chinacloudapi.cn",                   "other",    "doc: data planes of Azure in China"),
    _Row("azurecr.io",                         "other",    "doc: container registries"),
    _Row("azconfig.io",                        "other",    "doc: app configuration"),
    _Row("azure-api.net",                      "other",    "doc: API management"),
    _Row("azuredatabricks.net",                "other",    "doc: Databricks"),
    _Row("azureml.ms",                         "other",    "doc: machine learning"),
    _Row("loganalytics.io",                    "other",    "doc: log analytics"),
    _Row("scm.azurewebsites.net",              "other",    "doc: what deploys to a site; the site itself is its owner's"),
    _Row("services.visualstudio.com",          "other",    "doc: application insights"),
    _Row("b2clogin.com",                       "other",    "doc: signing in customers"),
    _Row("ciamlogin.com",                      "other",    "doc: signing in customers"),
)  # fmt: skip
# fmt: on
_PARTS: Final[dict[str, Part]] = {row.host: row.part for row in _ROWS}
SERVED: Final = frozenset({"arm", "sign-in", "metadata"})


@lru_cache(maxsize=1024)
def part_of(host: str) -> Part | None:
    """Give which part of Azure a host is, or ``None`` where it is none of Azure's."""
    name = _spelled(host)
    while name:
        if name in _PARTS:
            return _PARTS[name]
        name = name.partition(".")[2]
    return None


def _spelled(host: str) -> str:
    """Spell a host as the table does, whichever of its spellings a resolver would take."""
    if not host.isascii():  # with dots of another script, for instance
        with suppress(UnicodeError):  # what no resolver takes either
            host = host.encode("idna").decode()
    name = host.lower().rstrip(".").strip("[]")
    if ":" in name:
        with suppress(ValueError):
            inner = IPv6Address(name.partition("%")[0]).ipv4_mapped
            return name if inner is None else str(inner)
    elif name[:1].isdigit():  # one number, or hexadecimal or octal parts: inet_aton(3)
        with suppress(OSError):
            return inet_ntoa(inet_aton(name))
    return name


def host_of(url: str) -> str:
    """Give the host that a URL names, without user and port."""
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0].partition("#")[0]
    host = authority.rpartition("@")[2]
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


@lru_cache(maxsize=256)  # whoever polls asks the same again and again
def part_of_url(url: str) -> Part | None:
    """Give which part of Azure a URL is meant for, or ``None`` where it is for somebody else."""
    return part_of(host_of(url))


def is_served(url: str) -> bool:
    """Whether a fake answers requests to *url*."""
    return part_of_url(url) in SERVED
