"""How this node meets others: the switch of its network, made from its settings and keys."""

from chain.crypto import ecdsa
from chain.errors import NeuroError
from network.address import format_address
from network.peer import ARCHIVE, TRAINER, VALIDATOR, NodeKey
from network.switch import Switch
from network.switch_config import SwitchConfig
from node.home import Home
from node.journal import program_version
from node.loop_runtime import LoopRuntime
from node.protocols import Protocols
from node.settings import Settings
from node.standing import make_voucher, read_voucher


def meets_others(settings: Settings) -> bool:
    """Whether this node may have peers at all."""
    return bool(settings.peers) or settings.listen is not None


def _text(address: tuple[str, int] | None) -> str:
    return "" if address is None else format_address(*address)


def switch_of(home: Home, settings: Settings, protocols: Protocols, runtime: LoopRuntime) -> Switch:
    """The switch, not started yet."""
    identity, chain_id = home.identity, home.network.chain_id

    def is_validator(key: bytes, voucher: bytes) -> bool:
        try:
            validator = read_voucher(chain_id, key, voucher)
        except NeuroError:
            return False
        epoch = protocols.replica.epoch
        return epoch is not None and epoch.committee.place_of(validator) is not None

    roles = (TRAINER if settings.training else 0) | (VALIDATOR if settings.validator_intent else 0)
    config = SwitchConfig(
        chain_id=chain_id,
        folder=home.directory / "peers",
        on_error=runtime.fail,
        listen=_text(settings.listen) or None,
        advertise=_text(settings.advertise),
        seeds=tuple(_text(peer) for peer in settings.peers),
        agent=f"neuroshard/{program_version()}",
        roles=roles | (0 if settings.keep_epochs else ARCHIVE),
        voucher=make_voucher(chain_id, identity.node_public_key, identity.validator_secret),
        is_validator=is_validator,
        allow_local=settings.allow_local,
    )

    def sign(digest: bytes) -> bytes:
        return ecdsa.sign(identity.node_secret, digest)

    return Switch(config, NodeKey(identity.node_public_key, sign, ecdsa.verify), protocols)
