"""What a virtual machine costs, in both editions, to the microsecond."""

from __future__ import annotations

import datetime as _dt
from decimal import Decimal

import pytest

from pytest_azurevm import Bill, Charge, FakeCompute
from pytest_azurevm import _lifecycle as table
from pytest_azurevm._records import Fate
from tests.builders import EXTENSION, GROUP, begin, begin_put, changed, linux_vm

START = _dt.datetime(2026, 1, 1, tzinfo=_dt.timezone.utc)
BOTH = ("hardware", "software")
HARDWARE = ("hardware",)
NOT_BILLED = ()

# The billing columns: the document's, and that of today's page, which knows "Billed" alone.
COLUMNS = (
    # power state     document     wire
    (None,            NOT_BILLED,  NOT_BILLED),
    ("starting",      NOT_BILLED,  BOTH),
    ("running",       BOTH,        BOTH),
    ("stopping",      BOTH,        BOTH),
    ("stopped",       HARDWARE,    BOTH),
    ("deallocating",  HARDWARE,    NOT_BILLED),
    ("deallocated",   NOT_BILLED,  NOT_BILLED),
)  # fmt: skip

# How each power state is reached: the state before, what is begun, and how long it lasts then.
REACHED = (
    # power state     before         begun          seconds of it
    ("starting",      "deallocated", "start",       24),
    ("running",       "running",     None,          3600),
    ("stopping",      "running",     "power_off",   9.5),
    ("stopped",       "stopped",     None,          3600),
    ("deallocating",  "running",     "deallocate",  52),
    ("deallocated",   "deallocated", None,          3600),
)  # fmt: skip


def at(seconds):
    """Give the instant so many seconds after the start."""
    return START + _dt.timedelta(seconds=seconds)


def sums(bill):
    """Give a bill's seconds: hardware, software, disks."""
    return (bill.hardware, bill.software, bill.disks)


def detached(fake, delete_option, name="web-1", **data_disks):
    """Seed a VM whose OS disk has this deleteOption."""
    os_disk = {"createOption": "FromImage", "deleteOption": delete_option}
    body = {"properties": {"storageProfile": {"osDisk": os_disk, **data_disks}}}
    return fake.add_vm(name, resource_group=GROUP, parameters=body)


@pytest.fixture(params=["document", "wire"])
def either(request):
    """A fake of either edition."""
    with FakeCompute(edition=request.param) as fake:
        yield fake


@pytest.mark.parametrize(("power", "document", "wire"), COLUMNS)
def test_billing_columns(power, document, wire):
    """What is billed in a power state is what the edition's page says."""
    assert table.EDITIONS["document"].billing[power] == document
    assert table.EDITIONS["wire"].billing[power] == wire


@pytest.mark.parametrize("edition", ["document", "wire"])
@pytest.mark.parametrize(("power", "before", "begun", "seconds"), REACHED)
def test_a_state_is_billed_while_it_lasts(edition, power, before, begun, seconds):
    """A VM in a power state for so many seconds is billed for exactly these, or for none."""
    billed = {line[0]: line[1 if edition == "document" else 2] for line in COLUMNS}[power]
    with FakeCompute(edition=edition) as fake:
        vm = fake.add_vm("web-1", resource_group=GROUP, power_state=before)
        if begun:
            begin(fake, begun, "web-1")
        assert vm.power_state == power
        fake.clock.advance(seconds)

        assert vm.bill.hardware == (seconds if "hardware" in billed else 0)
        assert vm.bill.software == (seconds if "software" in billed else 0)
        assert vm.bill.disks == seconds


# A night: up for an hour, shut down inside (9.5 s), two hours forgotten, deallocated (46 s), and
# left so until eight in the morning.
NIGHT = (
    # edition    hardware    software    disks
    ("document", (3600 + 7200 + 46, 3600 + 9.5, 8 * 3600)),
    ("wire",     (3600 + 7200,      3600 + 7200, 8 * 3600)),
)  # fmt: skip
NIGHT_CHARGES = {
    "document": [(0, 28_800, "disks"), (0, 10_846, "hardware"), (0, 3609.5, "software")],
    "wire": [(0, 28_800, "disks"), (0, 10_800, "hardware"), (0, 10_800, "software")],
}


