"""Our own runs reach no network: neither this process nor a Python that it starts."""

from __future__ import annotations

import _socket
import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import blocked_sockets
import pytest
from blocked_sockets import NetworkBlockedError

from tests import no_network
from tests.runs import run

ARM = ("management.azure.com", 443)


def tcp() -> socket.socket:
    """Open a socket for TCP."""
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def udp() -> socket.socket:
    """Open a socket for UDP."""
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def looked_up_by_asyncio() -> None:
    """Look a name up as asyncio does."""

    async def look() -> None:
        await asyncio.get_running_loop().getaddrinfo(*ARM)

    asyncio.run(look())


def connected_by_asyncio() -> None:
    """Connect as asyncio does."""
    asyncio.run(asyncio.open_connection("20.0.0.1", 443))


def with_a(make, use):
    """Give what opens a socket, uses it, and closes it whatever comes of that."""

    def using() -> None:
        with make() as sock:
            use(sock)

    return using


REFUSED = (
    ("getaddrinfo('management.azure.com')", lambda: socket.getaddrinfo(*ARM)),
    ("getaddrinfo(b'b.example')", lambda: socket.getaddrinfo(b"b.example", 80)),
    ("getaddrinfo('c.example')", lambda: _socket.getaddrinfo("c.example", 80)),
    ("getaddrinfo('127.0.0.1.example')", lambda: socket.getaddrinfo("127.0.0.1.example", 80)),
    ("getaddrinfo('169.254.169.254')", lambda: socket.create_connection(("169.254.169.254", 80))),
    ("getaddrinfo('management.azure.com')", looked_up_by_asyncio),
    ("gethostbyname('d.example')", lambda: socket.gethostbyname("d.example")),
    ("gethostbyname('e.example')", lambda: socket.gethostbyname_ex("e.example")),
    ("gethostbyaddr('20.0.0.1')", lambda: socket.gethostbyaddr("20.0.0.1")),
    ("getnameinfo('20.0.0.1')", lambda: socket.getnameinfo(("20.0.0.1", 80), 0)),
    ("connect(('20.0.0.1', 443))", with_a(tcp, lambda sock: sock.connect(("20.0.0.1", 443)))),
    ("connect(('management.azure.com', 443))", with_a(tcp, lambda sock: sock.connect(ARM))),
    ("connect(('20.0.0.1', 443))", connected_by_asyncio),
    ("connect_ex(('management.azure.com', 443))", with_a(tcp, lambda sock: sock.connect_ex(ARM))),
    ("sendto(('8.8.8.8', 53))", with_a(udp, lambda sock: sock.sendto(b"?", ("8.8.8.8", 53)))),
    (
        "sendto(('f.example', 53))",
        with_a(udp, lambda sock: sock.sendto(b"?", 0, ("f.example", 53))),
    ),
    (
        "sendmsg(('8.8.8.8', 53))",
        with_a(udp, lambda sock: sock.sendmsg([b"?"], [], 0, ("8.8.8.8", 53))),
    ),
)


@pytest.mark.parametrize(("what", "ask"), REFUSED)
def test_every_look_up_and_every_packet_is_refused_by_name(network_attempts, what, ask):
    """Whatever asks for more than this machine gets an error that says what was asked for."""
    with pytest.raises(NetworkBlockedError) as caught:
        ask()

    assert str(caught.value) == f"{what}: the network is blocked while our tests run"
    assert network_attempts == [what]


def test_a_socket_that_nobody_has_wrapped_is_refused_too(network_attempts):
    """The C type below socket.socket asks the same question."""
    sock = _socket.socket()
    with pytest.raises(NetworkBlockedError, match=r"connect\(\('20\.0\.0\.1', 443\)\)"):
        sock.connect(("20.0.0.1", 443))
    sock.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", b"localhost", None])
def test_this_machine_may_be_looked_up(host):
    """Loopback's names and addresses are answered, and so is none at all."""
    assert socket.getaddrinfo(host, 80, socket.AF_INET)


def test_this_machine_may_be_talked_to():
    """TCP to loopback works, sync and aio, and so does a pair of Unix sockets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async def talk() -> bytes:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("localhost", port, family=socket.AF_INET)
            writer.write(b"hello\n")
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return answer

    assert asyncio.run(talk()) == b"hello\n"


def test_unix_sockets_are_no_network(tmp_path):
    """What is a file of this machine may be connected to."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()

        assert client.connect(path) is None


