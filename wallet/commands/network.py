"""What the network does: status, rounds."""

from typing import Annotated

from wallet.amounts import neuro
from wallet.answered import Answered
from wallet.commands.parts import facts, table
from wallet.kinds import COUNT, Count, Round
from wallet.registry import Answer, command
from wallet.session import Session


@command("status", "How the network and the node are.", group="network", examples=("status",))
def status(session: Session) -> Answer:
    found = session.client.get("/v1/status")
    rows = [
        ("node", session.api),
        ("chain", found.hexadecimal("chain_id", 32).hex()),
        ("phase", found.text("phase")),
        ("height", f"{found.whole('height'):,}"),
        ("minted", neuro(found.nanos("minted_nanos"))),
        ("burned", neuro(found.nanos("burned_nanos"))),
        ("circulating", neuro(found.nanos("circulating_nanos"))),
        ("bonded", neuro(found.nanos("total_bonded_nanos"))),
        ("validators", f"{found.whole('validators'):,}"),
        ("peers", f"{found.whole('peers'):,}"),
        ("waiting", f"{found.whole('waiting_transactions'):,} transactions"),
    ]
    return Answer(dict(found.raw), facts(rows, found.text("round_line")))


@command("rounds", "The newest rounds, or one of them.", group="network", examples=("rounds", "rounds 12"))
def rounds(
    session: Session,
    number: Annotated[Round | None, "show this one"] = None,
    *,
    limit: Annotated[Count, COUNT, "how many of the newest"] = 10,
) -> Answer:
    if number is not None:
        found = session.client.get(f"/v1/rounds/{number}")
        return Answer(dict(found.raw), facts(_round_facts(found)))
    page = session.client.get("/v1/rounds", {"limit": min(limit, 100)})
    head = ("round", "phase", "nodes", "loss")
    return Answer(dict(page.raw), table(head, map(_row, page.objects("rounds")), right="round nodes loss"))


def _row(each: Answered) -> tuple[str, ...]:
    return (str(each.whole("round")), each.text("phase"), "", "")


def _round_facts(found: Answered) -> list[tuple[str, str]]:
    return [("round", str(found.whole("round"))), ("phase", found.text("phase"))]
