"""Who took part in an epoch: signers are counted from the certificates that blocks carry of their parents.

Start reading at `count_signers`, which sees every block, and `attendance`, which judges the epoch at its end.
"""

from chain.block import Body
from chain.crypto.votes import FINALIZE, NOTARIZE, Certificate
from chain.errors import InvalidBlock
from chain.genesis import Params
from chain.stakes import PARTICIPATION_KEY, Participation
from chain.state import State


def count_signers(draft: State, parent_epoch: int, parent_hash: bytes, epoch: int, body: Body) -> None:
    """Count who signed the parent's certificate in the body. Whether they really did is for validators to check."""
    if not body.parent_certificate:
        return
    certificate = Certificate.decode(body.parent_certificate)
    # A proposer that was away may know the parent only as final: a finalization shows as much, and counts as well.
    is_about = (certificate.epoch, certificate.block_hash) == (parent_epoch, parent_hash)
    if certificate.kind not in (NOTARIZE, FINALIZE) or not is_about:
        raise InvalidBlock("the certificate in the body is not the parent's notarization or finalization")
    size = len(draft.validators(parent_epoch).members)
    bits = int.from_bytes(certificate.bitmap, "little")
    if len(certificate.bitmap) != (size + 7) // 8 or bits >> size:
        raise InvalidBlock(f"the bitmap of the parent's certificate does not fit a set of {size}")
    if parent_epoch != epoch:
        return  # the epoch's account is closed
    before = draft.need(Participation, PARTICIPATION_KEY)
    signed = before.signed or (0,) * size
    counts = tuple(count + (bits >> place & 1) for place, count in enumerate(signed))
    draft.put(PARTICIPATION_KEY, Participation(before.counted + 1, counts))


def attendance(state: State, size: int, params: Params) -> tuple[list[bool], list[bool]]:
    """By place in the ending epoch's set of `size`: who was active, and who signed so little that it goes to jail.

    Nobody is active without a signature, nor absent when none was counted: no power changes without evidence.
    """
    found = state.need(Participation, PARTICIPATION_KEY)
    signed = found.signed or (0,) * size
    least = max(1, params.active_basis_points * found.counted)
    active = [10_000 * count >= least for count in signed]
    absent = [10_000 * count < params.downtime_basis_points * found.counted for count in signed]
    return active, absent
