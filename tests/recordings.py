"""Recorded Azure traffic, replayed against the fake: what differs, and where.

A recording is a list of exchanges in order. Those that ask for something the fake serves are sent
to it, below the SDK; before each, virtual time moves until the fake is where Azure was when the
recording was made. What the fake does not serve is left out, and what later answers show of it
is put into place: the virtual machine that a template deployment makes. The rest (networks, disks
by themselves, run-command) leaves nothing behind that matters to the answers compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from pytest_azurevm import FakeCompute
from pytest_azurevm._http import Request, Response

WIRE: Final = Path(__file__).resolve().parents[2] / "shared" / "wire"
SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000000"  # the recorders' own

_GROUP: Final = r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers"
_COMPUTE: Final = r"/subscriptions/[^/]+/providers/Microsoft\.Compute"
_VMS: Final = rf"{_GROUP}/Microsoft\.Compute/virtualMachines"
_SERVED: Final = tuple(
    (methods.split(), re.compile(path, re.IGNORECASE))
    for methods, path in (
        ("GET PUT PATCH DELETE", rf"{_VMS}/(?P<vm>[^/]+)"),
        ("GET", rf"{_VMS}/(?P<vm>[^/]+)/instanceView"),
        ("POST", rf"{_VMS}/(?P<vm>[^/]+)/(start|powerOff|restart|deallocate)"),
        ("POST", rf"{_VMS}/(?P<vm>[^/]+)/(redeploy|reapply|reimage|generalize|simulateEviction)"),
        ("GET PUT PATCH DELETE", rf"{_VMS}/(?P<vm>[^/]+)/extensions/[^/]+"),
        ("GET", rf"{_VMS}/(?P<vm>[^/]+)/extensions"),
        ("GET", _VMS),
        ("GET", rf"{_COMPUTE}(/locations/[^/]+)?/virtualMachines"),
    )
)
_POLL: Final = re.compile(rf"{_COMPUTE}/locations/[^/]+/operations/([^/]+)", re.IGNORECASE)
_DEPLOYMENT: Final = re.compile(rf"{_GROUP}/Microsoft\.Resources/deployments/[^/]+", re.IGNORECASE)

_POLLING_HEADERS: Final = (
    "Azure-AsyncOperation", "Location", "Azure-AsyncNotification", "Retry-After",
)  # fmt: skip
ABSENT: Final = "absent"

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)")
# Azure names an OS disk in one of two ways, and the recordings do not tell when which.
_OS_DISK: Final = re.compile(r"_(OsDisk_1|disk1)_[0-9a-f]{32}")
_DISK: Final = re.compile(r"(?<=_)[0-9a-f]{32}")
_VERSIONS: Final = ("exactVersion", "osVersion", "vmAgentVersion", "typeHandlerVersion", "etag")


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer."""

    number: int
    method: str
    url: str
    request_body: Any
    status: int
    headers: dict[str, str]  # names in lower case
    body: Any

    @property
    def path(self) -> str:
        """The URL's path."""
        return unquote(urlsplit(self.url).path)

    @property
    def operation_id(self) -> str | None:
        """The operation that the request looks at, if it does."""
        match = _POLL.fullmatch(self.path)
        return match[1].lower() if match and self.method == "GET" else None

    @property
    def vm_name(self) -> str | None:
        """The virtual machine that is asked for, if it is a single one."""
        for methods, path in _SERVED:
            match = path.fullmatch(self.path)
            if match and self.method in methods:
                return match.groupdict().get("vm")
        return None

    @property
    def is_served(self) -> bool:
        """Whether the fake serves such a request, polls aside."""
        return any(
            self.method in methods and path.fullmatch(self.path) for methods, path in _SERVED
        )


@dataclass(frozen=True)
class Difference:
    """One place where the fake's answer is not the recorded one."""

    exchange: int
    path: str
    recorded: str
    ours: str

    def __str__(self) -> str:
        return f"exchange {self.exchange}, {self.path}: recorded {self.recorded}, ours {self.ours}"


def load(name: str) -> list[Exchange]:
    """Read the recording of that name, such as ``cli/test_vm_create_no_wait``."""
    entries = json.loads((WIRE / f"{name}.json").read_text(encoding="utf-8"))
    return [
        Exchange(
            number,
            entry["method"],
            entry["url"],
            entry["request_body"],
            entry["status"],
            {header.lower(): str(value) for header, value in entry["headers"].items()},
            entry["body"] or None,
        )
        for number, entry in enumerate(entries)
    ]


