"""Azure Resource Manager as data in and data out: no SDK."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_azurevm import Calls, FakeCompute
from pytest_azurevm._api_versions import API_VERSIONS
from pytest_azurevm._calls import OPERATIONS
from pytest_azurevm._http import Request, Response
from pytest_azurevm._operations import ACTIONS
from tests.builders import linux_vm

HOST = "https://management.azure.com"
SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
VMS = f"{GROUP}/providers/Microsoft.Compute/virtualMachines"
ALL = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
BODY = linux_vm()


def ask(
    fake: FakeCompute,
    method: str,
    path: str,
    body: object = None,
    version: str = "2024-07-01",
    query: str = "",
) -> Response:
    """Send one request below the SDK."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    url = f"{HOST}{path}?api-version={version}{query}"
    return fake._arm.handle(Request(method, url, {}, raw))


def error_of(response: Response) -> tuple[int, str, str]:
    """Give status, code and message."""
    error = json.loads(response.body)["error"]
    return response.status, error["code"], error["message"]


def test_the_provider_says_which_api_versions_there_are(fake):
    """A client that deletes any resource by its ID first asks for its type's api-versions."""
    answer = ask(fake, "GET", f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute")
    types = {one["resourceType"]: one for one in json.loads(answer.body)["resourceTypes"]}
    versions = types["virtualMachines"]["apiVersions"]
    ask(fake, "PUT", f"{VMS}/web-1", BODY)

    assert versions == sorted(API_VERSIONS, reverse=True)
    assert ask(fake, "DELETE", f"{VMS}/web-1", version=versions[0]).status == 202
    assert "West Europe" in types["virtualMachines"]["locations"]


@pytest.mark.parametrize("version", API_VERSIONS)
def test_every_api_version_that_the_sdk_sends_is_answered(fake, version):
    """Each api-version of azure-mgmt-compute 30 to 39 reads, lists and writes a VM."""
    created = ask(fake, "PUT", f"{VMS}/web-1", BODY, version)
    statuses = [
        ask(fake, "GET", f"{VMS}/web-1", version=version).status,
        ask(fake, "GET", f"{VMS}/web-1/instanceView", version=version).status,
        ask(fake, "GET", ALL, version=version).status,
    ]

    assert (created.status, statuses) == (201, [200, 200, 200])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "",
            (
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            ),
        ),
        ("?api-version=latest", (400, "InvalidApiVersionParameter", "The api-version 'latest' is")),
        ("?api-version=2024-13", (400, "InvalidApiVersionParameter", "The api-version '2024-13'")),
        (
            "?api-version=1999-01-01",
            (400, "NoRegisteredProviderFound", "No registered resource provider found for"),
        ),
    ],
)
def test_an_api_version_that_cannot_be_is_refused(fake, query, expected):
    """A missing, malformed or unknown api-version is refused as ARM's front door does."""
    response = fake._arm.handle(Request("GET", f"{HOST}{ALL}{query}"))
    status, code, message = error_of(response)

    assert (status, code, message[: len(expected[2])]) == expected
    assert response.headers["x-ms-failure-cause"] == "gateway"


