"""Closing time, without an SDK: deallocate every running machine that carries a tag.

Speaks to Azure's REST API with requests, and with a token for whoever it runs as. A POST begins the
operation, and the URL in its ``Azure-AsyncOperation`` header tells how that goes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import requests
from azure.identity import DefaultAzureCredential
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

ARM = "https://management.azure.com"
VERSION = "api-version=2024-07-01"
TOO_OFTEN = 429


class NotDeallocated(Exception):
    """An operation ended otherwise than it should have."""


class Azure(requests.Session):
    """A session that is signed in, and comes back when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._credential = DefaultAzureCredential()
        retry = Retry(total=5, status_forcelist=[TOO_OFTEN], allowed_methods=None)
        self.mount(ARM, HTTPAdapter(max_retries=retry))

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        token = self._credential.get_token(f"{ARM}/.default").token
        options["headers"] = {"Authorization": f"Bearer {token}"}
        answer = super().request(method, url, timeout=60, **options)
        answer.raise_for_status()
        return answer


def machines(azure: Azure, subscription: str) -> Iterator[dict[str, Any]]:
    """Give every machine of a subscription, page after page."""
    below = f"subscriptions/{subscription}/providers/Microsoft.Compute/virtualMachines"
    url = f"{ARM}/{below}?{VERSION}"
    while url:
        page = azure.get(url).json()
        yield from page["value"]
        url = page.get("nextLink")


def is_running(azure: Azure, vm: dict[str, Any]) -> bool:
    """Tell whether a machine runs."""
    view = azure.get(f"{ARM}{vm['id']}/instanceView?{VERSION}").json()
    return any(status["code"] == "PowerState/running" for status in view.get("statuses", ()))


def wait(azure: Azure, name: str, watch: str) -> None:
    """Wait until the operation that tells of itself at *watch* has ended."""
    while True:
        answer = azure.get(watch)
        operation = answer.json()
        if operation["status"] == "Succeeded":
            return
        if operation["status"] in ("Failed", "Canceled"):
            raise NotDeallocated(f"{name}: {operation.get('error', {}).get('code')}")
        time.sleep(int(answer.headers.get("Retry-After", 30)))


def closing_time(subscription: str, tag: str) -> list[str]:
    """Deallocate what runs and carries *tag*, wait until all of it is done, and give the names."""
    with Azure() as azure:
        begun = {
            vm["name"]: azure.post(f"{ARM}{vm['id']}/deallocate?{VERSION}")
            for vm in machines(azure, subscription)
            if tag in vm.get("tags", {}) and is_running(azure, vm)
        }
        for name, answer in begun.items():
            wait(azure, name, answer.headers["Azure-AsyncOperation"])
    return sorted(begun)
