"""One figure of a benchmark."""

import json


def report(name: str, value: float, unit: str, reference: float | None = None, note: str = "") -> None:
    """Print a figure as one JSON line."""
    ratio = None if reference in (None, 0) else float(f"{value / reference:.4g}")
    line = {"name": name, "value": float(f"{value:.6g}"), "unit": unit, "reference": reference, "ratio": ratio, "note": note}
    print(json.dumps(line), flush=True)
