"""The api-versions of Microsoft.Compute/virtualMachines, and where they are said."""

from __future__ import annotations

import re
from typing import Final

from pytest_azurevm._errors import arm_error
from pytest_azurevm._vm_form import LOCATIONS

# Every api-version that azure-mgmt-compute 30 to 39 sends for virtual machines [the SDKs' code].
API_VERSIONS: Final = tuple(
    (
        "2015-06-15 2016-03-30 2016-04-30-preview 2017-03-30 2017-12-01 2018-04-01 2018-06-01 "
        "2018-10-01 2019-03-01 2019-07-01 2019-12-01 2020-06-01 2020-12-01 2021-03-01 2021-04-01 "
        "2021-07-01 2021-11-01 2022-03-01 2022-08-01 2022-11-01 2023-03-01 2023-07-01 2023-09-01 "
        "2024-03-01 2024-07-01 2024-11-01 2025-04-01 2025-11-01 2026-03-01 2026-04-01"
    ).split()
)
_VERSION_FORM: Final = re.compile(r"\d{4}-\d\d-\d\d(-[A-Za-z]+)?")
NEWEST: Final = API_VERSIONS[-1]
_KNOWN: Final = frozenset(API_VERSIONS)


def checked_version(version: str, location: str) -> str:
    """Judge a request's api-version as ARM's front door does.

    Raises:
        ArmError: it is missing, malformed, or unknown.
    """
    if version in _KNOWN:
        return version
    if not version:
        raise arm_error("no-api-version")
    if not _VERSION_FORM.fullmatch(version):
        raise arm_error(
            "bad-api-version", version=version, versions=",".join(reversed(API_VERSIONS))
        )
    if version.lower() not in _KNOWN:
        raise arm_error(
            "unknown-api-version",
            location=location,
            version=version,
            type="virtualMachines",
            versions=", ".join(API_VERSIONS),
            locations=", ".join(LOCATIONS),
        )
    return version.lower()


def checked_form(version: str) -> str:
    """Judge the api-version of a request to any other provider: one of any day will do.

    Raises:
        ArmError: it is missing or malformed.
    """
    if not version:
        raise arm_error("no-api-version")
    if not _VERSION_FORM.fullmatch(version):
        raise arm_error("bad-api-version", version=version, versions=NEWEST)
    return version.lower()
