"""One figure of a benchmark."""

import json


def report(name: str, value: float | None, unit: str, reference: float | None = None, note: str = "") -> None:
    """Print a figure as one JSON line. `value` is None for what was not reached; `note` then says so."""
    line = {
        "name": name,
        "value": None if value is None else float(f"{value:.6g}"),
        "unit": unit,
        "reference": reference,
        "ratio": None if value is None or not reference else float(f"{value / reference:.4g}"),
        "note": note,
    }
    print(json.dumps(line), flush=True)
