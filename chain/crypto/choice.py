"""Which library computes: the first that is installed, or the one that is asked for. All give the same answers."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any


class Choice:
    """One of several modules with the same functions; `modules` names them by library, the preferred first."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self.modules = modules
        self.name = ""
        self.module: Any = None
        for name in modules:
            try:
                self.use(name)
                return
            except ImportError:
                continue
        raise ImportError(f"none of {', '.join(modules)} is installed")

    def use(self, name: str) -> None:
        """Compute with this library from now on. Raises ImportError if it is absent, then nothing changes."""
        self.module = import_module(self.modules[name])
        self.name = name