def test_members_of_newer_api_versions_are_left_out_of_older_ones(fake):
    """An older api-version shows no member that came after it."""
    ask(fake, "PUT", f"{VMS}/web-1", BODY)

    def members(version: str) -> tuple[bool, bool, bool]:
        body = json.loads(ask(fake, "GET", f"{VMS}/web-1", version=version).body)
        linux = body["properties"]["osProfile"]["linuxConfiguration"]
        return (
            "timeCreated" in body["properties"],
            "enableVMAgentPlatformUpdates" in linux,
            "etag" in body,
        )

    assert members("2020-12-01") == (False, False, False)
    assert members("2022-03-01") == (True, False, False)
    assert members("2023-09-01") == (True, True, False)
    assert members("2025-04-01") == (True, True, True)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", f"{VMS}/nobody", (404, "ResourceNotFound")),
        ("PATCH", f"{VMS}/nobody", (404, "ResourceNotFound")),
        ("POST", f"{VMS}/nobody/start", (404, "ResourceNotFound")),
        ("GET", f"{VMS}/nobody/instanceView", (404, "ResourceNotFound")),
        ("POST", VMS, (405, "MethodNotAllowed")),
        ("POST", f"{VMS}/nobody", (405, "MethodNotAllowed")),
        ("POST", f"{VMS}/nobody/capture", (501, "NotImplemented")),
        (
            "GET",
            f"{GROUP}/providers/Microsoft.Network/virtualNetworks/net",
            (404, "ResourceNotFound"),
        ),
        ("PUT", GROUP, (400, "LocationRequired")),
        ("GET", GROUP, (404, "ResourceGroupNotFound")),
        ("GET", "/nowhere", (501, "NotImplemented")),
        ("GET", ALL.replace(SUBSCRIPTION, "mine"), (400, "InvalidSubscriptionId")),
        ("GET", VMS.replace("/rg/", "/r$g/"), (400, "InvalidResourceGroup")),
        (
            "GET",
            ALL.replace("/virtualMachines", "/locations/westeurope/operations/none"),
            (404, "NotFound"),
        ),
    ],
)
def test_what_is_not_there_or_not_served(fake, method, path, expected):
    """Absent VMs, unknown operations, wrong methods and malformed scopes have Azure's errors."""
    response = ask(fake, method, path, {} if method in ("PUT", "PATCH") else None)

    assert error_of(response)[:2] == expected
    assert fake.vms == ()


def test_what_is_not_served_names_the_operation_and_the_type(fake):
    """A 501 names ARM's operation, of whichever resource type, and says why and what is served."""
    path = f"{GROUP}/providers/Microsoft.Compute/virtualMachineScaleSets/set-1"

    assert error_of(ask(fake, "PUT", path, {}))[2] == (
        "pytest-azurevm does not serve Microsoft.Compute/virtualMachineScaleSets/write "
        f"(PUT {path}): it would have to make virtual machines, and does not: make them one by "
        "one. Nothing was changed. Served are virtual machines, their extensions and managed disks "
        "as things that live; resource groups, networks and any other resource as something to "
        "write, read, list, tag and delete."
    )


@pytest.mark.parametrize(
    ("raw", "code", "message"),
    [
        (b"", "InvalidRequestContent", "Unexpected end when reading JSON."),
        (b'{"location": ', "InvalidRequestContent", "Unexpected end when reading JSON."),
        (b"{location: 1}", "InvalidRequestContent", "Unexpected character encountered"),
        (b'{"location": NaN}', "InvalidRequestContent", "Error parsing NaN value."),
        (b"\xff\xfe", "InvalidRequestContent", "Unable to translate bytes"),
        (b"[1, 2]", "InvalidRequestContent", "Error converting the request body"),
        (b'"text"', "InvalidRequestContent", "Error converting the request body"),
        (b"[" * 100_000, "InvalidRequestContent", "The reader's MaxDepth of 64 has been exceeded."),
        (b'{"tags": ' + b"[" * 64 + b"]" * 64 + b"}", "InvalidRequestContent", "MaxDepth of 64"),
        (b'{"tags": {"a": "\\ud800"}}', "InvalidRequestContent", "Unicode character \\ud800"),
        (b'{"tags": {"\\udfff": "a"}}', "InvalidRequestContent", "Unicode character \\udfff"),
        (
            b'{"properties": {"billingProfile": {"maxPrice": 1e999}}}',
            "InvalidRequestContent",
            "Input string '1e999' is not a valid number.",
        ),
        (
            b'{"properties": {"billingProfile": {"maxPrice": -1e999}}}',
            "InvalidRequestContent",
            "Input string '-1e999' is not a valid number.",
        ),
        (
            b'{"properties": {"platformFaultDomain": 9223372036854775808}}',
            "InvalidRequestContent",
            "JSON integer 9223372036854775808 is too large or small for an Int64.",
        ),
        (
            b'{"properties": {"platformFaultDomain": %s}}' % (b"9" * 10_000),
            "InvalidRequestContent",
            "is too large or small for an Int64.",
        ),
        (b'{"location": "%s"}' % (b"x" * 5_000_000), "RequestContentTooLarge", "maximum size of 4"),
    ],
)
def test_malformed_bodies_are_refused_and_leave_nothing(fake, raw, code, message):
    """What is no JSON object, or too much of it, is refused before anything changes."""
    response = ask(fake, "PUT", f"{VMS}/web-1", raw)
    _, found, text = error_of(response)

    assert (found, message in text, fake.vms) == (code, True, ())
    assert ask(fake, "GET", f"{VMS}/web-1").status == 404


