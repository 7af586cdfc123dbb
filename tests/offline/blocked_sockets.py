"""No name is looked up and nothing is sent, but to this machine itself.

``block()`` refuses it for the rest of the process' life, below whatever else is patched: an audit
hook is asked by the C functions themselves, however they were come by, and cannot be taken away.
Not seen is who brings a resolver or an event loop in C of its own (pycares, uvloop).
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

HERE: Final = str(Path(__file__).resolve().parent)
LOOPBACK: Final = re.compile(
    r"(.+\.)?localhost\.?|(::ffff:)?127(\.\d{1,3}){3}|::1(%.*)?", re.IGNORECASE
)
PROXIES: Final = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")

#: What was refused so far, also where the code that asked has caught the error.
attempts: Final[list[str]] = []


class NetworkBlockedError(RuntimeError):
    """Something asked for the network. No OSError: HTTP clients take those to be the weather."""


def block() -> None:
    """Block this process, and the Python processes that it starts with its own environment."""
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if HERE not in others:
        os.environ["PYTHONPATH"] = os.pathsep.join([HERE, *others])
    for name in [name for name in os.environ if name.lower() in PROXIES]:
        del os.environ[name]  # one on this machine would be a way out
    if not getattr(socket.socket.connect, "blocked", False):
        sys.addaudithook(_hook)
        # These look a name up by themselves, before their audit event.
        for method, place in (("connect", 0), ("connect_ex", 0), ("sendto", -1), ("sendmsg", 3)):
            setattr(socket.socket, method, _blocked(getattr(socket.socket, method), method, place))


def _refuse(what: str) -> None:
    attempts.append(what)
    raise NetworkBlockedError(f"{what}: the network is blocked while our tests run")


def _is_loopback(host: Any) -> bool:
    text = bytes(host).decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
    return isinstance(text, str) and LOOPBACK.fullmatch(text) is not None


def _look_up(call: str, host: Any) -> None:
    if host not in (None, "", b"") and not _is_loopback(host):  # without one, no name is asked for
        _refuse(f"{call}({host!r})")


def _send(call: str, sock: Any, address: Any) -> None:
    if address is None or sock.family == getattr(socket, "AF_UNIX", None):
        return  # none: where it goes was said, and judged, by connect
    if not (isinstance(address, tuple) and address and _is_loopback(address[0])):
        _refuse(f"{call}({address!r})")


def _start(executable: Any, _arguments: Any, _cwd: Any, env: Any) -> None:
    """Refuse to start a Python that would not be blocked itself."""
    environment = os.environ if env is None else env
    paths = environment.get("PYTHONPATH") or environment.get(b"PYTHONPATH") or ""
    name = Path(os.fsdecode(executable)).name
    if name.startswith("python") and HERE not in os.fsdecode(paths).split(os.pathsep):
        raise NetworkBlockedError(
            f"{name} would be started with a PYTHONPATH that leaves the network open: "
            'add to what is there, monkeypatch.setenv("PYTHONPATH", path, prepend=os.pathsep)'
        )


_RULES: Final[dict[str, Callable[..., None]]] = {
    "socket.getaddrinfo": lambda host, *_: _look_up("getaddrinfo", host),
    "socket.gethostbyname": lambda host: _look_up("gethostbyname", host),
    "socket.gethostbyaddr": lambda host: _look_up("gethostbyaddr", host),
    "socket.getnameinfo": lambda address: _look_up("getnameinfo", address[0]),
    "socket.connect": lambda sock, address: _send("connect", sock, address),
    "socket.sendto": lambda sock, address: _send("sendto", sock, address),
    "socket.sendmsg": lambda sock, address: _send("sendmsg", sock, address),
    "subprocess.Popen": _start,
}


def _hook(event: str, arguments: tuple[Any, ...], _rule: Any = _RULES.get) -> None:
    rule = _rule(event)
    if rule is not None:
        rule(*arguments)


def _blocked(method: Callable[..., Any], name: str, place: int) -> Callable[..., Any]:
    def blocked(self: socket.socket, *arguments: Any) -> Any:
        if arguments[place:]:
            _send(name, self, arguments[place])
        return method(self, *arguments)

    blocked.__name__ = blocked.__qualname__ = name
    blocked.blocked = True  # type: ignore[attr-defined]
    return blocked
