"""Whether the ledger and the record of our votes, read at a start, still fit together.

Each is written durably in its turn: a block before it is voted for, a vote before it counts, a certificate and a final
block before anybody hears of them. So if one of the two lacks what the other proves, a disk has lost something.
"""

from pathlib import Path

from chain.transition import epoch_of
from consensus.committee import is_quorum
from consensus.messages import Certificate
from node.certificates import committee_of
from node.errors import StoreError
from node.key_value import RESTORE
from node.ledger_view import LedgerView
from node.sign_state import SignState, SignStateError, owner_of


def open_sign_state(path: Path, view: LedgerView, public_key: bytes) -> SignState:
    """The votes of validator `public_key`, checked against its ledger. Raises SignStateError or StoreError."""
    sign_state = SignState.open(path, owner_of(view.network.chain_id, public_key))
    try:
        check_consistency(view, sign_state, public_key)
    except BaseException:
        sign_state.close()
        raise
    return sign_state


def check_consistency(view: LedgerView, sign_state: SignState, public_key: bytes) -> None:
    """Raise SignStateError if votes of validator `public_key` are lost, StoreError if blocks are that only it has."""
    tip = view.tip
    place = (tip.epoch, tip.view)
    voted = [block for where, block in sign_state.finalized().items() if where > place]
    # The last block of an epoch may be voted for once more in a later view, when it is final already.
    lost = [block for block in voted if not view.has(block)]
    # Others still have what was final; only who decides alone has the only copy.
    if (sign_state.floor > place or lost) and _decides_alone(view, public_key):
        raise StoreError(
            f"the ledger ends at height {tip.height}, but this node has finalized blocks after it: they are lost; "
            f"{RESTORE}"
        )
    for certificate in _certificates(view):
        where = (certificate.epoch, certificate.view)
        if where <= sign_state.floor or not _signed(view, certificate, public_key):
            continue
        own = sign_state.own_votes(certificate.epoch).get(certificate.view)
        if own is None or (certificate.kind, certificate.block_hash) not in own.votes():
            raise SignStateError(
                f"the ledger holds a vote of this node in epoch {where[0]}, view {where[1]} that {sign_state.path} "
                f"lacks: votes are lost, and voting would be unsafe; {RESTORE}"
            )


def _decides_alone(view: LedgerView, public_key: bytes) -> bool:
    committee = committee_of(view.state(), epoch_of(view.tip.height + 1, view.network.params))
    place = committee.place_of(public_key)
    return place is not None and is_quorum(committee, [place])


def _certificates(view: LedgerView) -> list[Certificate]:
    """What was certified at the end of the ledger and after it."""
    encoded = view.final_certificate(view.tip.height)
    return [*([Certificate.decode(encoded)] if encoded else []), *view.kept()]


def _signed(view: LedgerView, certificate: Certificate, public_key: bytes) -> bool:
    place = committee_of(view.state(), certificate.epoch).place_of(public_key)
    return place is not None and bool(certificate.bitmap[place >> 3] >> (place & 7) & 1)