def test_whatever_can_be_read_can_be_written(fake):
    """Characters of every plane, and the largest whole number, come back as they were sent."""
    body = json.dumps({**BODY, "tags": {"n\u00e4me": "\U0001f600", "long": "x" * 200}}).encode()
    large = body[:-1] + b', "managedBy": "m"}'
    ask(fake, "PUT", f"{VMS}/web-1", large.replace(b'"azureuser"', b'"azure\\u00fcser"'))
    shown = json.loads(ask(fake, "GET", f"{VMS}/web-1").body)

    assert shown["tags"]["n\u00e4me"] == "\U0001f600"
    assert shown["properties"]["osProfile"]["adminUsername"] == "azure\u00fcser"


def test_an_operation_document_is_what_azure_prints(fake):
    """An operation shows start, end, status and name in this order, and only what it has."""
    accepted = ask(fake, "PUT", f"{VMS}/web-1", BODY)
    url = accepted.headers["Azure-AsyncOperation"]
    running = fake._arm.handle(Request("GET", url))
    fake.clock.advance(minutes=5)
    over = fake._arm.handle(Request("GET", url))

    assert list(json.loads(running.body)) == ["startTime", "status", "name"]
    assert list(json.loads(over.body)) == ["startTime", "endTime", "status", "name"]
    assert json.loads(over.body)["endTime"] == "2026-01-01T00:01:20+00:00"
    assert (running.headers["Retry-After"], "Retry-After" in over.headers) == ("35", False)
    assert accepted.headers["x-ms-request-id"] == json.loads(over.body)["name"]


def test_the_location_url_answers_202_and_then_200_both_empty(fake):
    """The Location of a delete says 202 with itself while it runs, then 200 with nothing."""
    fake.add_vm("web-1")
    url = ask(fake, "DELETE", f"{VMS}/web-1").headers["Location"]
    running = fake._arm.handle(Request("GET", url))
    fake.clock.advance(minutes=5)
    over = fake._arm.handle(Request("GET", url))

    assert (running.status, running.body, running.headers["Location"]) == (202, b"", url)
    assert (over.status, over.body, "Location" in over.headers) == (200, b"", False)


def test_the_first_look_at_a_failed_operation_is_http_200(fake):
    """A canceled operation's document is a 200 with status and error in it."""
    vm = fake.add_vm("web-1")
    url = ask(fake, "POST", f"{VMS}/web-1/deallocate").headers["Azure-AsyncOperation"]
    vm.cancel_operation()
    response = fake._arm.handle(Request("GET", url))
    body = json.loads(response.body)

    assert (response.status, body["status"], list(body)) == (
        200,
        "Canceled",
        ["startTime", "endTime", "status", "error", "name"],
    )


def test_remaining_requests_are_counted_down_and_fill_up_again(fake):
    """The rate limit header counts each policy's buckets, per region and per VM."""
    fake.add_vm("web-1")
    header = "x-ms-ratelimit-remaining-resource"
    first = ask(fake, "GET", f"{VMS}/web-1").headers[header]
    second = ask(fake, "GET", f"{VMS}/web-1").headers[header]
    fake.clock.advance(minutes=1)
    third = ask(fake, "GET", f"{VMS}/web-1").headers[header]

    assert first == (
        "Microsoft.Compute/LowCostGetSubscriptionMaximum;23999,"
        "Microsoft.Compute/LowCostGetResource;35"
    )
    assert second.endswith("LowCostGetResource;34")
    assert third == first


