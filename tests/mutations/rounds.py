"""Bugs in the rules of the rounds: whom a round awaits, seats, attestations, payloads."""

from tests.mutations.edits import Edit, Mutation


def mutation(name: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    """A bug of one edit in chain/. Tests stand in tests/chain/."""
    paths = tuple(f"tests/chain/{test}" for test in tests)
    return Mutation(name, (Edit(f"chain/{file}", old, new),), paths)


ROUNDS = (
    mutation(
        "two thirds of the power are enough to close a round",
        "attestations.py",
        "3 * tally.power > 2 * total",
        "3 * tally.power >= 2 * total",
        "test_attestations.py::test_a_subject_is_agreed_on_by_more_than_two_thirds_of_the_power",
    ),
    Mutation(
        "a round counts heads, not stake",
        (
            Edit(
                "chain/attestations.py",
                "total = state.validators(poll.set_epoch).power",
                "total = len(state.validators(poll.set_epoch).members)",
            ),
            Edit("chain/attestations.py", "power, chosen = members[validator].power,", "power, chosen = 1,"),
        ),
        ("tests/chain/test_attestations.py",),
    ),
    mutation(
        "a validator votes as often as it likes",
        "attestations.py",
        "    if has_voted(poll, validator):\n",
        "    if has_voted(poll, validator) and not subjects:\n",
        "test_attestations.py::test_each_member_votes_once",
    ),
    mutation(
        "two thirds of the awaited work hurry a round",
        "awaited.py",
        "3 * awaited.arrived_work <= 2 * awaited.work",
        "3 * awaited.arrived_work < 2 * awaited.work",
        "test_awaited.py::test_more_than_two_thirds_of_the_work_bring_the_deadline_nearer_and_exactly_two_thirds_do_not",
    ),
    mutation(
        "a quorum of names hurries a round",
        "awaited.py",
        "3 * awaited.arrived_work <= 2 * awaited.work",
        "3 * awaited.arrived <= 2 * awaited.nodes",
        "test_awaited.py::test_names_without_work_do_not_hurry_a_round",
        "test_awaited.py::test_a_thousand_idle_names_stall_one_round_by_its_grace_and_no_other",
    ),
    mutation(
        "a later commit pushes the grace out",
        "awaited.py",
        "    if awaited.quorum_height or not awaited.work",
        "    if awaited.quorum_height == height or not awaited.work",
        "test_awaited.py::test_once_set_the_grace_stays",
    ),
    mutation(
        "the grace may go beyond the deadline",
        "awaited.py",
        "deadline = min(current.deadline_height, height + ",
        "deadline = max(current.deadline_height, height + ",
        "test_awaited.py::test_the_rest_get_half_of_the_time_so_far_and_a_minimum",
        "test_awaited.py::test_the_deadline_is_never_pushed_out",
    ),
    mutation(
        "a node that is gone is awaited for ever",
        "awaited.py",
        "    if recent:\n        return _awaited(RECENT",
        "    if recent and len(recent) == ledger.nodes:\n        return _awaited(RECENT",
        "test_awaited.py::test_a_node_that_did_not_commit_is_not_awaited_in_the_next_round",
    ),
    mutation(
        "a retired node is awaited",
        "awaited.py",
        "replace(awaited, nodes=awaited.nodes - 1, work=awaited.work - record.committed_segments)",
        "replace(awaited, work=awaited.work - record.committed_segments)",
        "test_awaited.py::test_a_retired_node_is_not_waited_for",
    ),
    mutation(
        "newcomers are not awaited",
        "awaited.py",
        "len(recent) + ledger.arrivals",
        "len(recent)",
        "test_awaited.py::test_a_newcomer_is_awaited_in_its_first_round_and_not_again_if_it_did_nothing",
    ),
    mutation(
        "who missed a round is never awaited again",
        "awaited.py",
        "is_just_enough and _may_come_back(",
        "not segments and _may_come_back(",
        "test_coming_back.py::test_a_slightly_slower_node_that_missed_a_round_commits_in_the_next_and_is_awaited_again",
    ),
    mutation(
        "the old work of who comes back counts",
        "awaited.py",
        "awaited = replace(current.awaited, nodes=current.awaited.nodes + 1)",
        "awaited = replace(current.awaited, nodes=current.awaited.nodes + 1, work=current.awaited.work + 4)",
        "test_coming_back.py::test_who_comes_back_weighs_nothing_whatever_it_did_before",
    ),
    mutation(
        "newcomers draw for all seats",
        "seats.py",
        "theirs = min(params.seats // 4, newcomers)",
        "theirs = min(params.seats * 3 // 4, newcomers)",
        "test_seats.py::test_each_kind_draws_for_its_own_seats",
    ),
    mutation(
        "the seats of newcomers are not counted",
        "seats.py",
        "    return (taken if newcomer else len(current.committed) - taken) < seats\n",
        "    return len(current.committed) < params.seats and seats >= 0\n",
        "test_seats.py::test_never_more_than_the_seats_nor_than_a_quarter_of_newcomers_commit_and_both_limits_are_reached",
    ),
    mutation(
        "a payload that was never counted makes a veteran",
        "rounds.py",
        "note_counted(state, [revealed.node for revealed in counted(state, after)])",
        "note_counted(state, after.committed)",
        "test_seats.py::test_a_node_is_a_newcomer_until_a_payload_of_its_was_counted_in_a_round_that_closed",
    ),
    mutation(
        "a copied payload is taken",
        "round_inputs.py",
        "if any(revealed.payload_root == item.payload_root for revealed in current.revealed):",
        "if any(revealed.payload_root == item.salt for revealed in current.revealed):",
        "test_rounds.py::test_a_payload_that_another_node_has_revealed_is_refused_and_that_round_goes_on_without_it",
    ),
    mutation(
        "a round without a result waits on",
        "rounds.py",
        "return replace(current, phase=VOID) if late else None",
        "return replace(current, phase=VOID) if late and current.outcomes else None",
        "test_rounds.py::test_a_round_whose_result_nobody_signs_is_void_at_its_deadline",
        "test_attestations.py::test_a_round_ends_within_the_sum_of_its_deadlines_whatever_anybody_does",
    ),
)
