"""Stake: bond, take back, and how a validator is doing."""

from typing import TYPE_CHECKING, Annotated

from chain.address import to_text
from chain.crypto import bls
from chain.transactions import Bond, Unbond, Unjail, Withdraw
from wallet.amounts import neuro
from wallet.answered import Answered
from wallet.commands.earned import Of, whose
from wallet.commands.money import checked_funds
from wallet.commands.parts import facts, percent
from wallet.errors import CommandError
from wallet.kinds import AmountOrAll, Everything
from wallet.registry import Answer, command
from wallet.spending import Spending

if TYPE_CHECKING:
    from wallet.sending import Payer
from wallet.session import Session


@command(
    "bond",
    "Put NEURO at stake for your validator.",
    group="stake",
    examples=("bond 1000", "bond all"),
)
def bond(session: Session, amount: Annotated[AmountOrAll, "how much to add"], *, spending: Spending) -> Answer:
    def make(payer: "Payer") -> Bond:
        from wallet.signing import bond_action

        secret = session.wallet().validator_key(payer.account.index)

        def action(nanos: int) -> Bond:
            return bond_action(nanos, secret, payer.account.address, payer.chain_id)

        if isinstance(amount, Everything):
            return action(payer.all_but_fee(action))
        return action(checked_funds(session, payer, amount))

    from wallet.sending import carry_out

    # Where few validate, one that never votes can hold up the chain for all.
    session.ui.tell("From the next epochs on your node has to run with --validator: who does not vote is jailed.")
    return carry_out(session, spending, make, "Sign this and put it at stake?")


@command(
    "unbond",
    "Ask stake back. It stays at risk until its time is over; then `withdraw` it.",
    group="stake",
    examples=("unbond 250", "unbond all"),
)
def unbond(session: Session, amount: Annotated[AmountOrAll, "how much"], *, spending: Spending) -> Answer:
    def make(payer: "Payer") -> Unbond:
        if payer.stake is None:
            if isinstance(amount, Everything):
                raise CommandError("how much is bonded only a node tells: give the amount, or no --nonce")
            return Unbond(amount)
        staying = payer.stake.nanos("bonded_nanos") - payer.stake.nanos("leaving_nanos")
        wanted = staying if isinstance(amount, Everything) else amount
        if not 0 < wanted <= staying:
            raise CommandError(f"{neuro(staying)} are bonded and not asked back yet: nothing beyond can be")
        return Unbond(wanted)

    from wallet.sending import carry_out

    return carry_out(session, spending, make, "Sign this and ask it back?")


@command("withdraw", "Take back stake whose unbonding time is over.", group="stake", examples=("withdraw",))
def withdraw(session: Session, *, spending: Spending) -> Answer:
    def make(payer: "Payer") -> Withdraw:
        if payer.stake is not None and session.drafting is None:
            _check_ready(payer.stake, session.client.get("/v1/status").whole("epoch"))
        return Withdraw()

    from wallet.sending import carry_out

    return carry_out(session, spending, make, "Sign this and withdraw?")


def _check_ready(stake: Answered, epoch: int) -> None:
    """Raises CommandError if there is nothing to withdraw yet."""
    ready = [each.whole("ready_epoch") for each in stake.objects("unbonding")]
    if not ready:
        raise CommandError("nothing is unbonding: `unbond` asks stake back")
    if min(ready) > epoch:
        raise CommandError(f"the first part can be withdrawn in epoch {min(ready):,}; now it is {epoch:,}")


@command("unjail", "Let your validator vote again after its jail term.", group="stake", examples=("unjail",))
def unjail(session: Session, *, spending: Spending) -> Answer:
    def make(payer: "Payer") -> Unjail:
        if payer.stake is not None:
            until = payer.stake.maybe("jailed_until_epoch", payer.stake.whole)
            if payer.stake.truth("banned"):
                raise CommandError("this validator is banned for ever: its stake can be unbonded and withdrawn")
            if until is None:
                raise CommandError("this validator is not jailed")
        return Unjail()

    from wallet.sending import carry_out

    return carry_out(session, spending, make, "Sign this and come back?")


@command("validator", "Your stake, and how your validator is doing.", group="stake", examples=("validator",))
def validator(session: Session, payee: Of = None) -> Answer:
    address = whose(session, payee)
    found = session.account_answer(address).object("stake")
    place, status = _place(session, address), session.client.get("/v1/status")
    # Who founded the network votes with phantom power and has no stake: only the node itself tells whose key it is.
    founds = status.address("address") == address and place is None and status.text("validator") == "active"
    rows = [
        ("wallet", to_text(address)),
        ("bonded", neuro(found.nanos("bonded_nanos"))),
        ("asked back", neuro(found.nanos("leaving_nanos"))),
        ("votes with", neuro(found.nanos("power_nanos"))),
        ("standing", "votes as a founder, with phantom power" if founds else _standing(found, place)),
    ]
    for each in found.objects("unbonding"):
        rows.append(("unbonding", f"{neuro(each.nanos('amount_nanos'))}, ready in epoch {each.whole('ready_epoch')}"))
    key = found.maybe("validator_key", lambda name: found.hexadecimal(name, bls.PUBLIC_KEY_BYTES))
    rows.append(("validator key", "none: bond to name one" if key is None else key.hex()))
    if place is not None:
        rows += [("share", percent(place.whole("share_basis_points"))), ("signed", f"{place.whole('signed')}")]
    stake = {name: value for name, value in found.raw.items() if name != "proof"}
    content = {"address": to_text(address), "stake": stake, "in_set": None if place is None else dict(place.raw)}
    return Answer(content, facts(rows))


def _place(session: Session, address: bytes) -> Answered | None:
    """Of a wallet in the set, if it is there. A set has 1,024 places at most."""
    cursor: str | None = None
    for _ in range(11):
        page = session.client.get("/v1/validators", {"limit": 100, "cursor": cursor})
        for each in page.objects("validators"):
            if each.maybe("wallet", each.address) == address:
                return each
        cursor = page.maybe("next_cursor", page.text)
        if cursor is None:
            break
    return None


def _standing(stake: Answered, place: Answered | None) -> str:
    until = stake.maybe("jailed_until_epoch", stake.whole)
    if stake.truth("banned"):
        return "banned for ever"
    if until is not None:
        return f"jailed until epoch {until:,}; then `unjail`"
    if place is not None:
        return "votes"
    return "waits for a place in the set" if stake.nanos("bonded_nanos") else "no stake"
