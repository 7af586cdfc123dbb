"""Groups, networks and other stored resources: requests and answers as data, no SDK."""

# ruff: noqa: E501  messages are pinned in full, each on a line of its own

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_azurevm import FakeCompute, failures
from pytest_azurevm import _resource_types as types
from pytest_azurevm._http import AnswerLost
from pytest_azurevm._resource_ids import address_of, in_capitals
from tests.arm_data import (
    COMPUTE,
    DISKS,
    GROUP,
    HERE,
    NETWORK,
    NETWORKS,
    NIC,
    PUBLIC_IP,
    SECURITY_GROUP,
    SUBNET,
    SUBSCRIPTION,
    VM,
    ask,
    body_of,
    machine,
    made,
    network,
    nic,
    refusal_of,
)

VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/v"
LOCK = "/providers/Microsoft.Authorization/locks/keep"


def named(response) -> list[str]:
    """Give the names of what a list shows."""
    return [one["name"] for one in body_of(response)["value"]]


# --- resource IDs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind", "names", "scope"),
    [
        (f"{NETWORK}", "Microsoft.Network/virtualNetworks", ("net",), GROUP),
        (SUBNET, "Microsoft.Network/virtualNetworks/subnets", ("net", "a"), GROUP),
        (f"{NETWORK}/subnets", "Microsoft.Network/virtualNetworks/subnets", ("net",), GROUP),
        (f"{VM}{LOCK}", "Microsoft.Authorization/locks", ("keep",), VM),
        (f"{SUBSCRIPTION}{LOCK}", "Microsoft.Authorization/locks", ("keep",), SUBSCRIPTION),
        ("/providers/Microsoft.X/things/t", "Microsoft.X/things", ("t",), ""),
    ],
)
def test_an_id_is_taken_apart_whatever_it_names(path, kind, names, scope):
    """A path tells type, names and scope: of children, extensions, and at every level."""
    address = address_of(tuple(path.strip("/").split("/")))

    assert (address.type, address.names, address.scope) == (kind, names, scope)


def test_references_back_are_in_capitals_but_for_the_types():
    """An ID in capitals keeps the spelling of its types."""
    assert in_capitals(f"{NIC}/ipConfigurations/c") == (
        f"{SUBSCRIPTION}/resourceGroups/SHOP/providers/Microsoft.Network/networkInterfaces/NIC"
        "/ipConfigurations/C"
    )


# --- groups ------------------------------------------------------------------------------------


def test_a_group_is_made_then_written_anew(fake):
    """The first PUT of a group answers 201, the next one 200, with what it says."""
    first = ask(fake, "PUT", GROUP, {**HERE, "tags": {"a": "1"}})
    second = ask(fake, "PUT", GROUP, {"location": "West Europe"})

    assert (first.status, second.status) == (201, 200)
    assert body_of(second) == {
        "id": GROUP,
        "name": "shop",
        "type": "Microsoft.Resources/resourceGroups",
        "location": "westeurope",
        "properties": {"provisioningState": "Succeeded"},
    }


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_group_that_nobody_made_is_not_found(fake, method):
    """Whatever is asked of an absent group itself is answered ResourceGroupNotFound."""
    response = ask(fake, method, GROUP, {} if method == "PATCH" else None)

    assert refusal_of(response) == (
        404, "ResourceGroupNotFound", "Resource group 'shop' could not be found.",
    )  # fmt: skip


def test_a_heads_answer_says_whether_a_group_is_there(fake):
    """HEAD of a group is 404 without it and 204 with it, and has no body."""
    before = ask(fake, "HEAD", GROUP)
    ask(fake, "PUT", GROUP, HERE)
    after = ask(fake, "HEAD", GROUP)

    assert (before.status, before.body, after.status, after.body) == (404, b"", 204, b"")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (400, "LocationRequired", "The location property is required for this definition.")),
        ({"location": "mars"}, (400, "LocationNotAvailableForResourceGroup", "The provided location 'mars' is not")),
        ({"location": "eastus"}, (409, "InvalidResourceGroupLocation", "Invalid resource group location 'eastus'. The Resource group already exists in location 'westeurope'.")),
        ([], (400, "InvalidRequestContent", "The request content was invalid")),
        (b"{", (400, "InvalidRequestContent", "The request content was invalid")),
    ],
)  # fmt: skip
def test_a_group_that_cannot_be_is_refused(fake, body, expected):
    """A group needs a location that there is, and keeps it."""
    ask(fake, "PUT", GROUP, HERE)
    status, code, message = refusal_of(ask(fake, "PUT", GROUP, body))

    assert (status, code) == expected[:2]
    assert message.startswith(expected[2])


def test_groups_of_one_name_in_two_subscriptions_are_deleted_apart(fake):
    """The delete of a group says nothing of its namesake's, which takes longer."""
    other = "/subscriptions/00000000-0000-4000-8000-000000000009"
    made(fake, GROUP, HERE)
    made(fake, f"{other}/resourceGroups/shop", HERE)
    made(fake, f"{other}/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/v", HERE)
    first = ask(fake, "DELETE", GROUP).headers["Location"]
    second = ask(fake, "DELETE", f"{other}/resourceGroups/shop").headers["Location"]
    fake.clock.advance(12)

    assert (ask(fake, "GET", first).status, ask(fake, "GET", second).status) == (200, 202)