class Replay:
    """A recording on its way through the fake."""

    def __init__(self, fake: FakeCompute, *, truthful_retry_after: bool) -> None:
        self._fake = fake
        self._headers = _POLLING_HEADERS if truthful_retry_after else _POLLING_HEADERS[:-1]
        self._operations: dict[str, str] = {}  # recorded id: the fake's
        self._disks: dict[str, str] = {}  # recorded name: the fake's, where Azure chose the name
        self.compared = 0
        self.differences: list[Difference] = []

    def play(self, exchange: Exchange) -> None:
        """Send one recorded request, and note how the answers differ."""
        known = exchange.operation_id in self._operations
        if not known and not exchange.is_served:
            self._make_up_for(exchange)
            return
        self._meet(exchange)
        response = self._send(exchange)
        self._learn_names(exchange, response)
        self.compared += 1
        self.differences += differences(exchange, response, self._headers)

    def _send(self, exchange: Exchange) -> Response:
        url = exchange.url
        if exchange.operation_id is not None:
            ours = self._operations[exchange.operation_id]
            url = re.sub(exchange.operation_id, ours, url, flags=re.IGNORECASE)
        return self._ask(exchange.method, url, exchange.request_body)

    def _ask(self, method: str, url: str, body: Any) -> Response:
        sent = json.dumps(body) if body is not None else ""
        for theirs, ours in self._disks.items():
            sent = sent.replace(theirs, ours)
        headers = {"Content-Type": "application/json"} if sent else {}
        return self._fake._arm.handle(Request(method, url, headers, sent.encode()))

    def _learn_names(self, exchange: Exchange, response: Response) -> None:
        """Note what the fake calls the operation and the disks that the answer names."""
        theirs = _operation_of(exchange.headers.get("azure-asyncoperation"))
        ours = _operation_of(response.headers.get("Azure-AsyncOperation"))
        if theirs is not None and ours is not None:
            self._operations[theirs] = ours
        if response.body:
            pairs = zip(
                _disks_of(exchange.body), _disks_of(json.loads(response.body)), strict=False
            )
            self._disks.update((theirs, ours) for theirs, ours in pairs if _DISK.search(theirs))

    # --- time ----------------------------------------------------------------------------------

    def _meet(self, exchange: Exchange) -> None:
        """Let time pass until the fake is where Azure was, if it ever comes there."""
        if exchange.method != "GET":
            return  # the looks before it have set the time
        passing = ("InProgress", "Creating", "Updating", "Deleting")
        shown = _state_of(exchange.body)
        if exchange.status == 202:  # a Location that has not ended
            return
        if shown not in passing:
            self._fake.clock.run_until_idle()
            return
        if exchange.vm_name is None:
            return
        codes = _codes_of(exchange.body)
        vm = self._fake.vm(exchange.vm_name)
        while vm.provisioning_state == shown:
            if codes is None or codes == [status.code for status in vm.statuses]:
                return
            self._fake.clock.advance(0.25)

    # --- what is left out ----------------------------------------------------------------------

    def _make_up_for(self, exchange: Exchange) -> None:
        """Put into place what a request that is not served leaves behind."""
        if _DEPLOYMENT.fullmatch(exchange.path) and exchange.method == "PUT":
            group = exchange.path.split("/")[4]
            for resource in exchange.request_body["properties"]["template"]["resources"]:
                if resource["type"] == "Microsoft.Compute/virtualMachines":
                    self._deploy(group, resource)

    def _deploy(self, group: str, resource: dict[str, Any]) -> None:
        """Create a virtual machine as the deployment of a template does: with a PUT."""
        url = (
            f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
            f"/providers/{resource['type']}/{resource['name']}?api-version={resource['apiVersion']}"
        )
        of_template = ("apiVersion", "type", "name", "dependsOn")
        body = {key: value for key, value in resource.items() if key not in of_template}
        response = self._ask("PUT", url, body)
        if response.status != 201:
            raise AssertionError(f"the template's VM was not created: {response.body.decode()}")


# --- comparing ---------------------------------------------------------------------------------