def test_expanding_takes_any_case_and_several(fake):
    """$expand is read in any case; userData is shown only when asked for."""
    body = {**BODY, "properties": {**BODY["properties"], "userData": "aGk="}}
    ask(fake, "PUT", f"{VMS}/web-1", body)
    plain = json.loads(ask(fake, "GET", f"{VMS}/web-1").body)["properties"]
    both = json.loads(
        ask(fake, "GET", f"{VMS}/web-1", query="&$expand=INSTANCEVIEW,userData").body
    )["properties"]

    assert ("userData" in plain, "instanceView" in plain) == (False, False)
    assert (both["userData"], "statuses" in both["instanceView"]) == ("aGk=", True)


def test_an_unknown_expand_is_a_bad_url(fake):
    """$expand with anything else is refused, naming the parameter."""
    fake.add_vm("web-1")
    response = ask(fake, "GET", f"{VMS}/web-1", query="&$expand=statuses")

    assert json.loads(response.body)["error"] == {
        "code": "InvalidParameter",
        "message": "The request URL is not valid.",
        "target": "$expand",
    }


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        (ALL, "&$skiptoken=%C2%B2", "$skiptoken"),
        (ALL, "&$skiptoken=" + "9" * 5_000, "$skiptoken"),
        (ALL, "&$skiptoken=-1", "$skiptoken"),
        (ALL, "&$skiptoken=", "$skiptoken"),
        (ALL, "&statusOnly=maybe", "statusOnly"),
        (VMS, "&statusonly=1", "statusOnly"),
        (ALL, "&$filter=name", "$filter"),
    ],
)
def test_a_query_that_cannot_be_is_a_bad_url(fake, path, query, target):
    """A value that is none of what its parameter takes is refused, naming the parameter."""
    response = ask(fake, "GET", path, query=query)

    assert response.status == 400
    assert json.loads(response.body)["error"] == {
        "code": "InvalidParameter",
        "message": "The request URL is not valid.",
        "target": target,
    }


@pytest.mark.parametrize(
    ("asked", "views"), [("true", True), ("TRUE", True), ("False", False), ("false", False)]
)
def test_status_only_in_any_case(fake, asked, views):
    """StatusOnly takes true and false, and true shows the instance views."""
    fake.add_vm("web-1")
    [vm] = json.loads(ask(fake, "GET", ALL, query=f"&statusOnly={asked}").body)["value"]

    assert ("instanceView" in vm["properties"]) == views


@pytest.mark.parametrize(
    ("method", "path", "query", "named"),
    [
        ("POST", f"{VMS}/web-1/deallocate", "&hibernate=true",
         "Microsoft.Compute/virtualMachines/deallocate/action with hibernate=true"),
        ("GET", f"{VMS}/web-1", "&$expand=resiliencyView",
         "Microsoft.Compute/virtualMachines/read with $expand=resiliencyView"),
        ("GET", f"{VMS}/web-1", "&$expand=instanceView,RESILIENCYVIEW",
         "Microsoft.Compute/virtualMachines/read with $expand=resiliencyView"),
    ],
)  # fmt: skip
def test_a_way_of_asking_that_is_not_served(fake, method, path, query, named):
    """What is served only in part says which part is not, and changes nothing."""
    vm = fake.add_vm("web-1")
    status, code, message = error_of(ask(fake, method, path, query=query))

    assert (status, code) == (501, "NotImplemented")
    assert message.startswith(f"pytest-azurevm does not serve {named} yet ({method} ")
    assert (vm.power_state, vm.operation) == ("running", None)


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("POST", f"{VMS}/web-1/deallocate", "&hibernate=false"),
        ("POST", f"{VMS}/web-1/deallocate", "&forceDeallocate=true"),
        ("POST", f"{VMS}/web-1/powerOff", "&skipShutdown=true"),
        ("POST", f"{VMS}/web-1/powerOff", "&skipshutdown=False"),
        ("DELETE", f"{VMS}/web-1", "&forceDeletion=true"),
    ],
)
def test_ways_of_asking_that_change_nothing_here(fake, method, path, query):
    """A forced delete or deallocate, and a power off without shutdown, are accepted."""
    fake.add_vm("web-1")

    assert ask(fake, method, path, query=query).status == 202


