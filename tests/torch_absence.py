"""Where torch is absent, tests that need it are skipped with a reason: whoever imports it, or starts a trainer."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

import pytest

HAS_TORCH = find_spec("torch") is not None


def need_torch() -> None:
    """Skip the test that runs now, or the file that is imported now, where there is no torch."""
    if not HAS_TORCH:
        pytest.skip("torch is not installed here", allow_module_level=True)


class _LastFinder:
    """Asked for what nobody else has found."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] == "torch":
            need_torch()
        return None


def skip_importers() -> None:
    """From now on an import of torch skips instead of failing."""
    sys.meta_path.append(_LastFinder)
