"""Does the simulator bite? Known bugs, put into the running code one at a time, and what of the simulator catches each.

    python -m tests.simulator.bugs            # all; status 1 if one is not caught
    python -m tests.simulator.bugs gap heads  # those with one of these words in their name

A bug is a change of a function's text, in its place, so that all that call it get it. Each is looked for in scenarios
that it matters in, seed by seed, or in twins scenarios.
"""

import argparse
import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from random import Random
from types import FunctionType
from typing import Any

from tests.simulator.scenario import generate, with_settings
from tests.simulator.twins import Twins, play, scheduled
from tests.simulator.world import simulate

QUIET = (
    "stakers=0 observers=0 trainers=0 adversary= latency_ms=20 jitter_ms=20 resend=0 lose=0 double=0 reorder=0 "
    "bytes_per_ms=0 crash_ms=0 blackout_ms=0 power_cut_ms=0 partition_ms=0 disconnect_ms=0 skew_ms=0 "
    "transaction_ms=800 epoch_blocks=5 chaos_ms=15000"
)
TRIES, TWINS = 40, 1_500  # seeds or scenarios in which a bug must show


@dataclass(frozen=True, slots=True)
class Edit:
    """In the function at `place` (module:name or module:Class.name), replace a text that stands there once."""

    place: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Bug:
    """`settings`: of the scenarios, beside a quiet one; None: it is looked for by twins. `first`: where that begins."""

    name: str
    edits: tuple[Edit, ...]
    settings: str | None
    first: int = 1

    def scenario_words(self) -> list[str]:
        words = dict(word.split("=", 1) for word in f"{QUIET} founders=4 {self.settings}".split())
        return [f"{name}={value}" for name, value in words.items()]


BUGS = (
    Bug(
        "a quorum is two thirds, not more",
        (
            Edit("consensus.counting:_certify", "<= 2 * epoch.total_power", "< 2 * epoch.total_power"),
            Edit("consensus.committee:is_quorum", "3 * signed > 2", "3 * signed >= 2"),
        ),
        "founders=3 crash_ms=2000",
    ),
    Bug(
        "heads are counted, not stake",
        (
            Edit(
                "consensus.counting:_certify",
                "3 * ballots.power[vote.block_hash] <= 2 * epoch.total_power",
                "3 * len([*ballots.proven, *ballots.unproven]) <= 2 * len(epoch.committee.members)",
            ),
            Edit(
                "consensus.committee:is_quorum",
                "return 3 * signed > 2 * committee.total_power",
                "return 3 * len(frozenset(signers)) > 2 * len(committee.members)",
            ),
        ),
        "stakers=2 crash_ms=3000",
    ),
    Bug(
        "FINALIZE after NULLIFY, in the core",
        (Edit("consensus.tally:_vote_to_finalize", "own.nullified or ", ""),),
        None,
        80,
    ),
    Bug(
        "FINALIZE after NULLIFY, in the core and in the record of votes",
        (
            Edit("consensus.tally:_vote_to_finalize", "own.nullified or ", ""),
            Edit("node.sign_state:SignState._permit", "(record.kind == FINALIZE and own.nullified) or ", ""),
        ),
        "jitter_ms=400 partition_ms=2000 reorder=1",
    ),
    Bug(
        "the gap rule is not checked",
        (Edit("consensus.views:find_parent", "if view >= lowest", "if view >= 0"),),
        None,
        130,
    ),
    Bug(
        "a second NOTARIZE in one view",
        (
            Edit("consensus.counting:receive_proposal", "if proposal.view in state.proposals:", "if False:"),
            Edit("consensus.counting:receive_proposal", "known is None or known.block_hash == vote", "vote"),
            Edit("consensus.views:act", " or draft.own(draft.state.view).votes()", ""),
            Edit("consensus.views:judged", " or draft.own(state.view).votes()", ""),
            Edit("consensus.views:judge", " or state.judging is not None", ""),
        ),
        None,
        420,
    ),
    Bug(
        "a vote leaves before it is synced",
        (Edit("node.sign_state:SignState._append", "os.fdatasync(self._file)", "pass"),),
        "crash_ms=1500 jitter_ms=400",
    ),
    Bug(
        "votes are not restored after a crash",
        (Edit("node.sign_state:SignState._remember", "self._own[record.epoch, record.view] = own", "own"),),
        "crash_ms=1500 jitter_ms=400",
    ),
    Bug(
        "the core does not learn its votes after a crash",
        (Edit("consensus.step:start", "(own or {}).items()", "{}.items()"),),
        "crash_ms=1500 jitter_ms=400",
    ),
    Bug(
        "a final block is acknowledged before it is synced",
        (Edit("tests.simulator.disk:Disk.write", "is_lazy = not self.syncs_records", "is_lazy = True"),),
        "crash_ms=2000",
    ),
    Bug(
        "a block is not held before it is voted for",
        (Edit("node.ledger_view:LedgerView.hold", "self.store.hold(self.block(block_hash))", "pass"),),
        "founders=1 crash_ms=1000 power_cut_ms=1000",
    ),
    Bug(
        "a notarization is not kept before FINALIZE",
        (Edit("node.ledger_view:LedgerView.keep", "self.store.keep(certificate)", "pass"),),
        "adversary=withholder blackout_ms=8000 chaos_ms=30000 latency_ms=60 jitter_ms=400",
        12,
    ),
    Bug(
        "the set of the epoch before is used",
        (
            Edit(
                "node.epochs:epoch_at_tip",
                "committee_of(view.state(), number)",
                "committee_of(view.state(), max(0, number - 1))",
            ),
        ),
        "stakers=2",
    ),
    Bug(
        "blocks are not judged",
        (Edit("chain.transition:apply_block", "if found != expected:", "if found is None:"),),
        "adversary=forger",
    ),
    Bug(
        "the parent's certificate is not checked",
        (Edit("node.judging:Judging._is_valid", "self._check_parent(block, committee, known)", "pass"),),
        "adversary=forger",
    ),
    Bug(
        "a block from the future is not waited for",
        (Edit("node.judging:Judging.judge", "if wait_ms > 0:", "if wait_ms > 1 << 60:"),),
        "adversary=clock_skew",
    ),
    Bug(
        "a certificate is believed",
        (
            Edit(
                "consensus.tally:receive_certificate",
                "verify_certificate(certificate, draft.epoch.committee, draft.epoch.chain_id, draft.scheme)",
                "pass",
            ),
        ),
        "adversary=forger",
    ),
    Bug(
        "votes are believed",
        (Edit("consensus.counting:_joined", "certificate if draft.scheme", "certificate if True or draft.scheme"),),
        "adversary=mutator chaos_ms=20000",
    ),
    Bug(
        "messages of other epochs are counted",
        (
            Edit("consensus.step:_receive", "message.epoch != draft.epoch.number", "message.epoch < 0"),
            Edit("node.replica:Replica._receive", "if message.epoch < number:", "if message.epoch < 0:"),
            Edit("node.replica:Replica._receive", "elif message.epoch == number and", "elif"),
        ),
        "jitter_ms=400 reorder=1",
    ),
    Bug(
        "a vote for a block and then to give it up is taken for a crime",
        (Edit("chain.crypto.votes:statements_conflict", "== {FINALIZE, NULLIFY}", ">= {NULLIFY}"),),
        "partition_ms=2000 jitter_ms=400",
    ),
    Bug(
        "nothing is said again",
        (Edit("consensus.views:timer_fired", "say_again(draft)", "pass"),),
        "founders=3 lose=300",
        2,
    ),
    Bug(
        "the last block of an epoch is not proposed again",
        (Edit("consensus.views:lead", "draft.cast(NOTARIZE, state.view, parent_hash)", "pass"),),
        "founders=3 lose=150 epoch_blocks=4 chaos_ms=60000",
        8,
    ),
    Bug(
        "who comes back does not show the finalization it stands on",
        (Edit("consensus.step:start", "state.final = final", "pass"),),
        "crash_ms=2500 blackout_ms=9000 adversary=withholder chaos_ms=30000 latency_ms=5",
        3,
    ),
)