def test_a_location_is_read_as_people_write_it(fake):
    """A list by location finds westeurope as "West Europe" too."""
    fake.add_vm("web-1")
    path = ALL.replace("/virtualMachines", "/locations/West%20Europe/virtualMachines")

    assert [vm["name"] for vm in json.loads(ask(fake, "GET", path).body)["value"]] == ["web-1"]


OTHER = "11111111-1111-4111-8111-111111111111"


@pytest.mark.parametrize(
    ("part", "instead", "status"),
    [
        (SUBSCRIPTION, OTHER, 404),
        ("/westeurope/", "/eastus/", 404),
        ("/westeurope/", "/West%20Europe/", 200),
        (SUBSCRIPTION, SUBSCRIPTION.replace("-", "").upper(), 200),
    ],
)
def test_an_operation_is_found_where_it_is(fake, part, instead, status):
    """An operation is there in its own subscription and region, however these are spelled."""
    fake.add_vm("web-1")
    url = ask(fake, "POST", f"{VMS}/web-1/restart").headers["Azure-AsyncOperation"]
    response = fake._arm.handle(Request("GET", url.replace(part, instead)))

    assert response.status == status
    assert status == 200 or error_of(response)[1] == "NotFound"


def test_subscriptions_are_compared_however_they_are_spelled(fake):
    """A subscription without dashes, or in upper case, is the same one."""
    fake.add_vm("web-1", subscription_id=OTHER.upper())
    for spelled in (OTHER, OTHER.upper(), OTHER.replace("-", "")):
        there = VMS.replace(SUBSCRIPTION, spelled)

        assert ask(fake, "GET", f"{there}/web-1").status == 200
        assert len(json.loads(ask(fake, "GET", there).body)["value"]) == 1
        assert fake.vm("web-1", subscription_id=spelled).id.startswith(f"/subscriptions/{OTHER}/")


QUERIES = st.dictionaries(
    st.sampled_from(
        "api-version $expand $filter $skiptoken statusOnly monitor hibernate p location".split()
    ),
    st.text(max_size=12) | st.sampled_from(["2024-07-01", "true", "instanceView", "7"]),
)
FIXED = (
    "subscriptions resourceGroups rg providers Microsoft.Compute virtualMachines locations "
    f"operations westeurope web-1 start instanceView {SUBSCRIPTION}"
).split()
SEGMENTS = st.lists(st.text(max_size=8) | st.sampled_from(FIXED), max_size=10)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from("GET PUT POST PATCH DELETE".split()), SEGMENTS, QUERIES)
def test_whatever_is_asked_is_answered(method, segments, query):
    """No path and no query, however odd, is answered with anything but a status."""
    path = "/".join(quote(segment, safe="") for segment in segments)
    for place in (path, f"{VMS}/web-1", VMS, ALL, f"{VMS}/web-1/deallocate"):
        with FakeCompute() as fake:
            fake.add_vm("web-1")
            url = f"{HOST}/{place.lstrip('/')}?{urlencode(query)}"

            assert 200 <= fake._arm.handle(Request(method, url)).status < 600


def test_paths_are_read_in_any_case(fake):
    """Fixed parts of a path are compared without case, as clients write them in many ways."""
    fake.add_vm("web-1")
    path = f"/Subscriptions/{SUBSCRIPTION}/resourcegroups/RG/providers/microsoft.compute"

    assert ask(fake, "GET", f"{path}/VirtualMachines/web-1").status == 200
    assert ask(fake, "POST", f"{path}/virtualmachines/web-1/POWEROFF").status == 202


