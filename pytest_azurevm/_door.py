"""The door of the ARM: what is injected strikes a request here, and here it is counted.

A request is admitted as soon as its operation and machine are known, before anything is judged that
the engine has to judge.
"""

from __future__ import annotations

from typing import Any, Final

from pytest_azurevm import _throttling as throttling
from pytest_azurevm._compute import Compute
from pytest_azurevm._failure import LISTING, Situation, location_of
from pytest_azurevm._http import AnswerLost, Exchange
from pytest_azurevm._lro import region_of
from pytest_azurevm._records import OperationRecord, VirtualMachine, key_of
from pytest_azurevm._resource_ids import Address
from pytest_azurevm._rules import NOTHING, Rules

_TOO_MANY: Final = 429


class Door:
    """Admits requests, one at a time; ``struck`` is what befalls the one that is answered."""

    def __init__(self, compute: Compute, rules: Rules) -> None:
        self.enforces_limits = False  # whether an empty bucket refuses a request
        self.struck = NOTHING
        self._compute = compute
        self._clock = compute.clock
        self._rules = rules
        self._buckets = throttling.Buckets()
        self._requests = 0
        compute.fate = lambda _vm, _operation: self.struck.fate()

    def opens(self, caller: object) -> None:
        """Let the next request come, of that thread or task."""
        self.struck = NOTHING
        self._requests += 1
        self._compute.caller = caller

    def admit(
        self,
        exchange: Exchange,
        operation: str,
        subscription: str,
        group: str = "",
        *,
        vm: VirtualMachine | None = None,
        body: Any = None,
        location: str = "",
        record: OperationRecord | None = None,
    ) -> None:
        """Let a request in: what is injected strikes it here, and it is counted.

        Raises:
            ArmError: it is refused; nothing has changed.
            AnswerLost: it is lost before anything is done.
        """
        exchange.operation = operation
        location = location or (vm.location if vm is not None else location_of(body))
        if self._rules:
            self.struck = self._rules.strike(
                Situation(
                    operation,
                    vm=exchange.vm_name or "",
                    resource_group=group or (vm.resource_group if vm is not None else ""),
                    subscription_id=subscription,
                    location=location,
                    method=exchange.request.method.upper(),
                    path="/" + "/".join(exchange.segments),
                    now=self._clock.calendar(self._clock.now_us),
                    number=self._requests,
                    model=None if vm is None else vm.model,
                    body=body,
                )
            )
        refusal, lost = self.struck.refusal, self.struck.lost
        if refusal is not None and (refusal.gateway or refusal.status == _TOO_MANY):
            raise refusal
        if lost is not None and not lost.work_done:
            raise lost.error or AnswerLost(lost.instead)
        if record is not None:
            self._count(exchange, region_of(record.vm), record.operation_id)
        elif vm is not None:
            self._count(exchange, region_of(vm), vm.key)
        elif operation == "create":
            key = key_of(subscription, group, exchange.vm_name or "")
            self._count(exchange, f"{subscription}/{location}", key)
        elif operation in LISTING:  # of one that is not there the front door knows [rec]
            self._count(exchange, subscription, "")
        if refusal is not None:  # Compute's own are counted [rec]
            raise refusal

    def admit_other(
        self,
        exchange: Exchange,
        action: str,
        subscription: str,
        group: str = "",
        *,
        body: Any = None,
    ) -> None:
        """Let a request in that is about no virtual machine: *action* is what ARM calls it.

        It is counted against nothing. Of what is injected, only what befalls any request strikes.

        Raises:
            ArmError: it is refused; nothing has changed.
            AnswerLost: it is lost before anything is done.
        """
        exchange.operation = action
        if not self._rules:
            return
        self.struck = self._rules.strike(
            Situation(
                action,
                vm="",
                resource_group=group,
                subscription_id=subscription,
                location=location_of(body),
                method=exchange.request.method.upper(),
                path="/" + "/".join(exchange.segments),
                now=self._clock.calendar(self._clock.now_us),
                number=self._requests,
                model=None,
                body=body,
            )
        )
        refusal, lost = self.struck.refusal, self.struck.lost
        if refusal is not None:
            raise refusal
        if lost is not None and not lost.work_done:
            raise lost.error or AnswerLost(lost.instead)

    def admit_poll(self, exchange: Exchange, of: Address) -> None:
        """Let a look at an operation in that is on no virtual machine."""
        self.admit_other(exchange, "poll", of.subscription, of.group)

    def _count(self, exchange: Exchange, region: str, resource: str) -> None:
        """Draw on the buckets, and refuse what finds one empty if limits are enforced."""
        policy = throttling.policy_of(exchange.operation, exchange.request.method.upper())
        now_us = self._clock.now_us
        if self.enforces_limits and self.struck.refusal is None:
            empty = self._buckets.empty(policy, region, resource, now_us)
            if empty is not None:
                seconds, of_resource = empty
                now = self._clock.calendar(now_us)
                raise throttling.throttled(policy, now, seconds, of_resource=of_resource)
        remaining = self._buckets.draw(policy, region, resource, now_us)
        exchange.counted = {"x-ms-ratelimit-remaining-resource": remaining}
