"""`neuroshard light`: ask peers, believe what they prove."""

import asyncio
import json
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from chain.address import from_text, to_text
from chain.block import PHASES
from chain.crypto import ecdsa
from chain.genesis import Network
from chain.state import Account, account_key
from network.address import format_address
from network.peer import LIGHT, NodeKey
from network.switch import Switch
from network.switch_config import SwitchConfig
from node.checkpoint import Trust, age_words, checkpoint_text
from node.clock import wall_ms
from node.errors import NodeError
from node.journal import program_version
from node.light import ConflictError, Context, Followed, Trusted
from node.light_client import LightClient, Verdict
from node.light_store import LightStore
from node.loop_runtime import LoopRuntime
from node.network_file import given_network, read_network_file
from node.parts import Parts

LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user gave."""

    network_file: Path
    peers: tuple[tuple[str, int], ...]
    checkpoint: tuple[int, bytes] | None
    folder: Path
    seconds: int  # to wait for peers


def status(choice: Choice, as_json: bool) -> None:
    """Raises NodeError, InvalidGenesis."""
    network = _network(choice)
    verdict = verified(choice, network, ())
    _tell(_facts(choice, network, verdict), as_json)


def account(choice: Choice, address: str, as_json: bool) -> None:
    """Raises NodeError, DecodeError if it is no address."""
    network, raw = _network(choice), from_text(address)
    verdict = verified(choice, network, (account_key(raw),))
    found = _followed(verdict).values[0]
    record = Account() if found is None else Account.decode(found)
    facts = {"address": to_text(raw), "balance_nanos": str(record.balance), "nonce": record.nonce}
    _tell({**facts, **_facts(choice, network, verdict)}, as_json)


def _network(choice: Choice) -> Network:
    return given_network(read_network_file(choice.network_file), str(choice.network_file))


def verified(choice: Choice, network: Network, keys: tuple[bytes, ...]) -> Verdict:
    """What the peers have proven; it is kept for the next time. Raises NodeError."""
    store = LightStore(choice.folder, network)
    context = Context(network, Trust(network.params, choice.checkpoint), wall_ms())
    verdict = asyncio.run(_ask(choice, network, _Wish(store.load(), keys, context)))
    if isinstance(verdict.error, ConflictError):
        path = store.keep_conflict(verdict.error.conflict)
        raise NodeError(
            f"{verdict.error}. Believe nothing of this network until people have decided; both are in {path}"
        )
    if verdict.error is not None:
        raise verdict.error
    if verdict.followed is None:
        raise NodeError(_nobody(choice, verdict))
    store.save(verdict.followed.trusted)
    return verdict


@dataclass(frozen=True, slots=True)
class _Wish:
    kept: Trusted | None
    keys: tuple[bytes, ...]
    context: Context


async def _ask(choice: Choice, network: Network, wish: _Wish) -> Verdict:
    """Meet the peers, let each have its say, and compare."""
    runtime = LoopRuntime()
    verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    client = LightClient(runtime, wish.kept, wish.keys, wish.context, verdict.set_result)
    # Whom we met is not remembered: only the peers that were named are asked.
    with tempfile.TemporaryDirectory() as folder:
        switch = runtime.switch = _switch(choice, network, Parts(runtime, (client,)), runtime, Path(folder))
        return await _heard(choice, client, verdict, runtime, switch)


async def _heard(
    choice: Choice, client: LightClient, verdict: asyncio.Future[Verdict], runtime: LoopRuntime, switch: Switch
) -> Verdict:
    await switch.start()
    try:
        async with asyncio.timeout(choice.seconds) as limit:
            while client.settled < len(choice.peers) and not verdict.done() and not runtime.failed.done():
                await asyncio.sleep(LOOK_SECONDS)
                if client.is_talking:
                    # A long way is worth waiting for: only meeting peers is limited.
                    limit.reschedule(asyncio.get_running_loop().time() + choice.seconds)
    except TimeoutError:
        pass
    try:
        client.finish()
        either: list[asyncio.Future[Any]] = [verdict, runtime.failed]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return verdict.result() if verdict.done() else _raised(runtime)
    finally:
        await switch.stop()
        await runtime.stop()


def _raised(runtime: LoopRuntime) -> Verdict:
    error = runtime.failed.exception()
    assert error is not None
    raise error


def _switch(choice: Choice, network: Network, parts: Parts, runtime: LoopRuntime, folder: Path) -> Switch:
    """A new key each time: whom somebody asks about is nobody's business."""
    own = secrets.token_bytes(32)
    config = SwitchConfig(
        chain_id=network.chain_id,
        folder=folder,
        on_error=runtime.fail,
        seeds=tuple(format_address(*peer) for peer in choice.peers),
        agent=f"neuroshard-light/{program_version()}",
        roles=LIGHT,
        outbound=len(choice.peers),
    )
    key = NodeKey(ecdsa.public_key(own), lambda digest: ecdsa.sign(own, digest), ecdsa.verify)
    return Switch(config, key, parts)


def _nobody(choice: Choice, verdict: Verdict) -> str:
    reasons = sorted(set(verdict.failed.values()))
    if not reasons:
        return (
            f"none of the peers could be reached within {choice.seconds} s: check the addresses, and that the network "
            "file is that of these nodes"
        )
    return f"no peer has proven a block: {'; '.join(reasons)}"


def _followed(verdict: Verdict) -> Followed:
    assert verdict.followed is not None
    return verdict.followed


def _facts(choice: Choice, network: Network, verdict: Verdict) -> dict[str, Any]:
    followed = _followed(verdict)
    header, trusted = followed.tip.header, followed.trusted
    age = max(0, wall_ms() - header.time_ms)
    return {
        "chain_id": network.chain_id.hex(),
        "height": header.height,
        "block_hash": header.hash().hex(),
        "epoch": header.epoch,
        "phase": PHASES[header.phase],
        "validators": len(trusted.members),
        "age_seconds": age // 1000,
        "trusting_period_seconds": Trust(network.params).period_ms // 1000,
        "checkpoint": _checkpoint(followed, network),
        "peers_agreeing": len(verdict.agreeing),
        "peers_failed": sorted(set(verdict.failed.values())),
        "warning": "" if len(verdict.agreeing) > 1 else "only one peer was asked: nobody contradicts it",
    }


def _checkpoint(followed: Followed, network: Network) -> str | None:
    """The last end of an epoch that was passed on the way."""
    headers = [end.header for end in followed.way] + [followed.tip.header]
    ends = [header for header in headers if header.height % network.params.epoch_blocks == 0]
    return checkpoint_text(ends[-1].height, ends[-1].hash()) if ends else None


def _tell(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts))
        return
    shown = {**facts, "age_seconds": age_words(1000 * facts["age_seconds"])}
    rows: Sequence[tuple[str, Any]] = [(name, value) for name, value in shown.items() if value not in ("", [], None)]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name.removesuffix('_seconds'):<{width}}  {value}")
