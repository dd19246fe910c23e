"""docs/protocol.md says what the code does: every layout, every domain tag, every number and every parameter."""

import json
import re
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from chain import codec, fees, rounds, state
from chain.block import ROUND_INPUTS
from chain.codec import Wire
from chain.genesis import Params
from chain.receipts import RECEIPTS
from chain.transactions import ACTIONS
from tests.chain.wire_strategies import wire_types
from training.layout import ModelConfig
from training.outer import MOMENTUM_LIMIT_MILLI, RATE_LIMIT_MILLI
from training.robust import LENGTH_EIGHTHS_LIMIT, MEAN, RULE_NAMES
from training.schedule import InnerSpec

ROOT = Path(__file__).parent.parent
PROTOCOL = (ROOT / "docs/protocol.md").read_text()
PACKAGES = ("chain", "consensus", "network", "node", "training", "wallet")
INTEGERS = {1: "u8", 2: "u16", 4: "u32", 8: "u64", 16: "u128"}
CHOICES = {
    "Transaction.action": "action",
    "Body.rounds": "round input",
    "CompactProposal.rounds": "round input",
    "ClaimMessage.claim": "claim",
}


def type_name(field, place: str) -> str:
    """A field's type in the words of section 3."""
    match field:
        case codec.Int(size=size):
            return INTEGERS[size]
        case codec.AddressField():
            return "address"
        case codec.Fixed(size=size):
            return f"bytes{size}"
        case codec.Bool():
            return "bool"
        case codec.Var(maximum=maximum):
            return f"bytes<{maximum}>"
        case codec.Many(item=item, maximum=maximum):
            return f"list<{type_name(item, place)}, {maximum}>"
        case codec.OneOf():
            return f"one {CHOICES[place]}"
        case codec.Nested(kind=kind):
            return kind.__name__
    raise TypeError(field)


def layout_of(kind: type[Wire]) -> list[tuple[str, str]]:
    return [(name, type_name(field, f"{kind.__name__}.{name}")) for name, field in codec._layout(kind)]


def cells(row: str) -> list[str]:
    return [cell.strip().strip("`") for cell in row.strip().strip("|").split("|")]


def table_after(line_start: str, text: str = PROTOCOL) -> list[list[str]]:
    """The rows of the first table after a line that begins so, without its head."""
    lines = text.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(line_start))
    first = next(i for i in range(begin, len(lines)) if lines[i].startswith("|"))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(cells(line))
    return rows


@pytest.mark.parametrize("kind", wire_types(), ids=lambda kind: kind.__name__)
def test_the_layout_of_every_object_is_as_documented(kind):
    documented = [(name, form) for name, form, *_ in table_after(f"**{kind.__name__}**")]
    assert documented == layout_of(kind)


def test_no_layout_is_documented_that_does_not_exist():
    names = re.findall(r"^\*\*(\w+)\*\*.*\n\n\| Field \| Type \|", PROTOCOL, re.MULTILINE)
    assert sorted(names) == sorted(kind.__name__ for kind in wire_types())


def test_sizes_are_as_documented():
    found = re.findall(r"^\*\*(\w+)\*\* \((\d+) bytes\)", PROTOCOL, re.MULTILINE)
    assert len(found) > 15
    by_name = {kind.__name__: kind for kind in wire_types()}
    for name, size in found:
        assert int(size) == fixed_size(by_name[name]), name


def fixed_size(kind: type[Wire]) -> int:
    """Bytes of a type without lists; one that has lists is not given a size."""
    total = 0
    for _, field in codec._layout(kind):
        assert isinstance(field, codec.Int | codec.Fixed | codec.Bool | codec.Nested), kind
        total += fixed_size(field.kind) if isinstance(field, codec.Nested) else getattr(field, "size", 1)
    return total


@pytest.mark.parametrize(
    ("heading", "kinds"),
    [("### Actions", ACTIONS), ("### Round inputs", ROUND_INPUTS), ("### Receipts", RECEIPTS)],
)
def test_type_numbers_are_as_documented(heading, kinds):
    documented = {int(number): name for number, name, *_ in table_after(heading) if name[0].isupper()}
    assert documented == {number: kind.__name__ for number, kind in kinds.items()}


def test_no_type_number_is_used_that_is_reserved():
    reserved = [number for number, name, *_ in table_after("### Actions") if not name[0].isupper()]
    assert reserved
    for entry in reserved:
        first, _, last = entry.partition("–")
        assert not set(range(int(first), int(last or first) + 1)) & ACTIONS.keys()


# ---- Tags

TAG_USES = (
    re.compile(r"""\btagged(?:_hash)?\(\s*["']([a-z0-9-]+)["']"""),
    re.compile(r"""["']neuroshard/([a-z0-9-]+)/1["']"""),
)