def test_a_group_takes_everything_with_it(fake):
    """A group's delete is polled at ever new URLs until it is gone, its machines before it."""
    made(fake, GROUP)
    made(fake, NETWORK, network("a"))
    fake.add_vm("web-1", resource_group="shop")
    begun = ask(fake, "DELETE", GROUP)
    shown = body_of(ask(fake, "GET", GROUP))["properties"]["provisioningState"]
    vm = fake.vm("web-1")
    states = [vm.provisioning_state]
    urls, statuses = [begun.headers["Location"]], []
    while not statuses or statuses[-1] == 202:
        fake.clock.advance(15)
        look = ask(fake, "GET", urls[-1])
        statuses.append(look.status)
        urls.append(look.headers.get("Location", ""))

    assert (begun.status, begun.body, begun.headers["Retry-After"]) == (202, b"", "15")
    assert (shown, states) == ("Deleting", ["Deleting"])
    assert statuses == [202, 202, 200]
    assert len(set(urls)) == len(urls)
    assert fake.vms == ()
    assert refusal_of(ask(fake, "GET", NETWORK))[1] == "ResourceGroupNotFound"
    assert named(ask(fake, "GET", f"{SUBSCRIPTION}/resourceGroups")) == []


def test_nothing_is_put_into_a_group_that_is_deleted(fake):
    """While a group is deleted, reads go on and writes are refused, of machines too."""
    made(fake, GROUP)
    made(fake, NETWORK, network())
    ask(fake, "DELETE", GROUP)
    expected = (
        409, "ResourceGroupBeingDeleted",
        "The resource group 'shop' is in deprovisioning state and cannot perform this operation.",
    )  # fmt: skip

    assert ask(fake, "GET", NETWORK).status == 200
    assert refusal_of(ask(fake, "PUT", SUBNET, {"properties": {}})) == expected
    assert refusal_of(ask(fake, "PUT", VM, machine())) == expected
    assert refusal_of(ask(fake, "PUT", GROUP, HERE)) == expected


def test_a_group_whose_machine_stays_stays_too(fake):
    """A machine whose delete fails keeps its group, which shows Succeeded again."""
    vm = fake.add_vm("web-1", resource_group="shop")
    begun = ask(fake, "DELETE", GROUP)
    vm.cancel_operation()
    status, code, message = refusal_of(ask(fake, "GET", begun.headers["Location"]))

    assert (status, code) == (409, "ResourceGroupDeletionBlocked")
    assert "'Microsoft.Compute/virtualMachines/web-1' could not be deleted" in message
    assert body_of(ask(fake, "GET", GROUP))["properties"]["provisioningState"] == "Succeeded"
    assert ask(fake, "DELETE", GROUP).status == 202


def test_a_group_that_another_needs_stays(fake):
    """A group whose network an interface of another group is in cannot be deleted."""
    made(fake, NETWORK, network("a"))
    elsewhere = NIC.replace("/shop/", "/other/")
    made(fake, elsewhere, nic())
    begun = ask(fake, "DELETE", GROUP)
    fake.clock.run_until_idle()
    status, code, message = refusal_of(ask(fake, "GET", begun.headers["Location"]))

    assert (status, code) == (409, "ResourceGroupDeletionBlocked")
    assert "'Microsoft.Network/virtualNetworks/subnets/net/a' could not be deleted" in message
    assert ask(fake, "GET", NETWORK).status == 200
    ask(fake, "DELETE", elsewhere)
    fake.clock.run_until_idle()
    ask(fake, "DELETE", GROUP)
    fake.clock.run_until_idle()
    assert ask(fake, "GET", GROUP).status == 404


def test_a_group_that_was_deleted_is_not_taken_to_exist(fake):
    """In a lenient fake a machine needs no group, but not one that was deleted."""
    made(fake, GROUP)
    ask(fake, "DELETE", GROUP)
    fake.clock.run_until_idle()

    assert refusal_of(ask(fake, "PUT", VM, machine()))[1] == "ResourceGroupNotFound"
    assert refusal_of(ask(fake, "DELETE", VM))[1] == "ResourceGroupNotFound"
    ask(fake, "PUT", GROUP, HERE)
    assert ask(fake, "PUT", VM, machine()).status == 201


def test_a_group_that_nobody_made_is_there_once_something_is_in_it(fake):
    """A seeded machine brings its group, which can be read, listed, and deleted with it."""
    fake.add_vm("web-1", resource_group="shop", location="northeurope")

    assert body_of(ask(fake, "GET", GROUP))["location"] == "northeurope"
    ask(fake, "DELETE", GROUP)
    fake.clock.run_until_idle()
    assert fake.vms == ()


def test_a_groups_tags_are_replaced(fake):
    """PATCH of a group replaces its tags as a whole."""
    ask(fake, "PUT", GROUP, {**HERE, "tags": {"a": "1", "b": "2"}})
    patched = ask(fake, "PATCH", GROUP, {"tags": {"c": "3"}})

    assert (patched.status, body_of(patched)["tags"]) == (200, {"c": "3"})


# --- resources ---------------------------------------------------------------------------------


