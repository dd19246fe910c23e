"""`neuroshard checkpoint`: a model's file from the pages that several nodes keep. Start reading at `assemble`."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from chain.block import Outcome
from chain.errors import DecodeError
from chain.genesis import Network
from chain.state import LEDGER_KEY, Ledger, Round, round_key
from network.address import format_address
from network.pages import pages_in
from node.archive_stored import Progress
from node.commands import light, status
from node.commands.archive import tell, watched
from node.commands.opening import network_of
from node.data_directory import DataDirectory
from node.errors import DataDirectoryError, NodeError, disk_advice
from node.key_value import open_key_value
from node.light_cli import FOLDER
from node.model_blobs import ModelBlob, NotThatModel, blobs_of, state_from
from node.model_store import load_base
from node.network_file import given_network, read_network_file
from node.remote_blobs import NobodyHasIt, RemoteBlobs, known_peers, remote_blobs
from node.store import Store
from node.template import Learning
from training.checkpoint import SavedOuter, save_outer
from training.errors import CheckpointError, TrainingError

OURS = re.compile(r"[0-9a-f]{64}(\.[0-9a-f]{16}\.partial)?")  # what is left of a run, and nothing else that lies there


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user gave. `network_file` None: the ledger of the data directory says what the model is."""

    out: Path
    data_directory: Path
    network_file: Path | None
    peers: tuple[tuple[str, int], ...]
    round: int | None  # None: the newest
    seconds: int = 30  # to wait for peers, where they are asked for the ledger


@dataclass(frozen=True, slots=True)
class Goal:
    """The model that is wanted: that after this round."""

    network: Network
    round: int
    outcome: Outcome


def assemble(choice: Choice, as_json: bool) -> None:
    """Raises NodeError, InvalidGenesis."""
    goal = _goal(choice)
    fetching = _Fetching(goal, choice.out)
    if not fetching.is_done():
        peers = [format_address(*peer) for peer in choice.peers] or known_peers(choice.data_directory / "peers")
        if not peers:
            raise NodeError("no node is known to fetch from: name some with --peer HOST:PORT")
        with watched("Fetching", as_json) as progress:
            asyncio.run(fetching.run(peers, progress))
        fetching.write()
    tell(fetching.facts(), fetching.words(), as_json)


class _Fetching:
    """The blobs of one model, on their way into a folder beside the file that they will be."""

    def __init__(self, goal: Goal, out: Path) -> None:
        self.goal = goal
        self.out = out
        self.learning = Learning.of(goal.network)
        self.folder = out.with_name(out.name + ".parts")
        self.blobs = blobs_of(goal.outcome, self.learning)
        self.pages: dict[str, int] = {}  # by node, in this run
        self.pages_before = 0  # from earlier runs
        self.refused: dict[str, str] = {}

    def is_done(self) -> bool:
        """Whether the file is this model already. Raises NodeError if it is something else."""
        if not self.out.exists():
            return False
        with suppress(TrainingError):
            if load_base(self.out, self.learning).root == self.goal.outcome.outer_root:
                return True
        raise NodeError(f"{self.out} is there already and is not this model: choose another name, or remove it")

    async def run(self, peers: Sequence[str], progress: Progress) -> None:
        """Fetch what is missing, one blob after the other, each from all peers at once. Raises NodeError."""
        self._prepare()
        total, done = sum(pages_in(blob.wanted.size or 1) for blob in self.blobs), 0
        async with remote_blobs(peers) as remote:
            for blob in self.blobs:
                await self._bring(blob, remote, partial(_add, progress, done, total))
                done += pages_in(self._path(blob).stat().st_size)
        self.pages, self.refused = dict(remote.pages), remote.liars
        self.pages_before = done - sum(self.pages.values())

    def _path(self, blob: ModelBlob) -> Path:
        return self.folder / blob.wanted.root.hex()

    def _prepare(self) -> None:
        """The folder, without what an earlier run has left of another model."""
        names = {blob.wanted.root.hex() for blob in self.blobs}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in self.folder.iterdir():
                if OURS.fullmatch(path.name) and path.name.partition(".")[0] not in names:
                    path.unlink()
        except OSError as error:
            raise NodeError(f"cannot use {self.folder}: {disk_advice(error)}") from error

    async def _bring(self, blob: ModelBlob, remote: RemoteBlobs, progress: Progress) -> None:
        path = self._path(blob)
        if path.exists():
            return
        try:
            await remote.fetch(blob.wanted, path, progress)
        except NobodyHasIt as error:
            raise NodeError(
                f"the {blob.name} of the model after round {self.goal.round} could not be had: {error}. Nodes keep the "
                "newest model and the one before it: name other nodes of this network with --peer, or leave out "
                f"--round; what has come is in {self.folder}, and the same command goes on from there"
            ) from error

    def write(self) -> None:
        """Make the one file, verified against the outer root, and forget the parts. Raises NodeError."""
        files = {blob.name: self._path(blob) for blob in self.blobs}
        try:
            state = state_from(files, self.goal.outcome, self.learning)
            saved = SavedOuter(state, self.goal.round, self.goal.outcome.outer_root)
            save_outer(self.out, saved, self.learning.fragment_sizes)
        except NotThatModel as error:
            self._forget()
            raise NodeError(f"{error}: the disk has changed it; run the same command again") from error
        except CheckpointError as error:
            raise NodeError(str(error)) from error
        self._forget()

    def _forget(self) -> None:
        with suppress(OSError):
            for blob in self.blobs:
                self._path(blob).unlink(missing_ok=True)
            self.folder.rmdir()

    def facts(self) -> dict[str, Any]:
        goal = self.goal
        return {
            "file": str(self.out),
            "bytes": self.out.stat().st_size,
            "chain_id": goal.network.chain_id.hex(),
            "round": goal.round,
            "outer_root": goal.outcome.outer_root.hex(),
            "model_root": goal.outcome.model_root.hex(),
            "pages": self.pages,
            "pages_before": self.pages_before,
            "refused": self.refused,
        }

    def words(self) -> str:
        """What has been done, for people."""
        lines = [
            f"{self.out}: the model after round {self.goal.round}, outer root {self.goal.outcome.outer_root.hex()}"
        ]
        lines += [f"{count} pages from {peer}" for peer, count in sorted(self.pages.items())]
        if self.pages_before:
            lines.append(f"{self.pages_before} pages were here from an earlier run")
        lines += [
            f"not asked again, since what it sent was false: {peer} ({why})" for peer, why in self.refused.items()
        ]
        if not self.pages and not self.pages_before:
            lines.append("It was there already.")
        return "\n".join(lines)