def spend_a_night(fake):
    """Let web-1 spend that night."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    fake.clock.advance(hours=1)
    vm.guest_shutdown()
    fake.clock.advance(hours=2)
    begin(fake, "deallocate", "web-1")
    fake.clock.advance_to("2026-01-01T08:00:00Z")
    return vm


@pytest.mark.parametrize(("edition", "expected"), NIGHT)
def test_the_night_of_one_vm(edition, expected):
    """A VM shut down from inside goes on costing until it is deallocated, its disks for ever."""
    with FakeCompute(edition=edition) as fake:
        vm = spend_a_night(fake)

        assert sums(vm.bill) == expected
        assert sums(fake.bill) == expected


@pytest.mark.parametrize("edition", ["document", "wire"])
def test_the_charges_of_that_night(edition):
    """Charges are the unbroken stretches of each kind, those that begin first coming first."""
    with FakeCompute(edition=edition) as fake:
        charges = spend_a_night(fake).bill.charges

        assert sorted(charges, key=lambda charge: charge.kind) == [
            Charge(at(begin), at(end), kind) for begin, end, kind in NIGHT_CHARGES[edition]
        ]
        assert [charge.from_ for charge in charges] == sorted(charge.from_ for charge in charges)


def test_a_charge_for_each_stretch(fake):
    """Whenever a VM is deallocated its charge ends, and a start begins another."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    fake.clock.advance(60)
    begin(fake, "deallocate", "web-1")
    fake.clock.advance(60)
    begin(fake, "start", "web-1")
    fake.clock.advance(60)

    assert [charge for charge in vm.bill.charges if charge.kind == "hardware"] == [
        Charge(at(0), at(60), "hardware"),
        Charge(at(120), at(180), "hardware"),
    ]


def test_charges_add_up(either):
    """The seconds of a bill are those of its charges."""
    bill = spend_a_night(either).bill
    for kind in ("hardware", "software", "disks"):
        stretches = [c.to - c.from_ for c in bill.charges if c.kind == kind]

        assert sum(stretches, _dt.timedelta()).total_seconds() == getattr(bill, kind)


def test_nothing_is_billed_for_creating_alone(either):
    """Until its disks are made and it starts, a VM that is being created costs nothing."""
    begin_put(either, "web-1", linux_vm())
    either.clock.advance(6.4)

    assert either.bill == Bill(0, 0, 0, ())


@pytest.mark.parametrize(
    ("edition", "expected"),
    [("document", (80 - 16, 80 - 16, 80 - 6.4)), ("wire", (80 - 6.4, 80 - 6.4, 80 - 6.4))],
)
def test_os_provisioning_is_billed_as_running(edition, expected):
    """From when the VM runs, the installation of its system is billed, and the disks before."""
    with FakeCompute(edition=edition) as fake:
        begin_put(fake, "web-1", linux_vm())
        fake.clock.advance(80)

        assert sums(fake.bill) == pytest.approx(expected, abs=1e-9)


def test_a_failed_os_provisioning_goes_on_costing(either):
    """A VM whose OS failed to install in time is billed as it runs."""
    either._compute.fate = lambda vm, operation: Fate(
        ends="Failed", error=("OSProvisioningTimedOut", "Too slow.")
    )
    begin_put(either, "web-1", linux_vm())
    either.clock.advance(80)
    before = either.bill
    either.clock.advance(hours=1)

    assert either.vm("web-1").provisioning_state == "Failed"
    assert (either.bill.hardware - before.hardware, either.bill.software - before.software) == (
        3600, 3600
    )  # fmt: skip


def test_a_failed_allocation_costs_its_disks_alone(either):
    """A VM that never was allocated is not billed, but for the disks that were made."""
    either._compute.fate = lambda vm, operation: Fate(
        ends="Failed", error=("AllocationFailed", "None."), power=None
    )
    begin_put(either, "web-1", linux_vm())
    either.clock.advance(80)
    before = either.bill
    either.clock.advance(hours=1)

    assert sums(either.bill) == (before.hardware, before.software, before.disks + 3600)


def test_extensions_are_installed_on_a_running_vm(fake):
    """The seconds that an extension takes in a create are billed."""
    begin_put(fake, "web-1", changed(linux_vm(), "resources", [EXTENSION]))
    fake.clock.advance(128)

    assert sums(fake.bill) == (121.6, 121.6, 121.6)


@pytest.mark.parametrize(("delete_option", "disks"), [("Detach", 3600 + 44), ("Delete", 60 + 44)])
def test_disks_of_a_deleted_vm(either, delete_option, disks):
    """A deleted VM costs no more, except that a detached disk outlives it."""
    vm = detached(either, delete_option)
    either.clock.advance(60)
    begin(either, "delete", "web-1")
    either.clock.advance(3584)

    assert either.vms == ()
    assert sums(vm.bill) == (104, 104, disks)
    assert sums(either.bill) == (104, 104, disks)