@cache
def tags_in_code() -> dict[str, set[str]]:
    """Tag name → packages that use it."""
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for pattern in TAG_USES:
                for name in pattern.findall(path.read_text()):
                    found.setdefault(name, set()).add(package)
    return found


def tags_documented() -> list[str]:
    return [row[0].removeprefix("N/") for row in table_after("## 12. Domain tags")]


def test_every_tag_of_the_code_stands_in_the_table_and_the_other_way_round():
    assert sorted(tags_documented()) == sorted(tags_in_code())


def test_tags_are_listed_once():
    assert len(tags_documented()) == len(set(tags_documented()))


# ---- Numbers and parameters


def test_every_parameter_of_the_ledger_is_documented():
    documented = [row[0] for row in table_after("## 13. Parameters")]
    assert documented == [f"chain.{field.name}" for field in fields(Params)]


def names_in_genesis() -> set[str]:
    """Every parameter of the template, with N for the number of payloads in `outer.N.*`."""
    template = json.loads((ROOT / "genesis.json").read_text())
    groups = [template["parameters"], *template["profiles"].values()]
    return {re.sub(r"^outer\.\d+\.", "outer.N.", name) for group in groups for name in group}


def names_documented() -> list[str]:
    headings = ("## 13. Parameters", "### The model's shape", "### The inner loop")
    outer = ("### The outer step's rule", "### The outer step's rates")
    return [row[0] for heading in (*headings, *outer) for row in table_after(heading)]


def test_the_parameters_of_genesis_and_of_the_document_are_the_same():
    assert sorted(names_documented()) == sorted(names_in_genesis())


def test_the_parameters_of_training_are_documented_in_the_order_of_the_code():
    ledgers = ("round_steps", "segment_steps", "sequences", "length")
    inner = [f"inner.{field.name}" for field in fields(InnerSpec) if field.name not in ledgers]
    assert [row[0] for row in table_after("### The model's shape")] == [f"model.{f.name}" for f in fields(ModelConfig)]
    assert [row[0] for row in table_after("### The inner loop")] == inner


def test_the_limits_of_the_outer_rates_are_as_documented():
    limits = [int(row[1].split(" to ")[-1].replace(",", "")) for row in table_after("### The outer step's rates")]
    assert limits == [RATE_LIMIT_MILLI, MOMENTUM_LIMIT_MILLI]


def test_the_rules_of_the_outer_step_are_as_documented():
    rule, length = table_after("### The outer step's rule")
    documented = [f"{number} {name}" for number, name in enumerate(RULE_NAMES) if number != MEAN]
    assert [part for part in re.findall(r"\d [a-z_]+", rule[1]) if part in documented] == documented
    assert length[1].endswith(f"0 to {LENGTH_EIGHTHS_LIMIT}")


def test_gas_is_as_documented():
    rows = {row[0]: row[1] for row in table_after("### Gas")}
    assert {name: int(value.replace(",", "")) for name, value in rows.items()} == {
        **{kind.__name__: gas for kind, gas in fees.ACTION_GAS.items()},
        "Proof": fees.PROOF_GAS,
    }


def test_phases_are_as_documented():
    documented = {int(row[0]): row[1] for row in table_after("### Phases of a round")}
    assert documented == {number: state.ROUND_PHASES[number] for number in range(rounds.OPENED, rounds.VOID + 1)}
    documented = {int(row[0]): row[1] for row in table_after("### Phases of an audit")}
    assert documented == {n: state.AUDIT_PHASES[n] for n in range(state.OPENING, state.UNCHECKED + 1)}


def test_state_keys_are_as_documented():
    rows = {row[0]: row[1] for row in table_after("## 9. State")}
    assert rows == {
        "a": "Account",
        "n": "NodeRecord",
        "r": "Round",
        "c": "Claim",
        "v": "Vesting",
        "s": "ValidatorSet",
        "l": "Ledger",
        "$": "Supply",
        "b": "Stake",
        "u": "Unbonding",
        "y": "ValidatorKey",
        "k": "Staking",
        "p": "Participation",
        "q": "Audit",
        "o": "AuditQueue",
        "m": "Misses",
        "w": "AuditPay",
        "j": "Held",
        "x": "Suspensions",
        "h": "Storage, Holder",
        "g": "Fragments",
        "d": "Fetched",
        "e": "Served",
    }


def test_the_document_names_no_section_that_it_lacks():
    sections = {int(number) for number in re.findall(r"^## (\d+)\.", PROTOCOL, re.MULTILINE)}
    assert sections == set(range(1, max(sections) + 1))
    for number in re.findall(r"\bsections? (\d+)", PROTOCOL):
        assert int(number) in sections
    for path in [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]:
        for number in re.findall(r"[Ss]ection (\d+) of the protocol", path.read_text()):
            assert int(number) in sections, path
