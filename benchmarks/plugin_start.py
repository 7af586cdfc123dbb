"""What the plugin costs a pytest run that does not use it.

Runs pytest on an empty test with and without the plugin, alternately, and prints the medians of
the processor time that the runs took, and of their differences: on a busy machine, time on the wall
says little. Also times the import of the plugin alone.

    python benchmarks/plugin_start.py [pairs]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def seconds(*command: str, cwd: str) -> float:
    before = os.times()
    subprocess.run([sys.executable, *command], cwd=cwd, check=True, capture_output=True)
    after = os.times()
    return (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )


def main(pairs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_empty.py").write_text("def test_empty(): pass\n")
        base = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
        with_, without = [], []
        seconds(*base, cwd=folder)  # warm
        for _ in range(pairs):
            without.append(seconds(*base, "-p", "no:azurevm", cwd=folder))
            with_.append(seconds(*base, cwd=folder))
        imports = [
            float(
                subprocess.run(
                    [
                        sys.executable,
                        "-c",
                        "import pytest, time; t = time.process_time(); "
                        "import pytest_azurevm.plugin; print(time.process_time() - t)",
                    ],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
            for _ in range(pairs)
        ]
    difference = [1000 * (a - b) for a, b in zip(with_, without, strict=True)]
    print(f"pytest without the plugin  {1000 * statistics.median(without):7.1f} ms")
    print(f"pytest with it, unused     {1000 * statistics.median(with_):7.1f} ms")
    print(f"median of the differences  {statistics.median(difference):7.1f} ms   (reach: 10)")
    print(f"import of the plugin alone {1000 * statistics.median(imports):7.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