def test_any_type_can_be_stored(fake):
    """A type that no row names is written, read, listed, changed and deleted."""
    body = {**HERE, "sku": {"name": "standard"}, "properties": {"purge": True, "n": {"x": 1}}}
    first = ask(fake, "PUT", VAULT, body)
    again = ask(fake, "PUT", VAULT, body)
    patched = ask(fake, "PATCH", VAULT, {"properties": {"n": {"y": 2}}, "tags": {"a": "1"}})

    assert (first.status, again.status, patched.status) == (201, 200, 200)
    assert body_of(patched) == {
        "id": VAULT,
        "name": "v",
        "type": "Microsoft.KeyVault/vaults",
        "location": "westeurope",
        "tags": {"a": "1"},
        "sku": {"name": "standard"},
        "properties": {"purge": True, "n": {"x": 1, "y": 2}, "provisioningState": "Succeeded"},
    }
    assert named(ask(fake, "GET", VAULT.rpartition("/")[0])) == ["v"]
    assert ask(fake, "HEAD", VAULT).status == 204
    assert ask(fake, "DELETE", VAULT).status == 200
    assert ask(fake, "DELETE", VAULT).status == 204
    assert ask(fake, "HEAD", VAULT).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", NETWORK, None, (404, "ResourceNotFound", "The Resource 'Microsoft.Network/virtualNetworks/net' under resource group 'shop' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix")),
        ("DELETE", SUBNET, None, (404, "ResourceNotFound", "The Resource 'Microsoft.Network/virtualNetworks/net' under resource group 'shop' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix")),
        ("PUT", SUBNET, {}, (404, "ParentResourceNotFound", f"Failed to perform 'write' on resource(s) of type 'virtualNetworks/subnets', because the parent resource '{NETWORK}' could not be found.")),
        ("GET", f"{DISKS}/d", None, (404, "NotFound", "Disk d is not found.")),
        ("GET", f"{COMPUTE}/snapshots/s", None, (404, "NotFound", "Snapshot s is not found.")),
        ("PUT", NETWORK, {}, (400, "LocationRequired", "The location property is required for this definition.")),
        ("PUT", f"{NETWORKS}/virtualNetworks/a%3Fb", HERE, (400, "InvalidResourceName", "The provided resource name 'a?b' has these invalid characters: '?'. The name can not contain the characters: '<>%&:\\?/#'.")),
        ("PUT", f"{NIC}/ipConfigurations/c", {}, (405, "MethodNotAllowed", "The requested resource does not support http method 'PUT'.")),
        ("PATCH", f"{NETWORKS}/virtualNetworks", {}, (405, "MethodNotAllowed", "The requested resource does not support http method 'PATCH'.")),
        ("POST", f"{GROUP}/resources", None, (405, "MethodNotAllowed", "The requested resource does not support http method 'POST'.")),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_azures_words(fake, method, path, body, expected):
    """What is absent, nameless, placeless or out of place is refused as Azure does."""
    assert refusal_of(ask(fake, method, path, body)) == expected


def test_an_api_version_is_asked_for_and_any_will_do(fake):
    """A stored type takes any well-formed api-version, and needs one."""
    assert refusal_of(ask(fake, "GET", NETWORK, version=""))[1] == "MissingApiVersionParameter"
    assert refusal_of(ask(fake, "GET", NETWORK, version="new"))[1] == "InvalidApiVersionParameter"
    assert refusal_of(ask(fake, "GET", NETWORK, version="1999-12-31"))[1] == "ResourceNotFound"


def test_a_resource_keeps_its_place(fake):
    """A PUT with another location is refused, and one that spells the same place is not."""
    made(fake, NETWORK, network())
    moved = refusal_of(ask(fake, "PUT", NETWORK, {**network(), "location": "eastus"}))

    assert moved[:2] == (409, "InvalidResourceLocation")
    assert ask(fake, "PUT", NETWORK, {**network(), "location": "West Europe"}).status == 200


def test_a_name_or_type_that_is_not_the_urls_is_refused(fake):
    """A body that names another resource than its URL is refused."""
    assert refusal_of(ask(fake, "PUT", NETWORK, {**network(), "name": "other"}))[:2] == (
        400, "InvalidRequestContent",
    )  # fmt: skip


def test_a_subnet_is_one_truth_however_it_is_asked_for(fake):
    """What came with its network is read by itself; what came by itself is in its network."""
    made(fake, NETWORK, network("a"))
    made(fake, f"{NETWORK}/subnets/b", {"properties": {"addressPrefix": "10.0.9.0/24"}})
    ask(fake, "PUT", SUBNET, {"properties": {"addressPrefix": "10.0.7.0/24"}})
    ask(fake, "DELETE", f"{NETWORK}/subnets/b")
    fake.clock.run_until_idle()
    shown = body_of(ask(fake, "GET", NETWORK))["properties"]["subnets"]

    assert [(one["name"], one["properties"]["addressPrefix"]) for one in shown] == [
        ("a", "10.0.7.0/24")
    ]
    assert shown[0] == body_of(ask(fake, "GET", SUBNET))
    assert named(ask(fake, "GET", f"{NETWORK}/subnets")) == ["a"]


def test_a_network_written_anew_keeps_or_drops_its_subnets(fake):
    """A network's PUT without subnets leaves them; one with a list leaves those in it."""
    made(fake, NETWORK, network("a", "b"))
    without = network()
    del without["properties"]["subnets"]
    kept = made(fake, NETWORK, without)["properties"]["subnets"]
    dropped = made(fake, NETWORK, network("b"))["properties"]["subnets"]

    assert [one["name"] for one in kept] == ["a", "b"]
    assert [one["name"] for one in dropped] == ["b"]


def test_a_write_goes_on_for_a_while(fake):
    """A network shows Updating until its operation ends, with a new entity tag then."""
    first = ask(fake, "PUT", NETWORK, network("a"))
    look = ask(fake, "GET", first.headers["Azure-AsyncOperation"])
    meanwhile = body_of(ask(fake, "GET", NETWORK))
    fake.clock.advance(3)
    last = ask(fake, "GET", first.headers["Azure-AsyncOperation"])
    after = ask(fake, "GET", NETWORK)

    assert (first.status, first.headers["Retry-After"]) == (201, "3")
    assert (body_of(look), look.headers["Retry-After"]) == ({"status": "InProgress"}, "10")
    assert meanwhile["properties"]["provisioningState"] == "Updating"
    assert meanwhile["properties"]["subnets"][0]["properties"]["provisioningState"] == "Updating"
    assert (body_of(last), "Retry-After" in last.headers) == ({"status": "Succeeded"}, False)
    assert body_of(after)["properties"]["provisioningState"] == "Succeeded"
    assert after.headers["ETag"] == body_of(after)["etag"] != meanwhile["etag"]


