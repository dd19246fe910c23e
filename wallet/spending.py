"""The options that all commands share that sign a transaction. What they do with them is in `wallet.sending`."""

from dataclasses import dataclass
from typing import Annotated

from wallet.kinds import ACCOUNT, FEE, FLAG


@dataclass(frozen=True, slots=True)
class Spending:
    """What all commands that sign have in common, as options."""

    account: Annotated[int | None, ACCOUNT, "which of your accounts signs; your first one if not given"] = None
    max_fee: Annotated[int | None, FEE, "the most you pay for a unit of gas; as the node suggests if not given"] = None
    tip: Annotated[int | None, FEE, "of it for the proposer, so that it goes before others"] = None
    yes: Annotated[bool, FLAG, "do not ask whether to sign"] = False
    no_wait: Annotated[bool, FLAG, "do not wait until it is final"] = False
