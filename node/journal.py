"""What a node writes into its log about blocks, rounds, proofs and its trainer. It hears, and decides nothing."""

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from chain.receipts import RoundClosed, RoundVoid
from chain.transition import Applied
from node.logs import log_of
from node.round_now import RoundNow
from node.settings import Settings
from node.trainer_messages import BegunFresh, Failed, Ready, RoundDone, SegmentDone, TrainerEvent, Validated


def program_version() -> str:
    try:
        return version("neuroshard-node")
    except PackageNotFoundError:  # run from a folder without being installed
        return "unknown"


@dataclass(slots=True)
class Journal:
    """Hears of blocks and of the trainer, like the node's other listeners. `now` tells the newest round."""

    blocks: Any = field(default_factory=lambda: log_of("blocks"))
    now: Callable[[], RoundNow | None] = lambda: None
    rounds: Any = field(default_factory=lambda: log_of("rounds"))
    trainer: Any = field(default_factory=lambda: log_of("trainer"))
    _told: tuple[int, str] | None = None

    def start(self, settings: Settings, chain_id: bytes, address: str) -> None:
        """What was started, as far as a stranger who helps may know it."""
        values = {name: value for name, value in asdict(settings).items() if name not in ("logs", "as_json")}
        log_of("node").info(
            "started",
            version=program_version(),
            python=platform.python_version(),
            system=platform.platform(terse=True),
            chain_id=chain_id,
            address=address,
            **values,
            **{f"log_{name}": value for name, value in asdict(settings.logs).items()},
        )

    def stop(self, reason: str, height: int, round_number: int) -> None:
        log_of("node").info("stopped", reason=reason, height=height, round=round_number)

    def hear_block(self, applied: Applied) -> None:
        header, body = applied.block.header, applied.block.body
        self.blocks.debug(
            "block final",
            height=header.height,
            block=header.hash(),
            epoch=header.epoch,
            view=header.view,
            transactions=len(body.transactions),
            proofs=len(body.proofs),
        )
        if body.proofs:
            self.rounds.info("proofs final", height=header.height, proofs=len(body.proofs))
        self._tell_phase()
        for receipt in applied.receipts:
            if isinstance(receipt, RoundClosed):
                self.rounds.info(
                    "round closed",
                    round=receipt.round,
                    height=header.height,
                    model=receipt.outcome.model_root,
                    outer=receipt.outcome.outer_root,
                )
            elif isinstance(receipt, RoundVoid):
                self.rounds.warning("round void", round=receipt.round, height=header.height, shown=True)

    def _tell_phase(self) -> None:
        """The newest round, when it has gone on to another phase."""
        now = self.now()
        if now is None or (now.number, now.phase) == self._told:
            return
        self._told = now.number, now.phase
        names = ("phase", "height", "deadline_height", "participants", "committed", "revealed", "held")
        self.rounds.info("round phase", round=now.number, **{name: getattr(now, name) for name in names})

    def hear_trainer(self, event: TrainerEvent) -> None:
        match event:
            case Ready():
                self.trainer.info("ready", **asdict(event))
            case SegmentDone():
                self.trainer.info("segment done", **asdict(event))
            case RoundDone():
                self.trainer.info("payload done", **asdict(event))
            case BegunFresh():
                self.trainer.warning("begun without averages", **asdict(event))
            case Validated():
                self.rounds.info("validated", **asdict(event))
            case Failed(message):
                self.trainer.warning("failed, will be started again", reason=message, shown=True)