def test_a_delete_goes_on_for_a_while(fake):
    """What is deleted shows Deleting, refuses writes, and is gone when its operation ends."""
    made(fake, NETWORK, network())
    begun = ask(fake, "DELETE", NETWORK)
    shown = body_of(ask(fake, "GET", NETWORK))["properties"]["provisioningState"]
    refused = refusal_of(ask(fake, "PUT", NETWORK, network()))
    fake.clock.advance(10)

    assert (begun.status, begun.body, begun.headers["Retry-After"]) == (202, b"", "10")
    assert (shown, refused[:2]) == ("Deleting", (409, "Conflict"))
    assert ask(fake, "GET", begun.headers["Location"]).status == 204
    assert ask(fake, "GET", NETWORK).status == 404


def test_conditions_are_judged(fake):
    """If-Match takes the present entity tag, If-None-Match only what is not there."""
    tag = made(fake, NETWORK, network())["etag"]

    def put(**headers: str) -> int:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(fake, "PUT", NETWORK, network(), headers=given).status

    assert put(If_Match='W/"another"') == 412
    assert put(If_None_Match="*") == 412
    assert put(If_Match=tag) == 200


@pytest.mark.parametrize(
    "resource_type", sorted({row.type for row in types._ROWS if "*" not in row.type})
)
def test_each_row_of_the_table_lives(fake, resource_type):
    """Each type of the table is written, written anew, changed and deleted as its row says."""
    if resource_type == types.GROUP:
        path = GROUP
    elif resource_type == types.SUBNET:
        made(fake, NETWORK, network())
        path = SUBNET
    else:
        path = f"{GROUP}/providers/{resource_type}/one"
    row = types.row_of(resource_type)
    body = {**HERE, "properties": {}} if row.located else {"properties": {}}
    statuses = []
    for method, sent in (("PUT", body), ("PUT", body), ("PATCH", {"tags": {"a": "1"}}), ("DELETE", None)):  # fmt: skip
        statuses.append(ask(fake, method, path, sent).status)
        fake.clock.run_until_idle()

    assert statuses == [row.create.status, row.update.status, row.patch.status, row.delete.status]
    assert ask(fake, "GET", path).status == 404


# --- what Azure fills in -----------------------------------------------------------------------


def test_addresses_are_given_in_order_and_kept(fake):
    """Interfaces get the free addresses of their subnet, from .4 on, and keep them."""
    made(fake, NETWORK, network("a"))

    def address(name: str, **members: str) -> str:
        shown = made(fake, f"{NETWORKS}/networkInterfaces/{name}", nic(**members))
        return shown["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"]

    taken = [
        address("one"),
        address("two", privateIPAllocationMethod="Static", privateIPAddress="10.0.0.5"),
        address("three"),
        address("one"),
    ]
    assert taken == ["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.4"]


def test_an_address_that_was_given_back_is_given_again(fake):
    """The address of an interface that is deleted is the next one that is given."""
    made(fake, NETWORK, network("a"))
    for name in ("one", "two", "three"):
        made(fake, f"{NETWORKS}/networkInterfaces/{name}", nic())
    ask(fake, "DELETE", f"{NETWORKS}/networkInterfaces/one")
    fake.clock.run_until_idle()
    shown = made(fake, f"{NETWORKS}/networkInterfaces/four", nic())

    [configuration] = shown["properties"]["ipConfigurations"]
    assert configuration["properties"]["privateIPAddress"] == "10.0.0.4"


def test_a_public_address_is_known_once_it_is_used(fake):
    """A static address is known at once, a dynamic one when a machine has it."""
    made(fake, NETWORK, network("a"))
    static = {
        **HERE,
        "sku": {"name": "Standard"},
        "properties": {"publicIPAllocationMethod": "Static"},
    }
    standing = made(fake, f"{NETWORKS}/publicIPAddresses/standing", static)
    before = made(fake, PUBLIC_IP)
    made(fake, NIC, nic(publicIPAddress={"id": PUBLIC_IP}))
    ask(fake, "PUT", VM, machine())
    after = body_of(ask(fake, "GET", PUBLIC_IP))

    assert standing["properties"]["ipAddress"].startswith("198.18.")
    assert "ipAddress" not in before["properties"]
    assert after["properties"]["ipAddress"].startswith("198.18.")
    assert after["properties"]["ipConfiguration"] == {"id": f"{NIC}/ipConfigurations/c"}


def test_a_security_group_brings_its_default_rules(fake):
    """A network security group has its six default rules, readable and not writable."""
    shown = made(fake, SECURITY_GROUP)
    rules = shown["properties"]["defaultSecurityRules"]
    path = f"{SECURITY_GROUP}/defaultSecurityRules/DenyAllInBound"

    assert [(rule["name"], rule["properties"]["priority"]) for rule in rules] == [
        ("AllowVnetInBound", 65000), ("AllowAzureLoadBalancerInBound", 65001),
        ("DenyAllInBound", 65500), ("AllowVnetOutBound", 65000),
        ("AllowInternetOutBound", 65001), ("DenyAllOutBound", 65500),
    ]  # fmt: skip
    assert body_of(ask(fake, "GET", path)) == rules[2]
    assert ask(fake, "DELETE", path).status == 405


