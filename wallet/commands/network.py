"""What the network does: status, rounds, proofs, audits."""

from typing import Annotated

from wallet.amounts import neuro
from wallet.answered import Answered
from wallet.commands.parts import Show, facts, one_after_another, percent, table, words
from wallet.kinds import COUNT, Count, Node, Round
from wallet.registry import Answer, command
from wallet.session import Session

PAGE = 100  # what a node gives at once
SHORT = 16  # digits of an id that tell it from others at a glance


@command("status", "How the network and the node are.", group="network", examples=("status",))
def status(session: Session) -> Answer:
    found = session.client.get("/v1/status")
    rows = [
        ("node", session.api),
        ("chain", found.hexadecimal("chain_id", 32).hex()),
        ("phase", found.text("phase")),
        ("height", f"{found.whole('height'):,}"),
        ("epoch", f"{found.whole('epoch'):,}"),
        ("minted", neuro(found.nanos("minted_nanos"))),
        ("burned", neuro(found.nanos("burned_nanos"))),
        ("circulating", neuro(found.nanos("circulating_nanos"))),
        ("bonded", neuro(found.nanos("total_bonded_nanos"))),
        ("validators", f"{found.whole('validators'):,}"),
        ("peers", f"{found.whole('peers'):,}"),
        ("waiting", f"{found.whole('waiting_transactions'):,} transactions"),
        ("loss", _loss(found, "validation_loss")),
        ("trained on", f"{found.whole('tokens_trained'):,} tokens"),
    ]
    return Answer(dict(found.raw), facts(rows, found.text("round_line")))


@command("rounds", "The newest rounds, or one of them.", group="network", examples=("rounds", "rounds 12"))
def rounds(
    session: Session,
    number: Annotated[Round | None, "the number of the one to show"] = None,
    *,
    limit: Annotated[Count, COUNT, "how many of the newest, at most 100"] = 10,
) -> Answer:
    if number is not None:
        found = session.client.get(f"/v1/rounds/{number}")
        return Answer(dict(found.raw), one_after_another(facts(_round_facts(found)), words(""), _round_nodes(found)))
    page = session.client.get("/v1/rounds", {"limit": min(limit, PAGE)})
    head = ("round", "phase", "nodes", "committed", "counted", "loss before", "after", "ended at")
    rows = [_round_row(each) for each in page.objects("rounds")]
    right = ("round", "nodes", "committed", "counted", "loss before", "after", "ended at")
    return Answer(dict(page.raw), table(head, rows, empty="There is no round yet.", right=right))


def _or_dash(value: object) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _loss(found: Answered, name: str) -> str:
    """Four digits behind the point; a dash where it has not been measured."""
    loss = found.maybe(name, found.decimal)
    return "-" if loss is None else f"{float(loss):.4f}"


def _round_row(each: Answered) -> tuple[str, ...]:
    counted = sum(payload.maybe("counted", payload.truth) or False for payload in each.objects("payloads"))
    return (
        str(each.whole("round")),
        each.text("phase"),
        _or_dash(each.maybe("participants", each.whole)),
        _or_dash(each.maybe("committed", each.whole)),
        str(counted),
        _loss(each, "loss_before"),
        _loss(each, "validation_loss"),
        _or_dash(each.maybe("ended_height", each.whole)),
    )


def _round_facts(found: Answered) -> list[tuple[str, str]]:
    rows = [("round", str(found.whole("round"))), ("phase", found.text("phase"))]
    numbers = {
        "opened_height": "opened at block",
        "ended_height": "ended at block",
        "deadline_height": "phase ends by block",
        "seconds_left": "which is in seconds",
        "participants": "nodes",
        "committed": "committed",
        "tokens": "tokens",
    }
    rows += [(words, f"{found.whole(name):,}") for name, words in numbers.items() if found.has(name)]
    losses = {"loss_before": "loss before", "validation_loss": "loss after", "loss_change": "change"}
    rows += [(words, _loss(found, name)) for name, words in losses.items() if found.has(name)]
    if found.has("outcome"):
        rows.append(("model", found.object("outcome").hexadecimal("model_root", 32).hex()))
    return rows


