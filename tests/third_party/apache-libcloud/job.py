"""Apache Libcloud's driver speaks REST by ``requests``, signs in by itself, polls nothing."""

import datetime as dt
from itertools import groupby
from operator import attrgetter

import pytest
from freezegun import freeze_time
from libcloud.common.exceptions import BaseHTTPError, RateLimitReachedError
from libcloud.common.types import LibcloudError
from libcloud.compute.base import NodeAuthPassword, NodeSize
from libcloud.compute.drivers.azure_arm import AzureImage
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider

from pytest_azurevm import failures

WAIT_PERIOD = dt.timedelta(seconds=5)


@pytest.fixture
def driver(fake_compute):
    """The driver as an application builds it: it is told of no fake."""
    return get_driver(Provider.AZURE_ARM)(
        tenant_id="contoso.onmicrosoft.com",
        subscription_id=fake_compute.subscription_id,
        key="an-application",
        secret="its-secret",
        region="westeurope",
    )


def size_of(driver, name="Standard_D2s_v5"):
    """A size, without asking for all of them."""
    return NodeSize(name, name, 8192, 75, 0, 0, driver)


def launched(driver, name="web-1"):
    """A new node in group "shop", with an interface of its own on the network "lan"."""
    return driver.create_node(
        name,
        size_of(driver),
        AzureImage("latest", "server", "ubuntu-24_04-lts", "Canonical", "westeurope", driver),
        NodeAuthPassword("Not-a-secret-1"),
        ex_resource_group="shop",
        ex_network="lan",
        ex_use_managed_disks=True,
    )


def node_named(driver, name):
    """A node as the driver lists it now."""
    (node,) = [node for node in driver.list_nodes() if node.name == name]
    return node


def shown(driver):
    """Every node's state, as the driver sees it now."""
    return {node.name: node.state for node in driver.list_nodes()}


def powers(vm):
    """The power states that a machine has passed through, each once."""
    return [power_state for power_state, _ in groupby(vm.history, attrgetter("power_state"))]


def test_lists_every_machine_with_its_power_state(fake_compute, driver):
    """It shows a stopped machine as paused, and a deallocated one as stopped."""
    for power_state in ("running", "stopped", "deallocated"):
        fake_compute.add_vm(power_state, resource_group="shop", power_state=power_state)

    assert shown(driver) == {
        "running": NodeState.RUNNING,
        "stopped": NodeState.PAUSED,
        "deallocated": NodeState.STOPPED,
    }


def test_lists_a_fleet_page_by_page(fake_compute, driver):
    """It follows the links from page to page, and finds each machine once."""
    names = [f"web-{number}" for number in range(230)]
    for name in names:
        fake_compute.add_vm(name, resource_group="shop")

    nodes = driver.list_nodes(ex_fetch_nic=False, ex_fetch_power_state=False)

    assert [node.name for node in nodes] == names
    assert len(fake_compute.calls.filter(operation="list_all")) == 3


def test_lists_one_resource_group(fake_compute, driver):
    """Asked for one group, it shows no machine of another."""
    fake_compute.add_vm("web-1", resource_group="shop")
    fake_compute.add_vm("db-1", resource_group="data")

    assert [node.name for node in driver.list_nodes(ex_resource_group="DATA")] == ["db-1"]


def test_creates_a_node_that_comes_up(fake_compute, driver):
    """It makes a network interface, then a machine that uses it, and has an address for both."""
    node = launched(driver)
    while_creating = fake_compute.vm("web-1").provisioning_state
    fake_compute.clock.advance(minutes=10)

    vm = fake_compute.vm("web-1")
    (interface,) = vm.model["properties"]["networkProfile"]["networkInterfaces"]
    assert node.state != NodeState.ERROR
    assert while_creating == "Creating"
    assert (vm.power_state, vm.provisioning_state) == ("running", "Succeeded")
    assert interface["id"].endswith("/networkInterfaces/web-1-nic")
    assert vm.model["properties"]["osProfile"]["adminUsername"] == "azureuser"
    assert "adminPassword" not in vm.model["properties"]["osProfile"]
    up = node_named(driver, "web-1")
    assert (up.state, len(up.private_ips)) == (NodeState.RUNNING, 1)


def test_stops_starts_and_reboots(fake_compute, driver):
    """Its stop deallocates unless told not to; each of its verbs leads where Azure's leads."""
    fake_compute.add_vm("web-1", resource_group="shop")
    node = node_named(driver, "web-1")
    seen = []
    for act in (
        lambda: driver.stop_node(node),
        lambda: driver.start_node(node),
        lambda: driver.reboot_node(node),
        lambda: driver.stop_node(node, ex_deallocate=False),
    ):
        act()
        fake_compute.clock.advance(minutes=10)
        seen.append(shown(driver)["web-1"])

    assert seen == [NodeState.STOPPED, NodeState.RUNNING, NodeState.RUNNING, NodeState.PAUSED]
    assert powers(fake_compute.vm("web-1")) == [
        *("running", "deallocating", "deallocated", "starting", "running"),
        *("stopping", "stopped"),
    ]
    assert [call.operation for call in fake_compute.calls if call.method == "POST"] == [
        *("deallocate", "start", "restart", "power_off")
    ]