# --- what is in use ----------------------------------------------------------------------------


@pytest.fixture
def shop(fake):
    """A fake with a machine on an interface with everything, and time at rest."""
    made(fake, GROUP)
    made(fake, NETWORK, network("a"))
    made(fake, PUBLIC_IP)
    made(fake, SECURITY_GROUP)
    body = nic(publicIPAddress={"id": PUBLIC_IP})
    body["properties"]["networkSecurityGroup"] = {"id": SECURITY_GROUP}
    made(fake, NIC, body)
    ask(fake, "PUT", VM, machine())
    fake.clock.run_until_idle()
    return fake


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (NIC, (400, "NicInUse", f"Network Interface {NIC} is used by existing resource {VM}. In order to delete the network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.")),
        (SUBNET, (400, "InUseSubnetCannotBeDeleted", f"Subnet a is in use by {NIC}/ipConfigurations/c and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.")),
        (NETWORK, (400, "InUseSubnetCannotBeDeleted", f"Subnet a is in use by {NIC}/ipConfigurations/c and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.")),
        (PUBLIC_IP, (400, "PublicIPAddressCannotBeDeleted", f"Public IP address {PUBLIC_IP} can not be deleted since it is still allocated to resource {NIC}/ipConfigurations/c. In order to delete the public IP, disassociate/detach the Public IP address from the resource.  To learn how to do this, see aka.ms/deletepublicip.")),
        (SECURITY_GROUP, (400, "InUseNetworkSecurityGroupCannotBeDeleted", f"Network security group {SECURITY_GROUP} cannot be deleted because it is in use by the following resources: {NIC}. In order to delete the Network security group, remove the association with the resource(s). To learn how to do this, see aka.ms/deletensg.")),
    ],
)  # fmt: skip
def test_what_is_in_use_stays(shop, path, expected):
    """Whatever something else needs is not deleted, and Azure's words say by whom it is used."""
    response = ask(shop, "DELETE", path)

    assert refusal_of(response) == expected
    assert body_of(response)["error"]["details"] == []
    assert ask(shop, "GET", path).status == 200


def test_a_subnet_in_use_cannot_be_left_out_of_its_network(shop):
    """A network's PUT cannot drop a subnet that is in use."""
    assert refusal_of(ask(shop, "PUT", NETWORK, network("b")))[1] == "InUseSubnetCannotBeDeleted"


def test_what_is_used_says_by_whom(shop):
    """Subnet, security group and interface each name those that refer to them."""
    subnet = body_of(ask(shop, "GET", SUBNET))["properties"]
    rules = body_of(ask(shop, "GET", SECURITY_GROUP))["properties"]
    interface = body_of(ask(shop, "GET", NIC))["properties"]

    assert subnet["ipConfigurations"] == [{"id": in_capitals(f"{NIC}/ipConfigurations/c")}]
    assert rules["networkInterfaces"] == [{"id": NIC}]
    assert (interface["virtualMachine"], interface["primary"]) == ({"id": VM}, True)


def test_everything_goes_in_the_right_order(shop):
    """Machine, interface, address, network, one after the other, leave an empty group."""
    for path in (VM, NIC, PUBLIC_IP, SECURITY_GROUP, NETWORK):
        assert ask(shop, "DELETE", path).status == 202
        shop.clock.run_until_idle()
    [disk] = body_of(ask(shop, "GET", f"{GROUP}/resources"))["value"]

    assert disk["type"] == "Microsoft.Compute/disks"
    assert ask(shop, "DELETE", disk["id"]).status == 202
    shop.clock.run_until_idle()
    assert named(ask(shop, "GET", f"{GROUP}/resources")) == []


def test_an_interface_goes_with_its_machine_if_it_is_to(fake):
    """An interface with deleteOption Delete goes with its machine, and so may its address."""
    made(fake, NETWORK, network("a"))
    made(fake, PUBLIC_IP)
    going = {"id": PUBLIC_IP, "properties": {"deleteOption": "Delete"}}
    made(fake, NIC, nic(publicIPAddress=going))
    ask(fake, "PUT", VM, machine(deleteOption="Delete"))
    fake.clock.run_until_idle()
    ask(fake, "DELETE", VM)
    fake.clock.run_until_idle()

    assert [ask(fake, "GET", path).status for path in (VM, NIC, PUBLIC_IP)] == [404, 404, 404]
    assert ask(fake, "DELETE", SUBNET).status == 202


def test_an_interface_has_one_machine(shop):
    """A second machine cannot have an interface that the first one has."""
    refused = refusal_of(ask(shop, "PUT", VM.replace("web-1", "web-2"), machine()))

    assert refused[:2] == (400, "NicInUse")
    assert [vm.name for vm in shop.vms] == ["web-1"]


def test_locks_forbid_what_they_say(shop):
    """A lock on a group forbids deletes in it, of machines too, until it is taken off."""
    lock = f"{GROUP}{LOCK}"
    assert ask(shop, "PUT", lock, {"properties": {"level": "CanNotDelete"}}).status == 201
    expected = (
        409, "ScopeLocked",
        f"The scope '{VM}' cannot perform delete operation because following scope(s) are locked: "
        f"'{GROUP}'. Please remove the lock and try again.",
    )  # fmt: skip

    assert refusal_of(ask(shop, "DELETE", VM)) == expected
    assert refusal_of(ask(shop, "DELETE", GROUP))[1] == "ScopeLocked"
    assert ask(shop, "PATCH", VM, {"tags": {}}).status == 200
    assert ask(shop, "DELETE", lock).status == 200
    assert ask(shop, "DELETE", VM).status == 202


