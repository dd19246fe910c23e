"""The thread behind the prompt: it listens to the node, keeps the facts of the bar, and words what happened.

Nothing here waits for the person, and the person waits for nothing here.
"""

import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace

from chain.address import to_text
from wallet.answered import Answered
from wallet.client import Client, checked_address
from wallet.errors import ApiError, OtherChain, WalletError
from wallet.kinds import ID_FORM
from wallet.plain import plain
from wallet.repl.facts import Facts, Link
from wallet.session import Session
from wallet.stream import ADDRESSES_MAXIMUM, Follower
from wallet.told import told

LINES_MAXIMUM = 50  # that wait to be shown; a flood of events is told in one line
ASK_SECONDS = 2.0  # between two questions for the balance
MONEY_EVENTS = ("block", "payment", "earning")


class Live:
    """Facts are replaced whole by the thread; lines wait until somebody takes them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.facts = Facts()
        self.is_watching = True
        self._lines: deque[tuple[str, bytes | None]] = deque()  # and of which transaction it is told
        self._left_out = 0
        self._told_trouble = ""
        self._lock = threading.Lock()
        self._own = self._addresses()
        self._asked = float("-inf")
        self._client: Client | None = None
        self._follower = Follower(lambda: session.api, lambda: [to_text(each) for each in self._own])
        self._thread = threading.Thread(target=self._run, name="wallet-live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._follower.stop()

    def look_again(self) -> None:
        """After a command: there may be other accounts or another node now."""
        if self._own != (own := self._addresses()):
            self._own = own
            self._follower.again()
        elif self.facts.link is not Link.THERE:
            self._follower.again()

    @property
    def has_news(self) -> bool:
        return bool(self._lines)

    def take(self) -> list[str]:
        """What happened since this was asked last, and was not the answer of a command already."""
        with self._lock:
            lines = [line for line, identity in self._lines if identity not in self.session.seen.final]
            left_out, self._left_out = self._left_out, 0
            self._lines.clear()
        return lines + ([f"… and {left_out} more; `history` has all of them."] if left_out else [])

    def _addresses(self) -> tuple[bytes, ...]:
        with suppress(WalletError, OSError):
            return tuple(each.address for each in self.session.accounts())[:ADDRESSES_MAXIMUM]
        return ()

    def _run(self) -> None:
        self._follower.run(self._hear, self._away)

    def _hear(self, kind: str, content: Answered) -> None:
        """What makes no sense ends the connection; trouble with the folder is told, and does not."""
        try:
            self._take_in(kind, content)
        except ApiError:
            raise
        except (WalletError, OSError) as error:
            if str(error) != self._told_trouble:
                self._told_trouble = str(error)
                self._say(_capital(plain(error, 400)))

    def _take_in(self, kind: str, content: Answered) -> None:
        if kind == "status":
            self._hear_status(content)
        if kind in ("status", *MONEY_EVENTS):
            self._ask_money(at_once=kind not in ("status", "block"))
        if self.is_watching:
            line = told(kind, content, self._own, self.session.name_of)
            if line is not None:
                self._say(line, content.hexadecimal("id") if kind == "payment" and content.has("id") else None)

    def _hear_status(self, status: Answered) -> None:
        self.session.check_chain(status, self.session.api)
        if self._own != (own := self._addresses()):
            # A node has made a wallet here meanwhile, or another program an account.
            self._own = own
            self._follower.again()
        is_back = self.facts.link in (Link.AWAY, Link.OTHER)
        self.facts = replace(
            self.facts,
            link=Link.THERE,
            network=f"chain {status.text('chain_id')[:8]}",
            phase=status.text("phase"),
            round=status.whole("round"),
            round_phase=status.text("round_phase"),
            height=status.whole("height"),
        )
        if is_back:
            self._say(f"The node at {plain(self.session.api)} answers again.")

    def _ask_money(self, at_once: bool) -> None:
        """Balance and vesting of all accounts together, once in a while."""
        if not self._own or (not at_once and time.monotonic() - self._asked < ASK_SECONDS):
            return
        self._asked = time.monotonic()
        address = checked_address(self.session.api)
        if self._client is None or self._client.address != address:
            self._client = Client(address)
        accounts = {each: self._client.get(f"/v1/accounts/{to_text(each)}") for each in self._own}
        balances = {each: found.nanos("balance_nanos") for each, found in accounts.items()}
        vesting = sum(each.nanos("vesting_nanos") for each in accounts.values())
        self.facts = replace(self.facts, balance_nanos=sum(balances.values()), vesting_nanos=vesting)
        nodes = [name for each in accounts.values() if each.has("nodes") for name in each.texts("nodes")]
        self.session.seen.nodes = tuple(name for name in nodes if ID_FORM.fullmatch(name))
        with suppress(WalletError):
            self.session.seen.balance_nanos = balances.get(self.session.account().address)

    def _away(self, error: ApiError) -> None:
        link = Link.OTHER if isinstance(error, OtherChain) else Link.AWAY
        if self.facts.link is not link:
            self.facts = replace(self.facts, link=link)
            if link is Link.OTHER:
                self._say(_capital(plain(error, 400)))
            else:
                self._say(f"No node: {plain(error, 300)}. You can go on; what needs a node will say so.")

    def _say(self, line: str, identity: bytes | None = None) -> None:
        with self._lock:
            if len(self._lines) < LINES_MAXIMUM:
                self._lines.append((f"{time.strftime('%H:%M:%S')}  {line}", identity))
            else:
                self._left_out += 1


def _capital(text: str) -> str:
    """Errors are written as the end of a sentence; here they stand alone."""
    return text[:1].upper() + text[1:]