def test_calls_remember_what_was_asked_and_answered(fake):
    """Every request is a call, with operation, VM, status and bodies, and they can be narrowed."""
    fake.add_vm("web-1")
    ask(fake, "POST", f"{VMS}/web-1/start")
    ask(fake, "POST", f"{VMS}/web-1/restart")
    ask(fake, "GET", f"{VMS}/db-1")
    call = fake.calls[-1]

    assert [c.operation for c in fake.calls] == ["start", "restart", "get"]
    assert len(fake.calls.filter(operation="*start", vm="WEB-*")) == 2
    assert (call.method, call.vm, call.status, call.error_code, call.at) == (
        "GET",
        "db-1",
        404,
        "ResourceNotFound",
        fake.clock.now,
    )
    assert str(call) == "00:00:00 get db-1 -> 404 ResourceNotFound"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("start", ["start"]),
        ("create_or_update", ["create", "update"]),
        ("*e", ["create", "update", "delete"]),
        ("list*", ["list_all"]),
        ("[gs]*", ["start"]),
        ("other", ["other"]),
        ("redeploy", []),
        ("strat*", []),
    ],
)
def test_calls_are_narrowed_down_by_operation(fake, pattern, found):
    """An operation is named, or a pattern of names."""
    ask(fake, "PUT", f"{VMS}/web-1", BODY)
    ask(fake, "PATCH", f"{VMS}/web-1", {"tags": {}})
    fake.clock.advance(minutes=5)
    ask(fake, "POST", f"{VMS}/web-1/start")
    ask(fake, "POST", f"{VMS}/web-1/capture")
    ask(fake, "GET", ALL)
    ask(fake, "DELETE", f"{VMS}/web-1")

    assert [call.operation for call in fake.calls.filter(operation=pattern)] == found


@pytest.mark.parametrize("operation", ["strat", "Start", "begin_start", ""])
def test_an_operation_that_there_is_not(fake, operation):
    """A typo in an operation's name is an error that says which there are."""
    with pytest.raises(ValueError, match=r"calls know no operation .*; they know create, update, "):
        fake.calls.filter(operation=operation)


def test_every_operation_that_is_served_can_be_asked_for(fake):
    """Whatever a call says of itself is an operation that calls know, and the help names all."""
    assert {*ACTIONS, "get", "list", "list_all", "list_by_location", "poll", "other"} <= {
        *OPERATIONS
    }
    for operation in OPERATIONS:
        assert re.search(rf"\b{operation}\b", Calls.filter.__doc__)
        assert fake.calls.filter(operation=operation) is not None


EXTENSION = {
    "name": "script",
    "properties": {
        "publisher": "Microsoft.Azure.Extensions",
        "type": "CustomScript",
        "typeHandlerVersion": "2.1",
        "protectedSettings": {"key": "Secret-5678"},
    },
}


def test_extensions_of_the_request_lengthen_the_end_of_os_provisioning(fake):
    """OS provisioning stays complete for as long as the request's extensions take to install."""
    fake.timing.create, fake.timing.extension = 100, 50
    body = {**BODY, "resources": [EXTENSION, {**EXTENSION, "name": "second"}]}
    ask(fake, "PUT", f"{VMS}/web-1", body)
    fake.clock.advance(150)
    during = json.loads(ask(fake, "GET", f"{VMS}/web-1/instanceView").body)
    fake.clock.advance(100)
    after = json.loads(ask(fake, "GET", f"{VMS}/web-1/instanceView").body)
    complete, succeeded = fake.vm("web-1").history[-2:]

    assert during["statuses"][0]["code"] == "ProvisioningState/creating/osProvisioningComplete"
    assert during["extensions"] == [{"name": "script"}, {"name": "second"}]
    assert [e["statuses"][0]["code"] for e in after["extensions"]] == [
        "ProvisioningState/succeeded"
    ] * 2
    assert (succeeded.at - complete.at).total_seconds() == 103
    assert "Secret-5678" not in str([call.response_body for call in fake.calls])