# --- lists -------------------------------------------------------------------------------------


def test_lists_go_as_far_as_their_scope(fake):
    """A type is listed in a group, and in a subscription whatever the group."""
    made(fake, NETWORK, network())
    made(fake, NETWORK.replace("/shop/", "/other/"), network())
    made(fake, VAULT)
    everywhere = f"{SUBSCRIPTION}/providers/Microsoft.Network/virtualNetworks"

    assert len(named(ask(fake, "GET", everywhere))) == 2
    assert len(named(ask(fake, "GET", NETWORK.rpartition("/")[0]))) == 1


def test_pages_hold_as_many_as_are_asked_for(fake):
    """$top is a page's size, and nextLink leads to the next one, without losing what is new."""
    for name in "abcde":
        made(fake, f"{NETWORKS}/virtualNetworks/{name}", network())
    first = ask(fake, "GET", f"{GROUP}/resources", query="&$top=2")
    ask(fake, "DELETE", f"{NETWORKS}/virtualNetworks/a")
    fake.clock.run_until_idle()
    second = ask(fake, "GET", body_of(first)["nextLink"])
    third = ask(fake, "GET", body_of(second)["nextLink"])

    assert [named(page) for page in (first, second, third)] == [["a", "b"], ["c", "d"], ["e"]]
    assert "nextLink" not in body_of(third)
    assert ask(fake, "GET", f"{GROUP}/resources", query="&$top=0").status == 400


def test_a_list_shows_more_if_it_is_asked_to(fake):
    """Times and provisioning states are shown of resources and machines, if they are asked for."""
    made(fake, NETWORK, network())
    fake.clock.advance(60)
    fake.add_vm("web-1", resource_group="shop")
    query = "&$expand=createdTime,provisioningState&$filter=substringof('w', name) or x"
    refused = ask(fake, "GET", f"{GROUP}/resources", query=query)
    listed = ask(fake, "GET", f"{GROUP}/resources", query="&$expand=createdTime,provisioningState")

    assert refused.status == 400
    assert [
        (one["name"].partition("_1_")[0], one["createdTime"], one["provisioningState"])
        for one in body_of(listed)["value"]
    ] == [
        ("net", "2026-01-01T00:00:00.0000000Z", "Succeeded"),
        ("web-1", "2026-01-01T00:01:03.0000000Z", "Succeeded"),
        ("web-1_OsDisk", "2026-01-01T00:01:03.0000000Z", "Succeeded"),
        ("shop-vnet", "2026-01-01T00:01:03.0000000Z", "Succeeded"),
        ("web-1-nic", "2026-01-01T00:01:03.0000000Z", "Succeeded"),
    ]
    assert "changedTime" not in body_of(listed)["value"][0]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("resourceType eq 'Microsoft.Network/virtualNetworks'", ["net", "shop-vnet"]),
        ("resourceType ne 'microsoft.network/virtualnetworks'", ["v", "web-1", "web-1_OsDisk", "web-1-nic"]),
        ("name eq 'V'", ["v"]),
        ("tagName eq 'team' and tagValue eq 'red'", ["v"]),
        ("tagName eq 'team'", ["net", "v"]),
        ("location eq 'West Europe' and resourceType eq 'Microsoft.Compute/virtualMachines'", ["web-1"]),
        ("substringof('OsDisk', name)", ["web-1_OsDisk"]),
    ],
)  # fmt: skip
def test_resources_are_found_by_filter(fake, query, expected):
    """The common terms of $filter find resources and machines alike."""
    made(fake, NETWORK, {**network(), "tags": {"Team": "blue"}})
    made(fake, VAULT, {**HERE, "tags": {"team": "red"}})
    fake.add_vm("web-1", resource_group="shop")
    found = named(ask(fake, "GET", f"{GROUP}/resources", query=f"&$filter={query}"))

    assert [name.partition("_1_")[0] for name in found] == expected


def test_a_filter_that_is_not_known_is_refused(fake):
    """A filter that the fake cannot apply is refused, and not ignored."""
    response = ask(fake, "GET", f"{SUBSCRIPTION}/resources", query="&$filter=identity ne null")

    assert refusal_of(response)[:2] == (400, "InvalidFilterInQueryString")


# --- tags --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [SUBSCRIPTION, GROUP, NETWORK, VM])
def test_tags_of_anything_are_a_resource(fake, scope):
    """Tags of a subscription, a group, a resource and a machine are read and written alike."""
    made(fake, NETWORK, network())
    fake.add_vm("web-1", resource_group="shop")
    path = f"{scope}/providers/Microsoft.Resources/tags/default"

    def tags(method: str, operation: str = "", **given: str) -> dict[str, str]:
        body = {"properties": {"tags": given}} | ({"operation": operation} if operation else {})
        response = ask(fake, method, path, body if method != "GET" else None)
        fake.clock.run_until_idle()
        return body_of(response)["properties"]["tags"]

    assert tags("GET") == {}
    assert tags("PUT", a="1", b="2") == {"a": "1", "b": "2"}
    assert tags("PATCH", "Merge", b="3", c="4") == {"a": "1", "b": "3", "c": "4"}
    assert tags("PATCH", "Delete", a="1", b="9") == {"b": "3", "c": "4"}
    assert tags("PATCH", "Replace", z="0") == {"z": "0"} == tags("GET")
    if scope != SUBSCRIPTION:
        assert body_of(ask(fake, "GET", scope, version="2024-07-01"))["tags"] == {"z": "0"}
    assert ask(fake, "DELETE", path).status == 200
    fake.clock.run_until_idle()
    assert tags("GET") == {}


