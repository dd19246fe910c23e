"""docs/network.md says what nodes exchange: every layout and every kind of message, with its limits."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import node
from chain.codec import Wire
from network.kinds import KIB, KINDS, MIB
from tests.test_docs_protocol import fixed_size, layout_of, table_after

TEXT = (Path(__file__).parent.parent / "docs/network.md").read_text()
MODULES = ("standing", "relay_messages", "blob_messages", "sync_messages", "corpus_messages")
PRIORITIES = ("consensus", "blocks", "evidence", "sync", "transactions", "exchange")


def wire_types() -> list[type[Wire]]:
    """What the modules of messages define, and what of the others travels inside."""
    found = {}
    for module in pkgutil.iter_modules(node.__path__, "node."):
        if module.name.removeprefix("node.") in (*MODULES, "set_chain"):
            for each in vars(importlib.import_module(module.name)).values():
                if isinstance(each, type) and issubclass(each, Wire) and each.__module__ == module.name:
                    found[each.__name__] = each
    return [found[name] for name in sorted(found)]


@pytest.mark.parametrize("kind", wire_types(), ids=lambda kind: kind.__name__)
def test_the_layout_of_every_message_is_as_documented(kind):
    documented = [(name, form) for name, form, *_ in table_after(f"**{kind.__name__}**", TEXT)]
    assert documented == layout_of(kind)


def test_no_layout_is_documented_that_does_not_exist():
    names = re.findall(r"^\*\*(\w+)\*\*.*\n\n\| Field \| Type \|", TEXT, re.MULTILINE)
    assert sorted(set(names) - {"Addresses"}) == [kind.__name__ for kind in wire_types()]


def test_sizes_are_as_documented():
    by_name = {kind.__name__: kind for kind in wire_types()}
    found = re.findall(r"^\*\*(\w+)\*\* \((\d+) bytes\)", TEXT, re.MULTILINE)
    sizes = {name: int(size) for name, size in found if name in by_name}
    assert len(sizes) >= 6
    assert sizes == {name: fixed_size(by_name[name]) for name in sizes}


def bytes_of(text: str) -> int:
    """A size in words, such as `1 MiB + 1 KiB`."""
    units = {"B": 1, "KiB": KIB, "MiB": MIB}
    parts = (part.split() for part in text.split(" + "))
    return sum(int(number.replace(",", "")) * units[unit] for number, unit in parts)


def test_every_kind_of_message_stands_in_the_table_with_its_limits():
    documented = {}
    for number, name, priority, largest, rate, volume in table_after("| Number | Kind |", TEXT):
        limits = bytes_of(largest), int(rate.replace(",", "")), bytes_of(volume)
        documented[int(number)] = (name, PRIORITIES.index(priority), *limits)
    assert documented == {
        kind.number: (kind.name, kind.priority, kind.bytes_maximum, kind.per_minute, kind.bytes_per_minute)
        for kind in KINDS.values()
    }
