"""Money: what there is, where to send it, and sending it."""

from typing import TYPE_CHECKING, Annotated

from chain.address import to_text
from chain.transactions import PAYMENTS_MAXIMUM, MultiTransfer, Payment, Transfer
from wallet.amounts import neuro
from wallet.answered import Answered
from wallet.commands.parts import Show, facts, one_after_another, table, words
from wallet.errors import BadValue, CommandError
from wallet.kinds import ACCOUNT, AMOUNT, PAYEE, AmountOrAll, Candidate, Everything, Kind, Payee
from wallet.registry import SEVERAL, Answer, command
from wallet.session import Seen, Session
from wallet.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from wallet.sending import Payer


UNITS = ((86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))  # in milliseconds


class PaymentKind(Kind[Payment]):
    metavar = "PAYEE=AMOUNT"
    meaning = "who gets how much"
    role = "address"

    def parse(self, text: str, session: Session) -> Payment:
        payee, is_there, amount = text.rpartition("=")
        if not is_there:
            raise BadValue(f"{text[:40]!r}: write PAYEE=AMOUNT, such as alice=1.5")
        return Payment(PAYEE.parse(payee, session).address, AMOUNT.parse(amount, session))

    def complete(self, prefix: str, session: Session) -> "Iterable[Candidate]":
        return (Candidate(f"{each.text}=", each.meaning) for each in PAYEE.complete(prefix, session))


PAYMENT = PaymentKind()


@command("balance", "What your accounts, or anybody, own.", group="money", examples=("balance", "balance alice"))
def balance(session: Session, payee: Annotated[Payee | None, "whose; without it, all of yours"] = None) -> Answer:
    if payee is not None:
        found = session.account_answer(payee.address)
        return Answer(_kept(found), facts(_lines(found, session.seen)))
    accounts = session.accounts() or (session.account(),)
    answers = [session.account_answer(each.address) for each in accounts]
    session.seen.balance_nanos = answers[0].nanos("balance_nanos")
    content = {"accounts": [{"label": own.label, **_kept(each)} for own, each in zip(accounts, answers, strict=True)]}
    if len(accounts) == 1:
        return Answer(content, facts(_lines(answers[0], session.seen)))
    head = ("account", "balance", "vesting", "bonded", "address")
    rows = [
        (
            own.label,
            neuro(each.nanos("balance_nanos")),
            neuro(each.nanos("vesting_nanos")),
            neuro(each.object("stake").nanos("bonded_nanos")),
            own.address_text,
        )
        for own, each in zip(accounts, answers, strict=True)
    ]
    total = sum(each.nanos("balance_nanos") for each in answers)
    return Answer(content, table(head, rows, f"In all {neuro(total)}", right=("balance", "vesting", "bonded")))


def _in_time(round_number: int, seen: Seen) -> str:
    """How long it takes until a round has ended, if rounds go on as they did."""
    if seen.round_ms is None or seen.round is None or round_number < seen.round:
        return ""
    left_ms = (round_number - seen.round + 1) * seen.round_ms
    size, unit = next((each for each in UNITS if left_ms >= 2 * each[0]), UNITS[-1])
    return f", in about {max(1, left_ms // size)} {unit}"


def _kept(found: Answered) -> dict[str, object]:
    """The answer without its proofs, which `neuroshard light` looks at."""
    stake = {name: value for name, value in dict(found.object("stake").raw).items() if name != "proof"}
    return {name: value for name, value in found.raw.items() if name not in ("proof", "stake")} | {"stake": stake}