def test_what_is_patched_on_top_passes_on_to_the_block(monkeypatch, network_attempts):
    """A guard that lets the rest through to what was there before ends here, and may go again."""
    before = (socket.getaddrinfo, socket.socket.connect)
    passed = []

    def look_up(*asked: object) -> object:
        passed.append(asked)
        return before[0](*asked)

    def connect(sock: socket.socket, address: object) -> None:
        passed.append(address)
        before[1](sock, address)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket.socket, "connect", connect)
    for _ in range(2):
        with pytest.raises(NetworkBlockedError, match="getaddrinfo"):
            socket.getaddrinfo("g.example", 80)
        with tcp() as sock, pytest.raises(NetworkBlockedError, match="connect"):
            sock.connect(("20.0.0.1", 443))
        monkeypatch.undo()

    assert passed == [("g.example", 80), ("20.0.0.1", 443)]
    assert (socket.getaddrinfo, socket.socket.connect) == before
    assert len(network_attempts) == 4


CHILD = "import socket; socket.getaddrinfo('management.azure.com', 443)"


def python(code: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run *code* in a Python of its own."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, **settings)


@pytest.mark.parametrize(
    "code",
    [
        CHILD,
        f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {CHILD!r}]))",
    ],
    ids=["child", "grandchild"],
)
def test_a_python_that_a_test_starts_is_blocked(code):
    """A child is blocked from its first line on, and so is a child of its own."""
    done = python(code)

    assert done.returncode == 1
    assert "NetworkBlockedError: getaddrinfo('management.azure.com')" in done.stderr


def test_a_proxy_on_this_machine_is_no_way_out(monkeypatch):
    """A child is not told of a proxy: what it asks for, it asks for by name, and is refused."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    done = python(
        "import urllib.request as u; print(u.getproxies()); u.urlopen('http://i.example')"
    )

    assert done.stdout == "{}\n"
    assert "NetworkBlockedError: getaddrinfo('i.example')" in done.stderr


def test_a_python_is_not_started_unblocked(monkeypatch):
    """A test that would start a Python past the block is told how to keep it."""
    for environment in ({}, {"PYTHONPATH": "elsewhere"}):
        with pytest.raises(NetworkBlockedError, match="add to what is there"):
            python("", env=environment)
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    with pytest.raises(NetworkBlockedError, match="would be started with a PYTHONPATH"):
        python("")


def test_a_path_of_ones_own_may_be_put_before_the_block(monkeypatch, tmp_path):
    """A PYTHONPATH that is added to leads to one's own modules, and is blocked."""
    (tmp_path / "mine.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    assert "NetworkBlockedError" in python("import mine").stderr


def test_the_sitecustomize_that_is_hidden_is_run_as_well(monkeypatch, tmp_path):
    """A child's Python is set up as its machine wants it, and blocked besides."""
    (tmp_path / "sitecustomize.py").write_text("print('set up')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([no_network.OFFLINE, str(tmp_path)]))
    done = python(CHILD)

    assert done.stdout == "set up\n"
    assert "NetworkBlockedError" in done.stderr


def test_a_pytest_run_that_a_test_starts_is_blocked(pytester):
    """What pytester starts in a process of its own is blocked as well."""
    pytester.makepyfile(f"def test_it():\n    {CHILD}")
    result = run(pytester)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*NetworkBlockedError: getaddrinfo('management.azure.com')*"])


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_whoever_asks_and_catches_the_error_fails_all_the_same(pytester, monkeypatch, arguments):
    """A test fails for what it asked of the network, unless it takes the fixture for that."""
    if arguments:
        pytest.importorskip("xdist")
    root = Path(no_network.__file__).parents[1]
    pytester.makeconftest((root / "conftest.py").read_text())
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\naddopts = '--import-mode=importlib'")
    pytester.makepyfile(
        """
        import socket

        def ask():
            try:
                socket.getaddrinfo("management.azure.com", 443)
            except Exception:
                pass

        def test_asks():
            ask()

        def test_asks_on_purpose(network_attempts):
            ask()
            assert network_attempts == ["getaddrinfo('management.azure.com')"]

        def test_asks_nothing():
            pass
        """
    )
    monkeypatch.setenv("PYTHONPATH", str(root), prepend=os.pathsep)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(
        [
            "test_asks asked for the network: getaddrinfo('management.azure.com'). If that is on "
            "purpose, let it take the fixture network_attempts."
        ]
    )


def test_the_block_is_put_up_once():
    """Whoever asks for it again changes nothing."""
    connect, path = socket.socket.connect, os.environ["PYTHONPATH"]
    blocked_sockets.block()

    assert (socket.socket.connect, os.environ["PYTHONPATH"]) == (connect, path)
