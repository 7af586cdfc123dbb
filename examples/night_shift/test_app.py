"""What the night shift does to machines that live."""

from examples.night_shift.app import night_shift


def test_puts_running_and_forgotten_machines_to_sleep(fake_compute):
    fake_compute.add_vm("web-1", resource_group="shop")
    fake_compute.add_vm("web-2", resource_group="shop").guest_shutdown()
    fake_compute.clock.advance(minutes=1)

    assert night_shift(fake_compute.client, "shop") == ["web-1", "web-2"]

    assert {vm.power_state for vm in fake_compute.vms} == {"deallocated"}


def test_leaves_alone_what_is_marked_or_asleep_already(fake_compute):
    fake_compute.add_vm("db-1", resource_group="shop", parameters={"tags": {"night-shift": "keep"}})
    fake_compute.add_vm("web-1", resource_group="shop", power_state="deallocated")

    assert night_shift(fake_compute.client, "shop") == []

    assert fake_compute.vm("db-1").power_state == "running"
    assert not fake_compute.calls.filter(operation="deallocate")


def test_does_not_touch_a_machine_that_is_on_its_way(fake_compute):
    fake_compute.add_vm("web-1", resource_group="shop", power_state="deallocated")
    fake_compute.client.virtual_machines.begin_start("shop", "web-1")

    assert night_shift(fake_compute.client, "shop") == []

    assert fake_compute.vm("web-1").power_state == "starting"


def test_saves_what_a_forgotten_machine_would_have_cost(fake_compute):
    forgotten = fake_compute.add_vm("web-1", resource_group="shop")
    forgotten.guest_shutdown()
    fake_compute.clock.advance(hours=2)
    cost_by_evening = forgotten.bill.hardware

    night_shift(fake_compute.client, "shop")
    fake_compute.clock.advance(hours=8)

    assert cost_by_evening == 2 * 3600
    assert forgotten.bill.hardware == cost_by_evening


def test_takes_as_long_as_the_slowest_not_the_sum(fake_compute):
    fake_compute.timing.deallocate = 300
    for number in range(5):
        fake_compute.add_vm(f"web-{number}", resource_group="shop")
    evening = fake_compute.clock.now

    night_shift(fake_compute.client, "shop")

    assert 300 <= (fake_compute.clock.now - evening).total_seconds() < 330 + 36
