"""Azure virtual machines that live, for tests: real SDK clients over a simulated subscription.

Importing this package loads nothing but itself; its names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_azurevm._billing import Bill as Bill
    from pytest_azurevm._billing import Charge as Charge
    from pytest_azurevm._calls import Call as Call
    from pytest_azurevm._calls import Calls as Calls
    from pytest_azurevm._clock import Clock as Clock
    from pytest_azurevm._fake import FakeCompute as FakeCompute
    from pytest_azurevm._fake_vm import FakeVM as FakeVM
    from pytest_azurevm._fake_vm import OperationInFlight as OperationInFlight
    from pytest_azurevm._fake_vm import Status as Status
    from pytest_azurevm._fake_vm import Transition as Transition
    from pytest_azurevm._hosts import AzureOutOfReach as AzureOutOfReach
    from pytest_azurevm._rest import ClockStalled as ClockStalled
    from pytest_azurevm._rest import FakeClosed as FakeClosed
    from pytest_azurevm._rest import PollerLeftRunningWarning as PollerLeftRunningWarning
    from pytest_azurevm._rules import Injection as Injection
    from pytest_azurevm._rules import InjectionNeverStruck as InjectionNeverStruck
    from pytest_azurevm._timing import Timing as Timing
    from pytest_azurevm.plugin import FakeComputeFactory as FakeComputeFactory

__version__ = "0.1.0"

_HOMES = {
    "AzureOutOfReach": "_hosts",
    "Bill": "_billing",
    "Call": "_calls",
    "Calls": "_calls",
    "Charge": "_billing",
    "Clock": "_clock",
    "ClockStalled": "_rest",
    "FakeClosed": "_rest",
    "FakeCompute": "_fake",
    "FakeComputeFactory": "plugin",
    "FakeVM": "_fake_vm",
    "Injection": "_rules",
    "InjectionNeverStruck": "_rules",
    "OperationInFlight": "_fake_vm",
    "PollerLeftRunningWarning": "_rest",
    "Status": "_fake_vm",
    "Timing": "_timing",
    "Transition": "_fake_vm",
}
__all__ = [
    "AzureOutOfReach",
    "Bill",
    "Call",
    "Calls",
    "Charge",
    "Clock",
    "ClockStalled",
    "FakeClosed",
    "FakeCompute",
    "FakeComputeFactory",
    "FakeVM",
    "Injection",
    "InjectionNeverStruck",
    "OperationInFlight",
    "PollerLeftRunningWarning",
    "Status",
    "Timing",
    "Transition",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
