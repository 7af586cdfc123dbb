"""Python runs this at its start, in every process that has this directory on its PYTHONPATH."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import blocked_sockets

blocked_sockets.block()

# The sitecustomize that this one hides has its say too.
_here = Path(__file__).resolve().parent
_hidden = importlib.machinery.PathFinder.find_spec(
    "sitecustomize", [path for path in sys.path if Path(path).resolve() != _here]
)
if _hidden is not None and _hidden.loader is not None:
    _hidden.loader.exec_module(importlib.util.module_from_spec(_hidden))
