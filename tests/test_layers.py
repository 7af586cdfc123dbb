"""The architecture: imports go downward only, and what is heavy stays where it belongs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import pytest_azurevm
from pytest_azurevm import _lifecycle

PACKAGE = Path(pytest_azurevm.__file__).parent

# From the top down; a module imports only from rows below its own.
LAYERS = (
    ("plugin", "__init__"),
    ("_fake",),
    ("_fake_vm", "_intercept", "_pollers"),
    ("_plain_http", "_other_mocks"),
    ("_wire",),
    ("_transport",),
    ("_front",),
    ("_arm", "_identity", "failures"),
    ("_arm_resources", "_resource_graph"),
    ("_arm_groups", "_arm_tags"),
    ("_door", "_arm_tenant", "_resource_lro"),
    (
        "_lro",
        "_failures_accepted",
        "_failures_in_flight",
        "_failures_on_the_way",
        "_failures_refused",
        "_rules",
    ),
    ("_query", "_resource_filter"),
    ("_failure", "_http", "_resources", "_billing", "_api_versions"),
    ("_calls",),
    ("_neighbours", "_resource_bodies"),
    ("_resource_judge",),
    ("_resource_groups",),
    ("_attachments",),
    ("_stored",),
    ("_store", "_filled_in"),
    ("_filled_network", "_filled_compute"),
    ("_compute",),
    ("_incidents",),
    ("_extension_operations",),
    ("_operations",),
    ("_machines",),
    ("_register",),
    ("_records", "_timing"),
    ("_lifecycle", "_vm_model", "_clock", "_loops", "_frozen", "_sleeping"),
    ("_vm_disks", "_vm_extensions", "_trio"),
    ("_facts",),
    ("_timekeeper", "_vm_form", "_throttling", "_resource_types", "_guard"),
    ("_movement",),
    ("_rest",),
    ("_resource_ids", "_kusto"),
    ("_agenda", "_errors", "_vm_schema", "_threads", "_realtime", "_hosts", "_swaps"),
    ("_kusto_values",),
)
RANK = {module: rank for rank, row in enumerate(LAYERS) for module in row}
AZURE = {"_transport", "_pollers", "_intercept", "_plain_http", "_fake"}
# A token's holder compares it with the process' own clock; see _identity.
READS_REAL_TIME = {"_sleeping", "_realtime", "_identity"}


def imports(module: str) -> set[str]:
    """Give every module that *module* imports at run time, wherever in it."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "pytest_azurevm":
                found |= {f"pytest_azurevm.{alias.name}" for alias in node.names}
            else:
                found.add(node.module)
    return found


def test_every_module_has_its_layer():
    """No module stands outside the layers, and no layer names a module that is not there."""
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(RANK)


@pytest.mark.parametrize("module", sorted(RANK))
def test_imports_go_downward_only(module):
    """A module imports nothing of its own layer or of one above."""
    own = {name.split(".")[1] for name in imports(module) if name.startswith("pytest_azurevm.")}
    upward = {name for name in own if RANK[name] <= RANK[module]}

    assert upward == set()


@pytest.mark.parametrize("module", sorted(RANK))
def test_azure_is_met_only_where_azure_core_ends(module):
    """Only what stands between azure's packages, or requests, and the ARM knows them."""
    heavy = {name for name in imports(module) if name.split(".")[0] in ("azure", "requests")}

    assert not heavy or module in AZURE


@pytest.mark.parametrize("module", sorted(RANK))
def test_nobody_reads_the_real_clock_or_draws_unseeded(module):
    """No module looks at real time, and chance is drawn from seeded sources alone."""
    text = (PACKAGE / f"{module}.py").read_text()

    assert not {"uuid.uuid4", "secrets"} & imports(module)
    assert module in READS_REAL_TIME or "time" not in imports(module)
    assert "datetime.now" not in text
    assert "utcnow" not in text
    assert "random.random(" not in text
    assert module in ("_machines", "_rules", "_timing") or "random" not in imports(module)


@pytest.mark.parametrize("module", sorted(set(RANK) - {"_lifecycle"}))
def test_only_the_table_decides_by_the_name_of_a_power_state(module):
    """No other module compares with a power state's name, or looks anything up by one."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    deciding = [
        part
        for node in ast.walk(tree)
        for part in (
            [node.left, *node.comparators]
            if isinstance(node, ast.Compare)
            else node.keys
            if isinstance(node, ast.Dict)
            else [node.slice]
            if isinstance(node, ast.Subscript)
            else ()
        )
    ]
    named = {
        found.value
        for part in deciding
        if part is not None and not ast.unparse(part).startswith("Literal")
        for found in ast.walk(part)
        if isinstance(found, ast.Constant)
    }

    assert not named & set(get_args(_lifecycle.PowerState))


@pytest.mark.parametrize("module", ["pytest_azurevm", "pytest_azurevm.plugin"])
def test_importing_loads_nothing_heavy(module):
    """Importing the package or its plugin loads no azure, requests, freezegun or responses."""
    code = (
        f"import sys, {module}; "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('azure', 'requests', 'freezegun', 'responses', 'asyncio')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    """What the package lists can be had from it, and what it does not list cannot."""
    for name in pytest_azurevm.__all__:
        assert getattr(pytest_azurevm, name)
    assert dir(pytest_azurevm) == sorted(pytest_azurevm.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'FakeCompuet'"):
        _ = pytest_azurevm.FakeCompuet
