"""The money of the ledger a second time: plain dictionaries, no records, overlays, trees or sets of validators.

It is written from the words of the protocol, not from the code, and for the reader: no step is saved. What it is told
by others are facts that are no money: which rounds ended and how, who was jailed, and how much stake the set let go.
"""

from collections.abc import Iterable
from copy import deepcopy
from fractions import Fraction
from math import isqrt

from chain.genesis import Params
from chain.transactions import MultiTransfer, ServicePayment, Transfer, Unbond, Unjail, Withdraw


class Refused(Exception):
    """The protocol does not allow this."""


def need(allowed: bool) -> None:
    if not allowed:
        raise Refused


class Offence:
    """A validator voted twice, and `stake` answers for it."""

    def __init__(self, wallet: bytes, reported: int, weight: tuple[int, int], stake: int) -> None:
        self.wallet, self.reported, self.stake = wallet, reported, stake
        self.power, self.total = weight
        self.settled = False


class NaiveLedger:
    def __init__(self, rules: Params, founder: bytes) -> None:
        self.rules, self.founder = rules, founder
        self.minted = self.burned = 0
        # The four kinds of pots.
        self.balances: dict[bytes, int] = {}
        self.bonded: dict[bytes, int] = {}
        self.unbonding: dict[tuple[bytes, int], int] = {}  # wallet, ready epoch
        self.vesting: dict[tuple[int, bytes], tuple[bytes, int]] = {}  # round, node: wallet, nanos
        # Validators.
        self.keys: dict[bytes, bytes] = {}  # wallet: the key that it named
        self.banned: set[bytes] = set()  # keys
        self.leaving: dict[bytes, int] = {}  # of what is bonded
        self.jailed: dict[bytes, int] = {}  # until which epoch
        self.offences: list[Offence] = []
        # Work.
        self.nodes: dict[bytes, tuple[bytes, bool, bool]] = {}  # wallet, wants to validate, retired
        self.claims: dict[tuple[int, bytes], tuple[bytes, int, int]] = {}  # round, node: wallet, batches, debt
        self.counted: set[tuple[int, bytes]] = set()
        self.ended = self.settled = 0

    # ---- Pots

    def add(self, wallet: bytes, amount: int) -> None:
        self.balances[wallet] = self.balances.get(wallet, 0) + amount

    def take(self, wallet: bytes, amount: int) -> None:
        need(0 <= amount <= self.balances.get(wallet, 0))
        self.add(wallet, -amount)

    def burn(self, wallet: bytes, amount: int) -> None:
        self.take(wallet, amount)
        self.burned += amount

    def fund(self, wallet: bytes, amount: int) -> None:
        self.minted += amount
        self.add(wallet, amount)

    def held(self, *wallets: bytes) -> int:
        """All that wallets own, in whatever pot."""
        pots = [(wallet, amount) for wallet, amount in self.balances.items()]
        pots += list(self.bonded.items())
        pots += [(wallet, amount) for (wallet, _), amount in self.unbonding.items()]
        pots += list(self.vesting.values())
        return sum(amount for wallet, amount in pots if wallet in wallets)

    def staying(self, wallet: bytes) -> int:
        return self.bonded.get(wallet, 0) - self.leaving.get(wallet, 0)

    def is_banned(self, wallet: bytes) -> bool:
        return self.keys.get(wallet) in self.banned

    # ---- Transactions

    def attempt(self, act, *arguments) -> bool:
        """Whether the protocol allows it; if not, nothing has changed."""
        before = deepcopy(self.__dict__)
        try:
            act(*arguments)
        except Refused:
            self.__dict__ = before
            return False
        return True

    def fee(self, payer: bytes, proposer: bytes, base: int, tip: int) -> None:
        self.burn(payer, base)
        self.take(payer, tip)
        self.add(proposer, tip)

    def act(self, payer: bytes, action: object, epoch: int) -> None:
        match action:
            case Transfer(payee=payee, amount=amount):
                self.take(payer, amount)
                self.add(payee, amount)
            case MultiTransfer(payments=payments):
                need(len(payments) > 0)
                for payment in payments:
                    self.take(payer, payment.amount)
                    self.add(payment.payee, payment.amount)
            case ServicePayment(payee=payee, amount=amount):
                exact = Fraction(amount * self.rules.burn_basis_points, 10_000)
                share = int(exact) if exact == int(exact) else int(exact) + 1
                self.burn(payer, share)
                self.take(payer, amount - share)
                self.add(payee, amount - share)
            case Unbond(amount=amount):
                self.unbond(payer, amount)
            case Withdraw():
                ready = [pot for pot in self.unbonding if pot[0] == payer and pot[1] <= epoch]
                need(len(ready) > 0)
                for pot in ready:
                    self.add(payer, self.unbonding.pop(pot))
                self.forget(payer)
            case Unjail():
                need(payer in self.jailed and epoch >= self.jailed[payer] and not self.is_banned(payer))
                del self.jailed[payer]
            case _:
                raise AssertionError(action)

    def bond(self, wallet: bytes, amount: int, key: bytes, proven: bool) -> None:
        """`proven`: the key signed that it votes for this wallet."""
        first = wallet not in self.keys
        need(proven and not self.is_banned(wallet))
        need((first and key not in self.keys.values() and key not in self.banned) or self.keys.get(wallet) == key)
        need(amount > 0 or first)
        need(self.staying(wallet) + amount >= self.rules.stake_minimum_nanos)
        self.take(wallet, amount)
        self.bonded[wallet] = self.bonded.get(wallet, 0) + amount
        self.keys[wallet] = key

    def unbond(self, wallet: bytes, amount: int) -> None:
        staying = self.staying(wallet) - amount
        need(0 < amount <= self.staying(wallet))
        if wallet not in self.keys:  # it never answered for anything
            self.bonded[wallet] -= amount
            self.add(wallet, amount)
            return
        need(staying == 0 or staying >= self.rules.stake_minimum_nanos)
        self.leaving[wallet] = self.leaving.get(wallet, 0) + amount

    def forget(self, wallet: bytes) -> None:
        """A wallet without any stake left may come back with another key; who is banned may not."""
        exits = any(owner == wallet for owner, _ in self.unbonding)
        if not self.bonded.get(wallet) and not exits and not self.is_banned(wallet):
            for facts in (self.keys, self.leaving, self.jailed):
                facts.pop(wallet, None)

    def accuse(self, reporter: bytes, key: bytes, at: int, epoch: int, weight: tuple[int, int], genuine: bool) -> None:
        """`weight`: the power of the key in the set of epoch `at`, and that of the whole set."""
        owners = [wallet for wallet, named in self.keys.items() if named == key]
        wallet = owners[0] if owners else self.founder
        need(genuine and key not in self.banned and reporter != wallet)
        need(epoch - self.rules.unbonding_epochs <= at <= epoch)
        self.banned.add(key)
        if not owners:  # phantom power is no money
            self.offences.append(Offence(wallet, epoch, weight, 0))
            return
        for pot in [pot for pot in self.unbonding if pot[0] == wallet]:
            left_at_the_end_of = pot[1] - 1 - self.rules.unbonding_epochs
            if left_at_the_end_of >= at:
                self.bonded[wallet] += self.unbonding.pop(pot)
        stake = self.bonded.get(wallet, 0)
        lost = -(-stake * self.rules.equivocation_basis_points // 10_000)
        reward = min(lost // 32, self.rules.reporter_maximum_nanos)
        self.bonded[wallet] = stake - lost
        self.leaving[wallet] = stake - lost
        self.add(reporter, reward)
        self.burned += lost - reward
        self.offences.append(Offence(wallet, epoch, weight, stake))

    # ---- Work

    def register(self, wallet: bytes, node: bytes, wants_to_validate: bool) -> None:
        need(node not in self.nodes)
        self.nodes[node] = (wallet, wants_to_validate, False)

    def retire(self, wallet: bytes, node: bytes) -> None:
        owner, wants_to_validate, retired = self.nodes.get(node, (b"", False, True))
        need(owner == wallet and not retired)
        self.nodes[node] = (owner, wants_to_validate, True)

    def claim(self, number: int, node: bytes, batches: int, debt: int) -> None:
        wallet, before, owed = self.claims.get((number, node), (self.nodes[node][0], 0, 0))
        self.claims[number, node] = (wallet, before + batches, owed + debt)

    def end_round(self, number: int, paid: Iterable[bytes]) -> None:
        """`paid`: nodes whose payload was counted, or shown in a void round."""
        self.ended = number
        self.counted |= {(number, node) for node in paid}

    def settle(self) -> int:
        """Mint for the rounds that ended; returns how much."""
        paid = [
            (number, node, *claim)
            for (number, node), claim in sorted(self.claims.items())
            if self.settled < number <= self.ended
            if (number, node) in self.counted
        ]
        self.settled = self.ended
        work, base = sum(batches for _, _, _, batches, _ in paid), self.rules.base_work_batches
        rate = self.rules.rate_batch_nanos
        budget = rate * work if work <= base else base * rate * isqrt(work * base) // base
        exact = [Fraction(budget * batches, work) for _, _, _, batches, _ in paid]
        amounts = [int(share) for share in exact]
        while sum(amounts) < budget and paid:
            best = max(range(len(paid)), key=lambda i: (exact[i] - amounts[i], -i))
            amounts[best] += 1
        for (number, node, wallet, _, debt), amount in zip(paid, amounts, strict=True):
            self.minted += amount
            self.burned += min(debt, amount)
            self.vesting[number, node] = (wallet, amount - min(debt, amount))
        return sum(amounts)

    def release(self) -> None:
        for number, node in sorted(self.vesting):
            if number <= self.settled and self.ended - number >= self.rules.vest_rounds:
                wallet, amount = self.vesting.pop((number, node))
                self.add(wallet, amount)
                _, wants_to_validate, retired = self.nodes[node]
                if wants_to_validate and not retired and not self.is_banned(wallet):
                    part = min(amount, max(0, self.rules.stake_minimum_nanos - self.staying(wallet)))
                    if wallet in self.keys and not self.staying(wallet):
                        part = 0
                    self.take(wallet, part)
                    self.bonded[wallet] = self.bonded.get(wallet, 0) + part

    # ---- An epoch's end

    def punish_together(self, epoch: int) -> None:
        """The second part of a penalty: three times the share of all power that was reported at about the same time."""
        span = self.rules.unbonding_epochs
        for offence in self.offences:
            if offence.settled or epoch < offence.reported + span:
                continue
            offence.settled = True
            if not offence.stake:
                continue
            together = [other for other in self.offences if abs(other.reported - offence.reported) <= span]
            power = sum(other.power * offence.total // other.total for other in together)
            share = min(offence.total, self.rules.correlation_factor * power)
            penalty = -(-offence.stake * share // offence.total)
            wallet = offence.wallet
            part = min(penalty, self.bonded.get(wallet, 0))
            self.bonded[wallet] -= part
            self.leaving[wallet] = min(self.leaving[wallet], self.bonded[wallet])
            self.burned += part
            penalty -= part
            for pot in sorted(self.unbonding):
                if pot[0] == wallet and pot[1] - span > offence.reported:
                    part = min(penalty, self.unbonding[pot])
                    self.unbonding[pot] -= part
                    self.burned += part
                    penalty -= part

    def let_go(self, wallet: bytes, amount: int, ready: int, epoch: int) -> None:
        """Stake left the set at the end of `epoch`: never more than was asked back."""
        assert 0 < amount <= self.leaving[wallet]
        assert ready == epoch + 1 + self.rules.unbonding_epochs
        self.bonded[wallet] -= amount
        self.leaving[wallet] -= amount
        self.unbonding[wallet, ready] = amount