# --- what is not stored ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("PUT", f"{GROUP}/providers/Microsoft.Resources/deployments/d", "a template is not carried out here"),
        ("PUT", f"{COMPUTE}/virtualMachineScaleSets/s", "it would have to make virtual machines"),
        ("PUT", f"{VM}/runCommands/r", "no command is run in a guest"),
        ("POST", f"{DISKS}/d/beginGetAccess", "actions on resources other than virtual machines"),
        ("GET", f"{SUBSCRIPTION}/providers/Microsoft.Compute/skus", "catalogues, quotas and figures"),
        ("GET", f"{SUBSCRIPTION}/providers/Microsoft.Network/locations/westeurope/usages", "catalogues, quotas and figures"),
        ("GET", f"{VM}/providers/Microsoft.Insights/metrics", "nothing is measured here"),
    ],
)  # fmt: skip
def test_what_it_would_be_a_lie_to_store_is_refused(fake, method, path, reason):
    """What does more than lie there is a 501 that says why, and what is served."""
    status, code, message = refusal_of(ask(fake, method, path, {} if method == "PUT" else None))

    assert (status, code) == (501, "NotImplemented")
    assert (
        reason in message
        or "does not serve Microsoft.Compute/virtualMachines/runCommands" in message
    )
    assert "Nothing was changed." in message


# --- strict ------------------------------------------------------------------------------------


@pytest.fixture
def strict():
    """A fake in which what nobody made is not there."""
    with FakeCompute(references="strict") as fake:
        yield fake


def test_a_strict_fake_knows_only_what_was_made(strict):
    """Strictly, a group, a subnet and an interface must be there before what names them."""
    no_group = refusal_of(ask(strict, "PUT", VM, machine()))
    ask(strict, "PUT", GROUP, HERE)
    response = ask(strict, "PUT", VM, machine())
    ask(strict, "PUT", NETWORK, network())
    no_subnet = refusal_of(ask(strict, "PUT", NIC, nic()))

    assert no_group[:2] == (404, "ResourceGroupNotFound")
    assert refusal_of(response) == (404, "NotFound", f"Resource {NIC} not found.")
    assert body_of(response)["error"]["details"] == []
    assert no_subnet == (
        400, "InvalidResourceReference",
        f"Resource {in_capitals(SUBNET)} referenced by resource {NIC} was not found. Please make "
        "sure that the referenced resource exists, and that both resources are in the same region.",
    )  # fmt: skip
    made(strict, NETWORK, network("a"))
    made(strict, NIC, nic())
    assert ask(strict, "PUT", VM, machine()).status == 201


def test_a_seeded_machine_has_an_interface_for_who_looks(fake):
    """In a lenient fake, too, a seeded machine's interface and address can be read, and are its."""
    vm = fake.add_vm("web-1", resource_group="shop")
    (interface,) = vm.model["properties"]["networkProfile"]["networkInterfaces"]
    properties = body_of(ask(fake, "GET", interface["id"]))["properties"]

    assert properties["virtualMachine"]["id"] == vm.id
    assert properties["ipConfigurations"][0]["properties"]["privateIPAddress"] == "10.0.0.4"
    assert refusal_of(ask(fake, "DELETE", interface["id"]))[1] == "NicInUse"


@pytest.mark.parametrize("looks", [0, 3])
def test_looks_at_what_was_seeded_change_no_id_that_comes_after(looks):
    """The ids of a machine that is made are the same whether anybody has looked before or not."""
    with FakeCompute(seed=7) as fake:
        fake.add_vm("seeded", resource_group="shop")
        for _ in range(looks):
            assert ask(fake, "GET", f"{GROUP}/resources").status == 200
        made(fake, VM, machine(), version="2024-07-01")
        found = fake.vm("web-1").model["properties"]["vmId"]

    with FakeCompute(seed=7) as other:
        other.add_vm("seeded", resource_group="shop")
        made(other, VM, machine(), version="2024-07-01")
        assert other.vm("web-1").model["properties"]["vmId"] == found


def test_a_look_at_an_interface_that_nobody_made_binds_nobody(fake):
    """Machines that name one and the same interface, which nobody made, are taken as they come."""
    nic = {"networkProfile": {"networkInterfaces": [{"id": NIC}]}}
    for name in ("web-1", "web-2"):
        fake.add_vm(name, resource_group="shop", parameters={"properties": nic})
        assert ask(fake, "GET", NIC).status == 200


def test_a_seeded_machine_brings_what_it_names(strict):
    """In a strict fake, a seeded machine's group, network and interface are there with it."""
    vm = strict.add_vm("web-1", resource_group="shop")
    interface = body_of(ask(strict, "GET", f"{NETWORKS}/networkInterfaces/web-1-nic"))
    [configuration] = interface["properties"]["ipConfigurations"]

    assert interface["properties"]["virtualMachine"] == {"id": vm.id}
    assert ask(strict, "GET", configuration["properties"]["subnet"]["id"]).status == 200
    assert ask(strict, "GET", VM, version="2024-07-01").status == 200


def test_references_are_one_of_two():
    """References that are neither lenient nor strict are refused."""
    with pytest.raises(ValueError, match="references 'loose' is not one of lenient, strict"):
        FakeCompute(references="loose")


def test_a_reset_fake_is_empty(fake):
    """Nothing that was stored outlives a reset."""
    made(fake, NETWORK, network("a"))
    fake.reset()

    assert named(ask(fake, "GET", f"{SUBSCRIPTION}/resources")) == []
    assert ask(fake, "GET", GROUP).status == 404


