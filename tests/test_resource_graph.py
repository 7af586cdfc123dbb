"""Resource Graph as data in and data out: what it has of machines, its pages, its refusals."""

from __future__ import annotations

import json

import pytest

from pytest_azurevm import failures
from pytest_azurevm._http import Request

URL = "https://management.azure.com/providers/Microsoft.ResourceGraph/resources"
OTHER = "11111111-0000-4000-8000-000000000001"
MACHINES = "Resources | where type =~ 'Microsoft.Compute/virtualMachines'"


def answer(fake, query, *, version="2021-03-01", method="POST", **members):
    """Ask the graph, and give its answer."""
    body = json.dumps({"query": query, **members}).encode()
    return fake._arm.handle(Request(method, f"{URL}?api-version={version}", {}, body))


def found(fake, query, **members):
    """The rows that a query gives, and all that is said of them."""
    response = answer(fake, query, **members)
    assert response.status == 200, response.body
    return json.loads(response.body)


def error_of(response):
    """Status, code and message of a refusal."""
    error = json.loads(response.body)["error"]
    return response.status, error["code"], error["message"]


def test_a_machine_is_a_row_with_its_power_state(fake):
    """A row has the graph's columns, lower case where the graph has it so, and its own view."""
    vm = fake.add_vm("Web-1", resource_group="Shop", parameters={"tags": {"team": "blue"}})
    fake.client.virtual_machines.begin_deallocate("Shop", "Web-1")
    (row,) = found(fake, MACHINES)["data"]

    assert (
        list(row)
        == (
            "id name type tenantId kind location resourceGroup subscriptionId managedBy sku plan "
            "properties tags identity zones extendedLocation"
        ).split()
    )
    assert (row["id"], row["name"], row["tags"]) == (vm.id, "Web-1", {"team": "blue"})
    assert row["type"] == "microsoft.compute/virtualmachines"
    assert (row["resourceGroup"], row["location"]) == ("shop", "westeurope")
    assert (row["subscriptionId"], row["tenantId"]) == (fake.subscription_id, fake.tenant_id)
    assert (row["kind"], row["sku"]) == ("", None)
    assert row["properties"]["provisioningState"] == "Updating"
    assert row["properties"]["extended"]["instanceView"]["powerState"] == {
        "code": "PowerState/deallocating",
        "level": "Info",
        "displayStatus": "VM deallocating",
    }


def test_what_belongs_to_a_machine_is_there_too(fake):
    """What a machine has, and its extensions, are rows as well, each of its type."""
    fake.add_vm("web-1", resource_group="shop")
    agent = {
        "publisher": "Microsoft.Azure.Monitor",
        "type": "AzureMonitorLinuxAgent",
        "typeHandlerVersion": "1.0",
    }
    fake.client.virtual_machine_extensions.begin_create_or_update(
        "shop", "web-1", "agent", {"location": "westeurope", "properties": agent}
    ).result()

    counted = found(fake, "Resources | summarize count() by type | order by type asc")["data"]
    assert {row["type"]: row["count_"] for row in counted} == {
        "microsoft.compute/disks": 1,
        "microsoft.compute/virtualmachines": 1,
        "microsoft.compute/virtualmachines/extensions": 1,
        "microsoft.network/networkinterfaces": 1,
        "microsoft.network/virtualnetworks": 1,
    }
    (disk,) = found(fake, "Resources | where type endswith '/disks'")["data"]
    assert disk["managedBy"] == fake.vm("web-1").id


def test_groups_and_subscriptions_are_containers(fake):
    """They are in a table of their own, groups as a subscription's."""
    fake.add_vm("web-1", resource_group="Shop")
    query = "ResourceContainers | project type, name, resourceGroup, location, subscriptionId"

    assert found(fake, query)["data"] == [
        {
            "type": "microsoft.resources/subscriptions",
            "name": "pytest-azurevm",
            "resourceGroup": "",
            "location": "",
            "subscriptionId": fake.subscription_id,
        },
        {
            "type": "microsoft.resources/subscriptions/resourcegroups",
            "name": "Shop",
            "resourceGroup": "shop",
            "location": "westeurope",
            "subscriptionId": fake.subscription_id,
        },
    ]


def test_what_befalls_any_request_strikes_the_graph(fake):
    """A failure of the connection can be injected for it as for any other request."""
    fake.inject(failures.ServerError(), on="*", times=1)

    assert answer(fake, "Resources").status >= 500
    assert answer(fake, "Resources").status == 200


def test_machines_are_counted_by_power_state(fake):
    """The documentation's own query over power states gives what the machines are in."""
    for number, power_state in enumerate(("running", "running", "deallocated")):
        fake.add_vm(f"web-{number}", power_state=power_state)
    query = (
        "Resources | where type == 'microsoft.compute/virtualmachines'"
        "| summarize count() by tostring(properties.extended.instanceView.powerState.code)"
    )

    assert found(fake, query)["data"] == [
        {"properties_extended_instanceView_powerState_code": "PowerState/running", "count_": 2},
        {"properties_extended_instanceView_powerState_code": "PowerState/deallocated", "count_": 1},
    ]


def test_only_the_subscriptions_that_are_named_are_searched(fake):
    """A query that names none is about all of them."""
    fake.add_vm("web-1")
    fake.add_vm("web-2", subscription_id=OTHER)

    def seen(**members):
        return [row["name"] for row in found(fake, MACHINES, **members)["data"]]

    assert seen() == ["web-1", "web-2"]
    assert seen(subscriptions=[]) == ["web-1", "web-2"]
    assert seen(subscriptions=[OTHER.upper()]) == ["web-2"]


