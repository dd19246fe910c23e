"""Hypothesis strategies for every wire type, read from the codec's own layouts."""

import importlib
import pkgutil
from typing import Any

from hypothesis import strategies as st

import chain
import consensus
from chain import codec
from chain.codec import Wire


def wire_types() -> list[type[Wire]]:
    """Every wire type of the ledger and of consensus, by name."""
    found = []
    for package in (chain, consensus):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            if not module.ispkg:
                members = vars(importlib.import_module(module.name)).values()
                found += [m for m in members if isinstance(m, type) and issubclass(m, Wire) and m is not Wire]
    return sorted(set(found), key=lambda kind: (kind.__module__, kind.__name__))


def values_of(field: Any) -> st.SearchStrategy[Any]:
    match field:
        case codec.Int(size=size):
            top = 256**size - 1
            return st.one_of(st.integers(0, top), st.sampled_from([0, 1, top // 2, top]))
        case codec.AddressField():
            return st.binary(min_size=20, max_size=20).map(lambda rest: b"\x00" + rest)
        case codec.Fixed(size=size):
            return st.binary(min_size=size, max_size=size)
        case codec.Bool():
            return st.booleans()
        case codec.Var(maximum=maximum):
            return st.binary(max_size=min(maximum, 20))
        case codec.Many(item=item, maximum=maximum):
            return st.lists(values_of(item), max_size=min(maximum, 3)).map(tuple)
        case codec.OneOf(kinds=kinds):
            return st.one_of([objects_of(kind) for kind in kinds.values()])
        case codec.Nested(kind=kind):
            return objects_of(kind)
    raise TypeError(f"no strategy for {field!r}")


def objects_of(kind: type[Wire]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: values_of(field) for name, field in codec._layout(kind)})