def test_each_subscription_is_apart(fake):
    """A subscription that something was made in is listed, and has nothing of another's."""
    other = "/subscriptions/00000000-0000-4000-8000-0000000000AB"
    made(fake, GROUP)
    made(fake, GROUP.replace(SUBSCRIPTION, other))
    ids = [one["subscriptionId"] for one in body_of(ask(fake, "GET", "/subscriptions"))["value"]]

    assert ids == [SUBSCRIPTION[15:], other[15:].lower()]
    assert len(named(ask(fake, "GET", f"{other}/resourceGroups"))) == 1
    ask(fake, "DELETE", GROUP)
    fake.clock.run_until_idle()
    assert ask(fake, "GET", GROUP.replace(SUBSCRIPTION, other)).status == 200


# --- calls and failures ------------------------------------------------------------------------


def test_calls_name_what_arm_calls_it(fake):
    """A request about no machine is noted by ARM's name for it, and found by a pattern."""
    made(fake, GROUP)
    made(
        fake, NETWORK.lower().replace("/resourcegroups/shop", "/resourceGroups/shop"), network("a")
    )
    ask(fake, "GET", f"{NETWORK}/subnets")
    operations = [call.operation for call in fake.calls.filter(operation="microsoft.network/*")]

    assert operations == [
        "Microsoft.Network/virtualNetworks/write",
        "Microsoft.Network/virtualNetworks/read",
        "Microsoft.Network/virtualNetworks/subnets/read",
    ]
    assert len(fake.calls.filter(operation="*/resourceGroups/write")) == 1
    assert fake.calls[0].vm is None


def test_what_befalls_any_request_befalls_these(fake):
    """A reset connection on "*" strikes a request about a network, one on a machine does not."""
    machines_only = fake.inject(failures.ConnectionReset(), on="*", vm="web-*")
    anything = fake.inject(failures.ConnectionReset())
    with pytest.raises(AnswerLost):
        ask(fake, "PUT", NETWORK, network())

    assert (machines_only.hits, anything.hits) == (0, 1)
    assert ask(fake, "PUT", NETWORK, network()).status == 201
    machines_only.remove()


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (failures.ServerError(status=503), 503),
        (failures.SubscriptionRequestsThrottled(), 429),
        (failures.AuthorizationFailed(), 403),
        (failures.ExpiredAuthenticationToken(), 401),
        (failures.ArmError("Odd", "Odd.", status=418), 418),
    ],
)
def test_what_the_front_door_refuses_it_refuses_of_anything(fake, failure, expected):
    """The front door's refusals strike a request about a network, with its own words."""
    fake.inject(failure, on="*")
    response = ask(fake, "PUT", NETWORK, network())

    assert response.status == expected
    if expected == 403:
        assert "perform action 'Microsoft.Network/virtualNetworks/write'" in refusal_of(response)[2]


def test_a_failure_of_machines_never_strikes_a_network(fake):
    """A failure that fits machines only waits for one, whatever it is declared on."""
    rules = [
        fake.inject(failures.AllocationFailed(), on="*"), fake.inject(failures.Throttled(), on="*"),
    ]  # fmt: skip
    made(fake, NETWORK, network())

    assert [rule.hits for rule in rules] == [0, 0]
    for rule in rules:
        rule.remove()


def test_a_failure_on_polls_strikes_any_operations_poll(fake):
    """A failure on poll strikes a look at a network's operation."""
    fake.inject(failures.ServerError(status=503), on="poll")
    begun = ask(fake, "PUT", NETWORK, network())

    assert ask(fake, "GET", begun.headers["Azure-AsyncOperation"]).status == 503
    assert ask(fake, "GET", begun.headers["Azure-AsyncOperation"]).status == 200


# --- whatever is sent --------------------------------------------------------------------------

_MEMBERS = st.sampled_from(
    "location properties tags sku name type id subnets ipConfigurations securityRules subnet "
    "publicIPAddress dnsSettings addressPrefix addressPrefixes addressSpace diskSizeGB tier "
    "creationData storageProfile osDisk dataDisks level privateIPAllocationMethod x".split()
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99_999) | st.sampled_from(
        ["", "westeurope", "Static", "10.0.0.0/24", "a/b", SUBNET, NIC, "Premium_LRS", "é"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_MEMBERS, inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    path=st.sampled_from([
        GROUP, NETWORK, SUBNET, NIC, PUBLIC_IP, SECURITY_GROUP, f"{DISKS}/d", VAULT,
        f"{COMPUTE}/images/i", f"{COMPUTE}/availabilitySets/s", f"{GROUP}{LOCK}",
        f"{GROUP}/providers/Microsoft.Storage/storageAccounts/s",
        f"{NETWORK}/providers/Microsoft.Resources/tags/default",
    ]),
    method=st.sampled_from(["PUT", "PATCH"]),
    body=_JSON,
    properties=_JSON,
)  # fmt: skip
def test_whatever_is_sent_is_answered(path, method, body, properties):
    """Any JSON that is sent to any type is taken or refused, and what is taken can be shown."""
    with FakeCompute(timing="instant") as fake:
        made(fake, NETWORK, network("a"))
        if isinstance(body, dict):
            body = {**HERE, **body, "properties": properties}
        response = ask(fake, method, path, body)
        fake.clock.run_until_idle()
        shown = ask(fake, "GET", path)
        everything = ask(fake, "GET", f"{SUBSCRIPTION}/resources")

    assert response.status in (200, 201, 202, 400, 404, 405, 409)
    assert shown.status in (200, 404)
    assert everything.status == 200
