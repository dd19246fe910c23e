"""Bugs to put into consensus, as `tests.mutations.entries` does with the ledger."""

from tests.mutations.edits import Edit, Mutation


def broken(name: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    """A bug of one edit in consensus/. Tests are as in `broken_by`."""
    return broken_by(name, [Edit(f"consensus/{file}.py", old, new)], *tests)


def broken_by(name: str, edits: list[Edit], *tests: str) -> Mutation:
    """Tests are files of tests/consensus/ without the ending, or one of its tests after a `::`."""
    parts = [each.partition("::") for each in tests]
    return Mutation(name, tuple(edits), tuple(f"tests/consensus/{file}.py{mark}{test}" for file, mark, test in parts))


CONSENSUS = (
    broken(
        "a certificate needs two thirds of the power and no more",
        "committee",
        "return 3 * signed > 2 * committee.total_power",
        "return 3 * signed >= 2 * committee.total_power",
        "test_committee",
    ),
    broken(
        "votes of two thirds of the power make a certificate",
        "counting",
        "if 3 * ballots.power[vote.block_hash] <= 2 * epoch.total_power or",
        "if 3 * ballots.power[vote.block_hash] < 2 * epoch.total_power or",
        "test_pitfalls",
    ),
    broken_by(
        "votes are counted by heads, not by power",
        [
            Edit(
                "consensus/counting.py",
                "with_proven(vote, draft.epoch.committee.members[vote.signer].power)",
                "with_proven(vote, 1)",
            ),
            Edit("consensus/counting.py", "power = draft.epoch.committee.members[vote.signer].power", "power = 1"),
            Edit("consensus/counting.py", "<= 2 * epoch.total_power", "<= 2 * len(epoch.committee.members)"),
        ],
        "test_pitfalls",
    ),
    broken(
        "a certificate counts heads, not power",
        "committee",
        "    signed = sum(committee.members[place].power for place in frozenset(signers))\n"
        "    return 3 * signed > 2 * committee.total_power",
        "    return 3 * len(frozenset(signers)) > 2 * len(committee.members)",
        "test_pitfalls",
    ),
    broken(
        "FINALIZE after NULLIFY",
        "tally",
        "if own.nullified or own.finalized is not None or",
        "if own.finalized is not None or",
        "test_pitfalls",
    ),
    broken(
        "NULLIFY after FINALIZE",
        "views",
        "if own.finalized is None and not own.nullified:",
        "if not own.nullified:",
        "test_epochs",
    ),
    broken(
        "the gap below a block is not looked at",
        "views",
        "    if view >= lowest:\n",
        "    if view >= state.root.view:\n",
        "test_proposals",
    ),
    broken_by(
        "a block stands on one that nobody notarized",
        [
            Edit(
                "consensus/views.py", "state.certified.get(wanted, -1)", "state.certified.get(wanted, state.view - 1)"
            ),
        ],
        "test_proposals",
    ),
    broken_by(
        "two blocks of a view are notarized by one validator",
        [
            Edit(
                "consensus/views.py",
                "if draft.epoch.us is None or draft.own(draft.state.view).votes():",
                "if draft.epoch.us is None:",
            ),
            Edit(
                "consensus/views.py",
                "state.proposing is None or draft.own(state.view).votes():",
                "state.proposing is None:",
            ),
        ],
        "test_epochs",
    ),
    broken(
        "NOTARIZE after NULLIFY",
        "views",
        "event.block_hash != state.judging or draft.own(state.view).votes():",
        "event.block_hash != state.judging or draft.own(state.view).notarized:",
        "test_proposals",
    ),
    broken(
        "the aggregate of a certificate is not checked",
        "certificate",
        "    if not scheme.fast_aggregate_verify(keys, message, certificate.signature):\n",
        "    if not keys or not message:\n",
        "test_certificate",
    ),
    broken(
        "votes make a certificate unchecked",
        "counting",
        "return certificate if draft.scheme.fast_aggregate_verify(keys, message, certificate.signature) else None",
        "return certificate if keys and message else None",
        "test_lazy",
    ),
    broken(
        "a certificate's bitmap may name members that are not there",
        "certificate",
        '    if int.from_bytes(bitmap, "little") >> size:\n',
        '    if int.from_bytes(bitmap, "little") >> 8 * len(bitmap):\n',
        "test_certificate",
    ),
    broken_by(
        "a vote's kind is not signed",
        [Edit("chain/crypto/votes.py", 'kind.to_bytes(1, "big"), epoch', 'b"\\0", epoch')],
        "test_pitfalls",
    ),
    broken_by(
        "NOTARIZE and then NULLIFY is evidence",
        [
            Edit(
                "chain/crypto/votes.py",
                "return {first.kind, second.kind} == {FINALIZE, NULLIFY}",
                "return NULLIFY in (first.kind, second.kind)",
            )
        ],
        "test_evidence",
    ),
    broken(
        "evidence is made of a vote that nobody checked alone",
        "counting",
        "            if _is_true(draft, known):\n                draft.emit(Report",
        "            if known:\n                draft.emit(Report",
        "test_lazy",
    ),
    broken(
        "the first vote in a signer's name stays, forged or not",
        "counting",
        "    if news or _has_rival(draft, vote):\n",
        "    if news:\n",
        "test_lazy",
    ),
    broken(
        "a forged vote shows that its signer is alive",
        "counting",
        "        _certify(draft, vote)\n\n\ndef signed(",
        "        tally.hear(draft, vote.view, [vote.signer])\n        _certify(draft, vote)\n\n\ndef signed(",
        "test_lazy",
    ),
    broken(
        "an honest peer is blamed for what a liar brought",
        "counting",
        "    good = _sift(draft, sorted(waiting, key=lambda each: (each.peers, each.vote.signer)), liars)\n",
        "    good: list[Vote] = []\n    liars = [each.peers[0] for each in waiting]\n",
        "test_lazy",
    ),
    broken(
        "the set changes a block before the epoch's end",
        "tally",
        "    if root.height == draft.epoch.last_height:\n",
        "    if root.height >= draft.epoch.last_height - 1:\n",
        "test_network",
    ),
    broken(
        "a certificate of another epoch is accepted",
        "step",
        "    if message.epoch != draft.epoch.number:\n        return\n",
        "",
        "test_pitfalls",
    ),
    broken(
        "a block may stand on the last one of its epoch",
        "views",
        "    if parent_height == last_height:\n",
        "    if parent_height > last_height:\n",
        "test_epochs",
    ),
    broken(
        "recorded votes are not said again after a crash",
        "views",
        "    recast(draft, state.view)\n    act(draft)\n",
        "    act(draft)\n",
        "test_epochs",
    ),
    broken(
        "a notarization of an earlier view is not kept before FINALIZE",
        "tally",
        "            draft.emit(Keep(certificate))\n",
        "            pass\n",
        "test_step",
    ),
    broken(
        "the certificate that brings us to a view is not kept",
        "tally",
        "if draft.epoch.us is not None and view >= state.view:\n",
        "if False:\n",
        "test_step",
    ),
    broken(
        "a view is finalized without its ancestors",
        "tally",
        "    for each, height in reversed(path):\n",
        "    for each, height in path[:1]:\n",
        "test_step",
    ),
    broken(
        "anyone may propose",
        "counting",
        "    if vote.signer != later_turn(draft.epoch.committee, state.turn, proposal.view - state.view).leader:\n",
        "    if vote.signer >= len(draft.epoch.committee.members):\n",
        "test_proposals",
    ),
    broken(
        "a view is left when its clock runs out, without a certificate",
        "views",
        "    elif event.kind == VIEW or state.view not in state.proposals:\n        give_up(draft)\n",
        "    elif event.kind == VIEW or state.view not in state.proposals:\n"
        "        give_up(draft)\n"
        "        enter(draft, state.view + 1)\n",
        "test_clocks",
    ),
    broken(
        "the clocks never get slower",
        "tally",
        "min(draft.epoch.timing.cap_ms, state.delta_ms * 3 // 2)",
        "min(draft.epoch.timing.cap_ms, state.delta_ms)",
        "test_clocks",
    ),
    broken(
        "a silent leader is waited for every time",
        "views",
        "wait_ms = 0 if draft.is_silent(state.turn.leader) else ",
        "wait_ms = ",
        "test_clocks",
    ),
    broken(
        "a validator takes itself for silent",
        "state",
        "return signer != self.epoch.us and self.state.view",
        "return self.state.view",
        "test_pitfalls",
    ),
)
