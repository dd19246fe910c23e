"""Nothing in a node may grow with what strangers send, or with time: the sizes of all its tables, found by a walk."""

from collections import deque
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulator.machine import Machine
    from tests.simulator.world import World

ENTRIES = 20_000  # of any table; the caps in the code are below
PACKAGES = ("node.", "consensus.", "network.")


def sizes(root: object) -> dict[str, int]:
    """Path of attributes → entries, of every table reached from `root` through objects of the node's own classes."""
    found: dict[str, int] = {}
    seen: set[int] = set()
    todo: list[tuple[str, Any]] = [("", root)]
    while todo:
        path, thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType):
            continue
        seen.add(id(thing))
        if isinstance(thing, dict | list | set | frozenset | deque | tuple):
            found[path] = len(thing)
            continue
        if not type(thing).__module__.startswith(PACKAGES):
            continue
        names = getattr(thing, "__slots__", ()) or vars(thing)
        todo += [(f"{path}.{name}", getattr(thing, name)) for name in names if hasattr(thing, name)]
    return found


def check_bounds(world: "World", machine: "Machine") -> None:
    if machine.node is None:
        return
    for part in machine.node.parts.parts:
        for path, entries in sizes(part).items():
            if entries > ENTRIES:
                world.fail(f"{machine.name}: {type(part).__name__}{path} has {entries} entries")