@pytest.mark.parametrize(
    ("os_disk", "data_disk", "disks"),
    [
        ("Delete", "Delete", 44),
        ("Delete", "Detach", 100),
        ("Detach", "Delete", 100),
        ("Delete", None, 100),
        (None, "Delete", 100),
    ],
)
def test_any_disk_that_stays_goes_on_costing(fake, os_disk, data_disk, disks):
    """Storage is charged once a VM, for as long as any of its disks is there; Detach by default."""
    data_disks = [{"lun": 0, "createOption": "Empty", "deleteOption": data_disk}]
    vm = detached(fake, os_disk, dataDisks=data_disks)
    begin(fake, "delete", "web-1")
    fake.clock.advance(100)

    assert vm.bill.disks == disks


def test_the_subscriptions_bill_sums_all(either):
    """The fake's bill sums the VMs of all subscriptions, those that are gone included."""
    either.add_vm("web-1", resource_group=GROUP)
    either.add_vm("web-2", resource_group=GROUP, power_state="deallocated")
    either.add_vm("web-3", subscription_id="00000000-0000-4000-8000-0000000000ff")
    gone = detached(either, "Delete", "web-4")
    begin(either, "delete", "web-4")
    either.clock.advance(1000)

    assert sums(gone.bill) == (44, 44, 44)
    assert sums(either.bill) == (2044, 2044, 3044)
    assert len(either.bill.charges) == 3 * 3 + 1


def test_a_name_that_is_used_again(fake):
    """A VM that takes the name of a deleted one has a bill of its own."""
    first = detached(fake, "Delete")
    begin(fake, "delete", "web-1")
    fake.clock.advance(100)
    second = detached(fake, "Delete")
    fake.clock.advance(10)

    assert sums(first.bill) == (44, 44, 44)
    assert sums(second.bill) == (10, 10, 10)
    assert sums(fake.bill) == (54, 54, 54)


def test_looking_at_a_bill(fake):
    """A bill is of the instant it is asked for, moves no time, and stays as it is."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    bill = vm.bill
    fake.clock.advance(10)

    assert sums(bill) == (0, 0, 0)
    assert sums(vm.bill) == (10, 10, 10)
    assert fake.clock.now == at(10)


def test_a_bill_that_was_never_run_up():
    """An empty subscription costs nothing."""
    with FakeCompute() as fake:
        fake.clock.advance(days=1)

        assert fake.bill == Bill(0, 0, 0, ())
        assert fake.bill.cost(hardware=1, software=1, disks=1) == 0


@pytest.mark.parametrize(
    ("prices", "cost"),
    [
        ({}, "0"),
        ({"hardware": "0.096"}, "0.096"),
        ({"hardware": 0.1, "software": 0.2}, "0.2"),
        ({"hardware": Decimal("0.1"), "software": "0.2", "disks": 1}, "2.2"),
        ({"disks": "0.01"}, "0.02"),
    ],
)
def test_prices_turn_seconds_into_money(prices, cost):
    """Hourly prices turn a bill into money, exactly, as numbers of any kind or their text."""
    bill = Bill(hardware=3600.0, software=1800.0, disks=7200.0, charges=())

    assert bill.cost(**prices) == Decimal(cost)


@pytest.mark.parametrize("kind", ["hardware", "software", "disks"])
@pytest.mark.parametrize(
    ("price", "message"),
    [
        (-1, r"^the price of {} must be zero or more, not -1$"),
        (Decimal("-0.01"), r"^the price of {} must be zero or more, not Decimal\('-0.01'\)$"),
        (float("nan"), r"^the price of {} must be zero or more, not nan$"),
        (float("inf"), r"^the price of {} must be zero or more, not inf$"),
        ("cheap", r"^the price of {} is no number: 'cheap'$"),
        ("", r"^the price of {} is no number: ''$"),
        (None, r"^the price of {} is no number: None$"),
    ],
)
def test_prices_that_are_none(kind, price, message):
    """A price that is negative, endless or no number is refused, and its kind is named."""
    bill = Bill(hardware=3600.0, software=1800.0, disks=7200.0, charges=())

    with pytest.raises(ValueError, match=message.format(kind)):
        bill.cost(**{kind: price})