def test_the_format_is_a_table_where_it_is_asked_for_or_the_version_is_old(fake):
    """Objects are given since 2021, a table before that, and either on request."""
    fake.add_vm("web-1")
    query = f"{MACHINES} | project name, big = true, tags, n = 1"
    table = {
        "columns": [
            {"name": "name", "type": "string"},
            {"name": "big", "type": "boolean"},
            {"name": "tags", "type": "object"},
            {"name": "n", "type": "integer"},
        ],
        "rows": [["web-1", True, None, 1]],
    }
    objects = [{"name": "web-1", "big": True, "tags": None, "n": 1}]

    assert found(fake, query)["data"] == objects
    assert found(fake, query, version="2020-04-01-preview")["data"] == table
    assert found(fake, query, options={"resultFormat": "table"})["data"] == table
    assert (
        found(fake, query, version="2019-04-01", options={"resultFormat": "objectArray"})["data"]
        == objects
    )


def test_an_empty_table_has_its_columns_all_the_same(fake):
    """A query that finds nothing gives no row, and the columns that there would have been."""
    data = found(fake, "Resources", options={"resultFormat": "table"})["data"]

    assert data["rows"] == []
    assert [column["name"] for column in data["columns"]][:3] == ["id", "name", "type"]


def test_a_large_answer_comes_in_pages(fake):
    """A page says how many there are in all, and which token the next one wants."""
    for number in range(5):
        fake.add_vm(f"web-{number}")
    seen, token = [], None
    for _ in range(3):
        options = {"$top": 2, **({"$skipToken": token} if token else {})}
        page = found(fake, f"{MACHINES} | project id, name", options=options)
        seen += [row["name"] for row in page["data"]]
        assert page["totalRecords"] == 5
        assert page["count"] == len(page["data"])
        assert page["resultTruncated"] == "false"
        token = page.get("$skipToken")

    assert (seen, token) == ([f"web-{number}" for number in range(5)], None)


def test_without_ids_there_is_no_next_page(fake):
    """A query that leaves the ids out is cut off, and gives no token."""
    for number in range(3):
        fake.add_vm(f"web-{number}")
    page = found(fake, f"{MACHINES} | project name", options={"$top": 2, "$skip": 0})

    assert (page["count"], page["resultTruncated"], "$skipToken" in page) == (2, "true", False)


def test_what_is_no_query_is_refused_in_the_graphs_words(fake):
    """The error names the service's documentation, then where the parser stopped."""
    response = answer(fake, "where where")
    error = json.loads(response.body)["error"]

    assert (response.status, error["code"]) == (400, "BadRequest")
    assert error["message"].startswith(
        "Please provide below info when asking for support: timestamp = 2026-01-01T00:00:00."
    )
    assert f"correlationId = {response.headers['x-ms-correlation-request-id']}." in error["message"]
    assert [detail["code"] for detail in error["details"]] == ["InvalidQuery", "ParserFailure"]
    assert error["details"][1] == {
        "code": "ParserFailure",
        "message": "ParserFailure",
        "line": 1,
        "characterPositionInLine": 11,
        "token": "<EOF>",
    }


def test_asking_changes_nothing(fake):
    """Whatever was asked of the graph, and however it was answered, IDs come as they would have."""
    ids = []
    for queries in ((), ("Resources", "where where", "Resources | sample 1")):
        for query in queries:
            answer(fake, query)
        vm = fake.add_vm("web-1")
        ids.append(vm.model["properties"]["vmId"])
        fake.reset()

    assert ids[0] == ids[1]


def test_what_is_not_served_is_said(fake):
    """What may be a good question is answered with 501, which names the part that is missing."""
    fake.add_vm("web-1")
    missing = {
        "Resources | join x on y": "the operator 'join'",
        "AdvisorResources": "the table 'AdvisorResources'",
    }
    for query, what in missing.items():
        status, code, message = error_of(answer(fake, query))
        assert (status, code) == (501, "NotImplemented")
        assert f"Microsoft.ResourceGraph/resources/action with {what}" in message
    assert error_of(answer(fake, "Resources", facets=[{"expression": "x"}]))[0] == 501


@pytest.mark.parametrize("version", ["", "2021-3-1", "2020-01-01"])
def test_api_versions_are_judged(fake, version):
    """A version is needed, and one that there is."""
    status, code, _ = error_of(answer(fake, "Resources", version=version))

    assert status == 400
    assert code == ("NoRegisteredProviderFound" if version else "MissingApiVersionParameter")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"query": 7}',
        b'{"query": "", "options": [7]}',
        b'{"query": "", "options": {"$top": "x"}}',
        b'{"query": "", "options": {"$top": -1}}',
        b'{"query": "", "options": {"$skip": -1}}',
        b'{"query": "", "subscriptions": "s"}',
    ],
)
def test_bodies_are_judged(fake, body):
    """What holds no query, no page or no list of subscriptions is refused."""
    request = Request("POST", f"{URL}?api-version=2021-03-01", {}, body)

    assert fake._arm.handle(request).status == 400


def test_the_graph_is_only_asked(fake):
    """It takes no other method than POST."""
    assert error_of(answer(fake, "Resources", method="GET"))[:2] == (405, "MethodNotAllowed")


def test_a_sample_follows_from_the_seed(fake):
    """Asked the same from the beginning, the graph draws the same machines."""
    drawn = []
    for _ in range(2):
        for number in range(20):
            fake.add_vm(f"web-{number}")
        drawn.append([row["name"] for row in found(fake, f"{MACHINES} | sample 3")["data"]])
        fake.reset()

    assert drawn[0] == drawn[1]
