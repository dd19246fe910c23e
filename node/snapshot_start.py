"""The first start with `--sync snapshot`: the ledger comes from a snapshot of peers before the node is opened."""

import asyncio
from collections.abc import Callable

from network.errors import NetworkError
from network.switch import Switch
from node.blob_exchange import BlobExchange
from node.blob_source import FileSource
from node.checkpoint import Trust
from node.errors import NodeError
from node.home import Home
from node.key_value import open_key_value
from node.loop_runtime import LoopRuntime
from node.membership import meets_others, node_key, switch_config
from node.model_store import ModelStore
from node.parts import Parts
from node.settings import Settings
from node.snapshot import Manifest
from node.snapshot_sync import Place, SnapshotSync, is_wanted
from node.template import Learning

TELL_SECONDS = 10.0


async def start_from_snapshot(
    home: Home, settings: Settings, stop: asyncio.Event, watch: Callable[[str], None]
) -> None:
    """Restore an empty ledger from peers, or until `stop`. Nothing happens to one that has begun otherwise."""
    directory = home.directory
    database = open_key_value(directory / "ledger")
    try:
        if not is_wanted(database):
            return
        if not meets_others(settings):
            raise NodeError("--sync snapshot needs somebody who serves one: give --peer HOST:PORT")
        runtime = LoopRuntime()
        exchange = BlobExchange(runtime, FileSource(lambda root: None))
        (directory / "sync").mkdir(exist_ok=True)
        place = Place(database, directory / "sync", ModelStore(directory / "model", Learning.of(home.network)))
        restored = asyncio.get_running_loop().create_future()
        trust = Trust(home.network.params, settings.checkpoint)
        sync = SnapshotSync(runtime, home.network, place, exchange, trust, restored.set_result)
        switch = Switch(switch_config(home, settings, runtime.fail), node_key(home), Parts(runtime, (sync, exchange)))
        runtime.switch = switch
        try:
            await switch.start()
            await _wait(runtime, restored, stop, lambda: _tell(sync, runtime, watch))
            if restored.done():
                manifest: Manifest = restored.result()
                watch(f"The ledger is restored up to block {manifest.header.height}; what is missing comes from peers")
        except NetworkError as error:
            raise NodeError(str(error)) from error
        finally:
            await switch.stop()
            await runtime.stop()
    finally:
        database.close()


def _tell(sync: SnapshotSync, runtime: LoopRuntime, watch: Callable[[str], None]) -> None:
    done, total = sync.progress
    what = f"{done} of {total} parts are here" if total else "nobody has offered one yet"
    watch(f"Waiting for a snapshot: {len(runtime.peers())} peers, {what}")


async def _wait(
    runtime: LoopRuntime, restored: asyncio.Future[Manifest], stop: asyncio.Event, tell: Callable[[], None]
) -> None:
    """Until one of them: the ledger is there, something has failed, the user has had enough."""
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while not restored.done() and not stopped.done():
            tell()
            waits: list[asyncio.Future[object]] = [restored, runtime.failed, stopped]  # type: ignore[list-item]
            await asyncio.wait(waits, timeout=TELL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if runtime.failed.done():
                runtime.failed.result()
    finally:
        stopped.cancel()