def _lines(found: Answered, seen: Seen) -> list[tuple[str, str]]:
    stake = found.object("stake")
    rows = [("address", to_text(found.address("address"))), ("balance", neuro(found.nanos("balance_nanos")))]
    rows += [("vesting", neuro(found.nanos("vesting_nanos")))]
    if found.has("vesting"):
        for each in found.objects("vesting"):
            amount, after = neuro(each.nanos("amount_nanos")), each.whole("releases_after_round")
            rows.append(
                ("", f"{amount} of round {each.whole('round')}, free after round {after}{_in_time(after, seen)}")
            )
    if bonded := stake.nanos("bonded_nanos"):
        rows.append(("bonded", neuro(bonded)))
    for each in stake.objects("unbonding"):
        rows.append(("unbonding", f"{neuro(each.nanos('amount_nanos'))}, ready in epoch {each.whole('ready_epoch')}"))
    if found.has("earned_nanos"):
        rows.append(("earned", neuro(found.nanos("earned_nanos"))))
    waiting = len(found.texts("waiting")) if found.has("waiting") else 0
    if waiting:
        rows.append(("waiting", f"{waiting} transactions of yours: `pending` shows them"))
    return [*rows, ("height", f"{found.whole('height'):,}")]


@command(
    "receive",
    "Your address, also as a QR code.",
    group="money",
    examples=("receive", "receive --account savings"),
)
def receive(
    session: Session,
    *,
    account: Annotated[int | None, ACCOUNT, "which of your accounts; the first if not given"] = None,
) -> Answer:
    own = session.account(account)
    shows = [words(f"{own.label}: {own.address_text}", ""), _qr(own.address_text)]
    return Answer({"label": own.label, "address": own.address_text}, one_after_another(*shows))


def _qr(text: str) -> Show:
    """In upper case, which an address allows and a QR code packs closer."""

    def show(console: "Console") -> None:
        from io import StringIO

        import segno
        from rich.text import Text

        if not console.encoding.lower().startswith("utf"):
            console.print("This terminal has no letters for a QR code.")
            return
        page = StringIO()
        segno.make(text.upper(), micro=False).terminal(page, compact=True)
        lines = page.getvalue().splitlines()
        if max(map(len, lines)) > console.width:
            console.print("This terminal is too narrow for a QR code.")
            return
        # The light parts must be light, whatever colours the terminal has.
        for line in lines:
            console.print(Text(line, style="#ffffff on #000000"), no_wrap=True)

    return show


@command(
    "send",
    "Pay somebody.",
    group="money",
    examples=(
        "send alice 1.5",
        "send neuro1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs5aqt5l 0.25 --tip 2",
        "send savings all --account main",
    ),
)
def send(
    session: Session,
    payee: Annotated[Payee, "who is paid"],
    amount: Annotated[AmountOrAll, "how much; all: what is left after the fee"],
    *,
    spending: Spending,
) -> Answer:
    def make(payer: "Payer") -> Transfer:
        if not isinstance(amount, Everything):
            return Transfer(payee.address, checked_funds(session, payer, amount))
        return Transfer(payee.address, payer.all_but_fee(lambda most: Transfer(payee.address, most)))

    from wallet.sending import carry_out

    return carry_out(session, spending, make, "Sign and send this?")


@command(
    "send-many",
    "Pay several under one signature: all of them or none.",
    group="money",
    examples=("send-many alice=1.5 bob=0.25",),
)
def send_many(
    session: Session,
    payments: Annotated[tuple[Payment, ...], PAYMENT, SEVERAL, "who gets how much, up to 256"],
    *,
    spending: Spending,
) -> Answer:
    if len(payments) > PAYMENTS_MAXIMUM:
        raise BadValue(f"one transaction pays {PAYMENTS_MAXIMUM} at most, not {len(payments)}: send two")

    def make(payer: "Payer") -> MultiTransfer:
        checked_funds(session, payer, sum(payment.amount for payment in payments))
        return MultiTransfer(payments)

    from wallet.sending import carry_out

    return carry_out(session, spending, make, "Sign and send these?")


def checked_funds(session: Session, payer: "Payer", amount: int) -> int:
    """The amount, if the account has it; the node will look at the fee as well. Raises CommandError."""
    is_known = session.drafting is None or session.drafting.nonce is None
    if is_known and amount > payer.free:
        waiting = payer.balance - payer.free
        but = f", of which {neuro(waiting)} may go to what waits already" if waiting else ""
        raise CommandError(f"the account has {neuro(payer.balance)}{but}: that is less than {neuro(amount)}")
    return amount