def _round_nodes(found: Answered) -> Show:
    weights = {
        payload.hexadecimal("node", 32): payload.maybe("weight_ppm", payload.whole)
        for payload in found.objects("payloads")
    }
    rows = []
    for each in found.objects("nodes"):
        node, weight = each.hexadecimal("node", 32), weights.get(each.hexadecimal("node", 32))
        done = "revealed" if each.truth("revealed") else "committed" if each.truth("committed") else "training"
        share = "-" if weight is None else f"{weight / 10_000:.2f} %"
        segments = f"{each.whole('segments')}/{found.whole('segments')}"
        rows.append((node.hex()[:SHORT], segments, done, share, each.maybe("audit", each.text) or "-"))
    head = ("node", "segments", "has", "weight", "audit")
    return table(head, rows, empty="No node has proven work in it.", right=("segments", "weight"))


@command(
    "proof",
    "What a node claimed in a round, what was checked and by whom, in plain words.",
    group="network",
    examples=("proof 12 5f3a9c01",),
)
def proof(session: Session, number: Round, node: Node) -> Answer:
    found = session.client.get(f"/v1/rounds/{number}/proofs/{node}")
    statements = [(each.text("kind"), each.text("text")) for each in found.objects("statements")]
    head = f"Round {found.whole('round')}, node {found.hexadecimal('node', 32).hex()}"
    return Answer(
        dict(found.raw), one_after_another(words(head, found.text("headline"), ""), facts(_without_repeats(statements)))
    )


def _without_repeats(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A name is written once for all that follow it."""
    return [(kind if not i or rows[i - 1][0] != kind else "", text) for i, (kind, text) in enumerate(rows)]


@command("audit", "The audits that are open, or all of one round.", group="network", examples=("audit", "audit 12"))
def audit(
    session: Session,
    number: Annotated[Round | None, "the round whose audits are listed"] = None,
    *,
    limit: Annotated[Count, COUNT, "how many at most"] = 100,
) -> Answer:
    audits = pages(session, "/v1/audits", "audits", limit, {"round": number})
    rows = [
        (
            str(each.whole("round")),
            each.hexadecimal("node", 32).hex()[:SHORT],
            str(each.whole("segment")),
            each.text("phase"),
            str(each.whole("attempt")),
            str(each.whole("drawn_height")),
            _or_dash(each.maybe("deadline_height", each.whole)),
        )
        for each in audits
    ]
    head = ("round", "node", "segment", "state", "attempt", "drawn at", "until")
    empty = "No audit is open." if number is None else f"Round {number} has no audits."
    return Answer(
        {"audits": [dict(each.raw) for each in audits]},
        table(head, rows, empty=empty, right=("round", "segment", "attempt", "drawn at", "until")),
    )


@command("validators", "The validator set: who votes with which share.", group="network", examples=("validators",))
def validators(session: Session, *, limit: Annotated[Count, COUNT, "how many at most"] = 50) -> Answer:
    found = pages(session, "/v1/validators", "validators", limit, {})
    counted = session.client.get("/v1/validators", {"limit": 1}).whole("counted")
    rows = []
    for each in found:
        wallet = each.maybe("wallet", each.address)
        standing = "banned" if each.truth("banned") else "jailed" if each.has("jailed_until_epoch") else "votes"
        rows.append(
            (
                str(each.whole("place")),
                "a founder" if wallet is None else session.called(wallet),
                percent(each.whole("share_basis_points")),
                neuro(each.nanos("real_power_nanos")),
                standing,
                f"{each.whole('signed')}/{counted}",
            )
        )
    head = ("place", "wallet", "share", "stake", "state", "signed")
    return Answer(
        {"validators": [dict(each.raw) for each in found]},
        table(head, rows, right=("place", "share", "stake", "signed")),
    )


def pages(session: Session, path: str, name: str, limit: int, query: dict[str, int | str | None]) -> list[Answered]:
    """The first entries of a list, page by page."""
    found: list[Answered] = []
    cursor: str | None = None
    while len(found) < limit:
        page = session.client.get(path, {**query, "limit": min(PAGE, limit - len(found)), "cursor": cursor})
        entries = page.objects(name)
        found += entries
        cursor = page.maybe("next_cursor", page.text)
        # A page may be empty and have a next one, but a node must not lead us on for ever.
        if cursor is None or not entries:
            break
    return found[:limit]