def _add(progress: Progress, done: int, total: int, here: int, of: int) -> None:
    progress(done + here, total)


# ---- Which model


def _goal(choice: Choice) -> Goal:
    """What the ledger says: that of the data directory, or one that the peers prove. Raises NodeError."""
    if choice.network_file is not None:
        return _proven(choice, choice.network_file)
    directory = DataDirectory(choice.data_directory)
    network = network_of(directory)
    try:
        directory.lock()
    except DataDirectoryError:
        if not (directory / "api.json").exists():
            raise
        return _from_running(choice, network)
    try:
        return _from_ledger(choice, directory, network)
    finally:
        directory.unlock()


def _from_ledger(choice: Choice, directory: DataDirectory, network: Network) -> Goal:
    database = open_key_value(directory / "ledger")
    try:
        state = Store(database, network).state()
        following = None if choice.round is None else state.round(choice.round + 1)
        return _chosen(choice, network, state.ledger, following)
    finally:
        database.close()


def _chosen(choice: Choice, network: Network, ledger: Ledger, following: Round | None) -> Goal:
    """`following`: the round after the wanted one, which begins with its model."""
    if choice.round is None or choice.round == ledger.ended_round:
        return Goal(network, ledger.ended_round, ledger.model)
    if following is None:
        raise NodeError(
            f"round {choice.round} has not ended or lies too far back: the last that has ended is {ledger.ended_round}"
        )
    return Goal(network, choice.round, following.base)


def light_folder(network: Network) -> Path:
    """Where it is kept what peers have proven, for each network by itself: this command may be asked about many."""
    return Path(FOLDER).expanduser() / network.chain_id.hex()[:16]


def _proven(choice: Choice, network_file: Path) -> Goal:
    """What the peers prove of the ledger, without a ledger of our own."""
    if not choice.peers:
        raise NodeError("with --network, name nodes with --peer HOST:PORT: they are asked for the ledger's proof")
    network = given_network(read_network_file(network_file), str(network_file))
    keys = (LEDGER_KEY,) if choice.round is None else (LEDGER_KEY, round_key(choice.round + 1))
    asked = light.Choice(network_file, choice.peers, None, light_folder(network), choice.seconds)
    verdict = light.verified(asked, network, keys)
    assert verdict.followed is not None
    ledger, *rounds = verdict.followed.values
    if ledger is None:
        raise NodeError("the ledger that the peers prove has no record of its model")
    following = Round.decode(rounds[0]) if rounds and rounds[0] is not None else None
    return _chosen(choice, network, Ledger.decode(ledger), following)


def _from_running(choice: Choice, network: Network) -> Goal:
    """What the node that runs there says."""
    rounds = status.ask(choice.data_directory, "/v1/rounds?limit=100").get("rounds", [])
    ended = [each for each in rounds if each.get("outcome") and choice.round in (None, each["round"])]
    if not ended:
        which = "no round has" if choice.round is None else f"round {choice.round} has not"
        raise NodeError(f"{which} closed yet, or it lies too far back")
    try:
        names = [field.name for field in fields(Outcome)]
        outcome = Outcome(*(bytes.fromhex(ended[0]["outcome"][name]) for name in names))
    except (KeyError, TypeError, ValueError, DecodeError) as error:
        raise NodeError(f"the running node answers in another way ({error}): is it of another version?") from error
    return Goal(network, ended[0]["round"], outcome)
