"""What a block's certificates must say: the bridge between headers and consensus, for judging and for the archive."""

from chain.block import Block, Header
from chain.errors import InvalidBlock
from chain.state import State
from consensus.certificate import verify_certificate
from consensus.committee import Committee, Member, leader_of
from consensus.messages import FINALIZE, NOTARIZE, Certificate


def committee_of(state: State, epoch: int) -> Committee:
    """The validator set of an epoch as consensus numbers it."""
    return Committee(tuple(Member(member.public_key, member.power) for member in state.validators(epoch).members))


def check_proposer(header: Header, committee: Committee) -> None:
    """Raise InvalidBlock unless the view's leader proposed the block."""
    leader = leader_of(committee, header.epoch, header.view)
    if header.proposer != leader:
        raise InvalidBlock(f"block {header.height}: proposer {header.proposer}, the leader of its view is {leader}")


def check_finalization(header: Header, encoded: bytes, committee: Committee, chain_id: bytes) -> None:
    """Raise an error of the family unless these bytes certify that the block is final."""
    certificate = Certificate.decode(encoded)
    # The last block of an epoch may be finalized in a later view that proposed it again.
    place = (certificate.kind, certificate.epoch, certificate.block_hash)
    if place != (FINALIZE, header.epoch, header.hash()) or certificate.view < header.view:
        raise InvalidBlock(f"block {header.height}: its certificate is about something else")
    verify_certificate(certificate, committee, chain_id)


def check_parent_certificate(block: Block, parent: Header | None, committee: Committee, chain_id: bytes) -> None:
    """Raise an error of the family unless the body shows the parent notarized or final; block 1 shows nothing."""
    header, encoded = block.header, block.body.parent_certificate
    if parent is None:
        if encoded:
            raise InvalidBlock("block 1 stands on the genesis, which has no certificate")
        return
    certificate = Certificate.decode(encoded)
    is_about = (certificate.epoch, certificate.block_hash) == (parent.epoch, header.parent_hash)
    in_time = parent.view <= certificate.view and (parent.epoch < header.epoch or certificate.view < header.view)
    if certificate.kind not in (NOTARIZE, FINALIZE) or not is_about or not in_time:
        raise InvalidBlock(f"block {header.height}: the certificate in its body is not one of its parent")
    verify_certificate(certificate, committee, chain_id)
