"""Azure as a client meets it: every request goes to the part of Azure that it is meant for."""

from __future__ import annotations

from pytest_azurevm._arm import Arm
from pytest_azurevm._hosts import part_of_url
from pytest_azurevm._http import Request, Response
from pytest_azurevm._identity import Identity


class Front:
    """Everything that a fake answers."""

    def __init__(self, arm: Arm, identity: Identity) -> None:
        self._arm = arm
        self._identity = identity

    def handle(self, request: Request) -> Response:
        """Answer *request*. What names no host of Azure's is meant for ARM: its client says so.

        Raises:
            AnswerLost: the answer is injected to be lost on its way.
            AzureOutOfReach: it asks for something that is not served.
        """
        if part_of_url(request.url) in ("sign-in", "metadata"):
            return self._identity.handle(request)
        return self._arm.handle(request)