@contextmanager
def injected(bug: Bug) -> Iterator[None]:
    """Within, the bug is in the code."""
    functions: dict[str, Any] = {edit.place: _function(edit.place) for edit in bug.edits}
    before = {place: function.__code__ for place, function in functions.items()}
    try:
        for place, function in functions.items():
            edits = [edit for edit in bug.edits if edit.place == place]
            function.__code__ = _edited(function, edits)
        yield
    finally:
        for place, function in functions.items():
            function.__code__ = before[place]


def _function(place: str) -> FunctionType:
    module, _, path = place.partition(":")
    found: Any = import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    assert isinstance(found, FunctionType), place
    return found


def _edited(function: FunctionType, edits: list[Edit]) -> Any:
    text = textwrap.dedent(inspect.getsource(function))
    for edit in edits:
        found = text.count(edit.old)
        if found != 1:
            raise SystemExit(f"{edit.place}: the text to change stands there {found} times, 1 is wanted:\n{edit.old}")
        text = text.replace(edit.old, edit.new)
    names: dict[str, Any] = {}
    exec(compile(text, f"<{function.__name__} with a bug>", "exec"), function.__globals__, names)
    return names[function.__name__].__code__


def catch(bug: Bug) -> str:
    """What caught the bug: the seed or the twins scenario, and what it saw. Empty: nothing did."""
    with injected(bug):
        if bug.settings is None:
            return _by_twins(bug.first)
        for seed in range(bug.first, bug.first + TRIES):
            scenario = with_settings(generate(seed), bug.scenario_words())
            failure = simulate(scenario).failure
            if failure:
                return f"seed {seed}: {failure}"
    return ""


def _by_twins(first: int) -> str:
    with scheduled():
        for place in range(first, first + TWINS):
            broken, _, _ = play(Twins.draw(Random(f"twins 1 {place}")))
            if broken:
                return f"twins {place}: {broken}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    words = parser.parse_args().words
    missed = 0
    print("| injected bug | in | caught by |\n|---|---|---|")
    for bug in BUGS:
        if not words or any(word in bug.name for word in words):
            caught = catch(bug)
            missed += not caught
            places = ", ".join(dict.fromkeys(f"`{edit.place}`" for edit in bug.edits))
            print(f"| {bug.name} | {places} | {caught[:110] or '**nothing**'} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