def test_destroys_a_node_and_what_belonged_to_it(fake_compute, driver):
    """It looks every ten seconds until the machine is gone, then deletes its interface and disk."""
    launched(driver)
    fake_compute.clock.advance(minutes=10)
    node = node_named(driver, "web-1")
    interface, disk = (
        node.extra["properties"]["networkProfile"]["networkInterfaces"][0]["id"],
        node.extra["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"],
    )

    assert driver.destroy_node(node)
    fake_compute.clock.advance(minutes=1)  # it does not wait for what it deletes last

    assert fake_compute.vms == ()
    for gone in (interface, disk):
        with pytest.raises(BaseHTTPError) as caught:
            driver.connection.request(gone, params={"api-version": "2023-01-02"})
        assert caught.value.code == 404
    last_looks = [call.at for call in fake_compute.calls.filter(operation="get", vm="web-1")][-2:]
    assert last_looks[1] - last_looks[0] == dt.timedelta(seconds=10)


def test_never_hears_of_a_start_that_failed_later(fake_compute, driver):
    """Its start is content once accepted: only a later list tells that Azure had no room."""
    fake_compute.add_vm("web-1", resource_group="shop", power_state="deallocated")
    fake_compute.inject(failures.AllocationFailed(), on="start")

    driver.start_node(node_named(driver, "web-1"))  # raises nothing, then or ever
    fake_compute.clock.advance(minutes=10)

    assert shown(driver) == {"web-1": NodeState.ERROR}
    assert fake_compute.vm("web-1").power_state == "deallocated"


def test_tells_a_refusal_with_azures_code_and_status(fake_compute, driver):
    """What Azure refuses at once reaches the caller with its code, text and status."""
    fake_compute.add_vm("web-1", resource_group="shop", power_state="deallocated")
    fake_compute.inject(failures.SkuNotAvailable(), on="start")

    with pytest.raises(BaseHTTPError, match=r"^\[SkuNotAvailable\] .*Standard_D2s_v5") as caught:
        driver.start_node(node_named(driver, "web-1"))

    assert caught.value.code == 409


def test_tells_how_long_it_is_throttled(fake_compute, driver):
    """Being throttled is an error of its own, with the seconds that Azure names."""
    fake_compute.inject(failures.Throttled(retry_after=17), on="list_all")

    with pytest.raises(RateLimitReachedError) as caught:
        driver.list_nodes()

    assert caught.value.retry_after == 17


def test_waits_out_the_throttling_where_it_is_told_to_retry(fake_compute, driver, monkeypatch):
    """With its retries turned on, it comes back after just the seconds that Azure names."""
    monkeypatch.setenv("LIBCLOUD_RETRY_FAILED_HTTP_REQUESTS", "true")
    fake_compute.inject(failures.Throttled(retry_after=17), on="list_all")
    fake_compute.add_vm("web-1", resource_group="shop")
    began = fake_compute.clock.now

    assert shown(driver) == {"web-1": NodeState.RUNNING}

    assert fake_compute.clock.now - began == dt.timedelta(seconds=17)


def waited_for(driver, node, **listing):
    """What the driver's waiting gives: nodes that run, each with its addresses."""
    return driver.wait_until_running(
        [node], ssh_interface="private_ips", ex_list_nodes_kwargs=listing
    )


def test_waits_until_a_node_is_up(fake_compute, driver):
    """It waits for a new node, on the calendar that its deadline reads, and gives its address."""
    with freeze_time("2026-03-01T08:00:00Z"):
        node = launched(driver)
        ((up, addresses),) = waited_for(driver, node, ex_resource_group="shop")

    assert (up.state, len(addresses)) == (NodeState.RUNNING, 1)
    assert fake_compute.clock.now - fake_compute.vm("web-1").history[-1].at < WAIT_PERIOD


def test_does_not_know_its_node_again_in_the_list_of_a_subscription(fake_compute, driver):
    """Where Azure writes a group in capitals, it takes its own node for another, and waits on."""
    with freeze_time("2026-03-01T08:00:00Z"):
        node = launched(driver)
        with pytest.raises(LibcloudError, match="Timed out after 600 seconds"):
            waited_for(driver, node)

    (listed,) = driver.list_nodes()
    assert (listed.state, listed.id) == (NodeState.RUNNING, node.id.replace("/shop/", "/SHOP/"))


def test_gives_up_waiting_where_azure_had_no_room(fake_compute, driver):
    """It takes a failed machine for one that is yet to come, and waits its ten minutes for it."""
    fake_compute.inject(failures.AllocationFailed(), on="create")
    with freeze_time("2026-03-01T08:00:00Z"):
        node = launched(driver)
        with pytest.raises(LibcloudError, match="Timed out after 600 seconds"):
            waited_for(driver, node, ex_resource_group="shop")

    assert shown(driver) == {"web-1": NodeState.ERROR}
    assert fake_compute.vm("web-1").provisioning_state == "Failed"


def test_takes_a_machine_for_up_whose_system_never_reports(fake_compute, driver):
    """It goes by the power state, and so hands over a machine that Azure will call failed."""
    fake_compute.inject(failures.OSProvisioningTimedOut())
    with freeze_time("2026-03-01T08:00:00Z"):
        node = launched(driver)
        ((up, _addresses),) = waited_for(driver, node, ex_resource_group="shop")
        fake_compute.clock.advance(hours=1)

    assert up.state == NodeState.RUNNING
    assert shown(driver) == {"web-1": NodeState.ERROR}
    assert fake_compute.vm("web-1").power_state == "running"
    assert fake_compute.vm("web-1").bill.hardware > 3500