def differences(
    exchange: Exchange, response: Response, headers: tuple[str, ...] = _POLLING_HEADERS
) -> Iterator[Difference]:
    """Give each place where an answer differs from the recorded one."""
    number = exchange.number
    if exchange.status != response.status:
        yield Difference(number, "status", str(exchange.status), str(response.status))
    ours = {name.lower(): value for name, value in response.headers.items()}
    for name in (*headers, "Content-Type"):
        recorded_header = _header_form(exchange.headers.get(name.lower()))
        our_header = _header_form(ours.get(name.lower()))
        if recorded_header != our_header:
            yield Difference(number, name, recorded_header, our_header)
    body = json.loads(response.body) if response.body else None
    for path, theirs, mine in _unlike("$", _masked(exchange.body), _masked(body)):
        yield Difference(number, path, theirs, mine)


def _unlike(path: str, recorded: Any, ours: Any) -> Iterator[tuple[str, str, str]]:
    """Give each place where two JSON values differ, the order of members included."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for member in [*recorded, *(member for member in ours if member not in recorded)]:
            yield from _unlike(
                f"{path}.{member}", recorded.get(member, _NOTHING), ours.get(member, _NOTHING)
            )
        in_theirs = " ".join(member for member in recorded if member in ours)
        in_ours = " ".join(member for member in ours if member in recorded)
        if in_theirs != in_ours:
            yield f"{path} order", in_theirs, in_ours
    elif isinstance(recorded, list) and isinstance(ours, list):
        for position in range(max(len(recorded), len(ours))):
            yield from _unlike(
                f"{path}.{position}",
                recorded[position] if position < len(recorded) else _NOTHING,
                ours[position] if position < len(ours) else _NOTHING,
            )
    elif recorded != ours:
        yield path, _text(recorded), _text(ours)


_NOTHING: Final = object()


def _text(value: Any) -> str:
    return ABSENT if value is _NOTHING else json.dumps(value, separators=(",", ":"))


def _masked(value: Any, member: str = "") -> Any:
    """Give JSON with what no two runs share replaced by its kind."""
    if isinstance(value, dict):
        return {_masked(key): _masked(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if not isinstance(value, str):
        return value
    if member in _VERSIONS and value != "Unknown":
        return "<version>"
    value = _UUID.sub("<uuid>", value)
    value = _TIME.sub("<time>", value)
    value = _OS_DISK.sub("_<os disk>", value)
    return _DISK.sub("<disk>", value)


def _header_form(value: str | None) -> str:
    """Give a header's value; of a URL, its path and its parameters, signatures aside."""
    if value is None:
        return ABSENT
    if not value.startswith("https://"):
        return value
    parts = urlsplit(value)
    signature = ("t", "c", "s", "h")
    query = "&".join(
        f"{key}={item}" for key, item in parse_qsl(parts.query) if key not in signature
    )
    return _UUID.sub("<uuid>", f"{parts.path}?{query}")


def _operation_of(url: str | None) -> str | None:
    match = _POLL.fullmatch(urlsplit(url).path) if url else None
    return match[1].lower() if match else None


def _state_of(body: Any) -> str | None:
    """Give what an operation's document or a virtual machine says of itself."""
    if not isinstance(body, dict):
        return None
    found = body.get("status") or (body.get("properties") or {}).get("provisioningState")
    return found if isinstance(found, str) else None


def _codes_of(body: Any) -> list[str] | None:
    view = body["properties"].get("instanceView")
    return [status["code"] for status in view["statuses"]] if view else None


def _disks_of(body: Any) -> list[str]:
    """Give the names of a virtual machine's disks."""
    storage = (body.get("properties") or {}).get("storageProfile") if body else None
    if not storage:
        return []
    return [disk["name"] for disk in (storage["osDisk"], *storage["dataDisks"]) if "name" in disk]


class Allowed(NamedTuple):
    """A difference that stays; ``*`` stands for any text."""

    scenarios: tuple[str, ...]
    path: str
    recorded: str
    ours: str
    reason: str

    def covers(self, difference: Difference) -> bool:
        """Whether a difference is this one."""
        return (
            _is_like(difference.path, self.path)
            and _is_like(difference.recorded, self.recorded)
            and _is_like(difference.ours, self.ours)
        )


def _is_like(text: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None
