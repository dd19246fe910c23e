"""Validator sets from the genesis on: each epoch's last header names the next set, certified by the one before."""

from dataclasses import dataclass
from typing import Annotated

from chain.block import VALIDATORS_MAXIMUM, Header, Validator, validators_root
from chain.codec import Var, Wire
from chain.errors import InvalidBlock
from chain.genesis import Network, bootstrap_members
from consensus.committee import Committee, Member
from node.certificates import check_finalization

CERTIFICATE_BYTES_MAXIMUM = 512
Members = tuple[Validator, ...]


@dataclass(frozen=True, slots=True)
class EpochEnd(Wire):
    """The last block of an epoch, final, and the set that it names for the next one: empty if the set stays."""

    header: Header
    certificate: Annotated[bytes, Var(CERTIFICATE_BYTES_MAXIMUM)]
    following: Annotated[tuple[Validator, ...], VALIDATORS_MAXIMUM]


def committee(members: Members) -> Committee:
    """A validator set as consensus numbers it."""
    return Committee(tuple(Member(member.public_key, member.power) for member in members))


def check_final(header: Header, certificate: bytes, members: Members, network: Network) -> None:
    """Raise an error of the family unless these validators are the header's set and have made it final."""
    if header.chain_id != network.chain_id or header.params_hash != network.params_hash:
        raise InvalidBlock(f"block {header.height} belongs to another chain")
    if (header.height - 1) // network.params.epoch_blocks != header.epoch:
        raise InvalidBlock(f"block {header.height} does not belong to epoch {header.epoch}")
    if validators_root(members) != header.validators_root:
        raise InvalidBlock(f"block {header.height} names another validator set than the one before it")
    check_finalization(header, certificate, committee(members), network.chain_id)


class SetChain:
    """Follows the sets epoch by epoch. From epoch 0 on nothing but the network file has to be trusted."""

    def __init__(self, network: Network, epoch: int = 0, members: Members = ()) -> None:
        self.network = network
        self.epoch = epoch
        self.members = members if epoch else bootstrap_members(network, 0)

    def pass_by(self, end: EpochEnd) -> None:
        """Go on to the next epoch. Raises an error of the family if this is not the end of the present one."""
        header, blocks = end.header, self.network.params.epoch_blocks
        if header.height != (self.epoch + 1) * blocks:
            raise InvalidBlock(f"epoch {self.epoch} ends with block {(self.epoch + 1) * blocks}, not {header.height}")
        check_final(header, end.certificate, self.members, self.network)
        following = end.following or self.members
        if validators_root(following) != header.next_validators_root:
            raise InvalidBlock(f"block {header.height} names another set for epoch {self.epoch + 1} than the one given")
        self.epoch, self.members = self.epoch + 1, following
