"""The fake's answers beside recorded facts."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from pytest_azurevm import FakeCompute
from pytest_azurevm._http import Request, Response
from tests.recorded_facts import FACTS, MONITOR, OPERATION

GROUP = "/resourceGroups/rg/providers/Microsoft.Compute"
BODIES = {
    "PUT": {
        "location": "westeurope",
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_D1_v2"},
            "storageProfile": {
                "imageReference": {
                    "offer": "UbuntuServer",
                    "publisher": "Canonical",
                    "sku": "18.04-LTS",
                    "version": "latest",
                }
            },
            "osProfile": {"computerName": "poppy", "adminUsername": "bloom"},
            "networkProfile": {"networkInterfaces": [{"id": "/subscriptions/0/a-nic"}]},
        },
    },
    "PATCH": {"tags": {"colour": "red"}},
}


class Asking:
    """Somebody who asks the fake, one request after the other, and follows what is answered."""

    def __init__(self, fake: FakeCompute, api_version: str) -> None:
        self._fake = fake
        self._version = api_version
        self._urls: dict[str, str] = {}

    def ask(self, asked: str) -> Response:
        """Do what a fact's ``asked`` says."""
        method, what = asked.split()
        url = self._urls.get(what) or self._url(what)
        body = json.dumps(BODIES[method]).encode() if method in BODIES else b""
        response = self._fake._arm.handle(Request(method, url, {}, body))
        if "Azure-AsyncOperation" in response.headers:
            self._urls = {
                "operation": response.headers["Azure-AsyncOperation"],
                "location": response.headers.get("Location", ""),
            }
        return response

    def _url(self, what: str) -> str:
        name, _, below = what.partition("/")
        path = "/virtualMachines" if name == "vms" else f"/virtualMachines/vm/{below}".rstrip("/")
        return (
            f"https://management.azure.com/subscriptions/{self._fake.subscription_id}"
            f"{GROUP}{path}?api-version={self._version}"
        )

    def form(self, header: str | None) -> str | None:
        """Give what a header says, the URLs of polling by the names of their forms."""
        if header is None or not header.startswith("https://"):
            return header
        parts = urlsplit(header)
        query = parse_qs(parts.query)
        assert "/providers/Microsoft.Compute/locations/westeurope/operations/" in parts.path
        assert query.pop("api-version") == [self._version]
        assert query.pop("p")
        monitor = query.pop("monitor", None)
        assert not query
        assert monitor in (None, ["true"])
        return MONITOR if monitor else OPERATION


def _at(body, path: str):
    for step in filter(None, path.split(".")):
        body = body[int(step)] if isinstance(body, list) else body[step]
    return body


@pytest.mark.parametrize(
    "fact", FACTS, ids=[" ".join((f.given, *f.before, f.asked)).lstrip() for f in FACTS]
)
def test_fact(fake, fact):
    """An answer has the status, polling headers, members and values that Azure's has."""
    if fact.given:
        fake.add_vm("vm", power_state=fact.given, parameters=BODIES["PUT"])
    asking = Asking(fake, fact.api_version)
    for asked in fact.before:
        if asked == "wait":
            fake.clock.run_until_idle()
        else:
            assert asking.ask(asked).status < 300
    response = asking.ask(fact.asked)
    assert response.status == fact.status
    headers = {name.lower(): value for name, value in response.headers.items()}
    found = {name: asking.form(headers.get(name.lower())) for name in fact.headers}
    assert found == fact.headers
    if not fact.members:
        assert (response.body, headers["content-length"]) == (b"", "0")
        return
    body = json.loads(response.body)
    assert {path: " ".join(_at(body, path)) for path in fact.members} == fact.members
    assert {path: _at(body, path) for path in fact.values} == fact.values
