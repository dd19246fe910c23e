"""Amounts as people write them: decimal NEURO with at most nine digits behind the point, never a float."""

import re

from wallet.errors import AmountError

DIGITS = 9
NANOS = 10**DIGITS
NANOS_MAXIMUM = 2**128 - 1
MAX_TEXT = 60
_FORM = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,40})?", re.ASCII)


def parse_amount(text: str) -> int:
    """The nanos of a text such as 12, 0.5 or 1.000000001. Raises AmountError."""
    if len(text) > MAX_TEXT or not _FORM.fullmatch(text):
        raise AmountError(
            "an amount is digits with at most one point, such as 12 or 0.5: no sign, comma, blank or exponent"
        )
    whole, _, parts = text.partition(".")
    if len(parts) > DIGITS:
        raise AmountError(f"one NEURO has 10^{DIGITS} nanos: at most {DIGITS} digits may stand behind the point")
    nanos = int(whole) * NANOS + int(parts.ljust(DIGITS, "0"))
    if nanos > NANOS_MAXIMUM:
        raise AmountError("that is more than any ledger can hold")
    return int(nanos)


def plain_amount(nanos: int) -> str:
    """All digits that say something, as `parse_amount` reads them: 1.5."""
    whole, parts = divmod(abs(nanos), NANOS)
    digits = f"{parts:0{DIGITS}}".rstrip("0")
    return f"{'-' if nanos < 0 else ''}{whole}{'.' + digits if digits else ''}"


def neuro(nanos: int) -> str:
    """For people, with all digits: 1,234.5 NEURO."""
    whole, point, parts = plain_amount(nanos).partition(".")
    return f"{int(whole):,}{point}{parts} NEURO" if whole != "-0" else f"-0{point}{parts} NEURO"
