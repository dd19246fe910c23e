"""Ways to compute the same sums in another order: what stands for the other machine on one machine.

Of the switches that torch's CPU build reads, these change bits (tried one by one at both sizes): ATEN_CPU_CAPABILITY
(element-wise functions, sums, attention), ONEDNN_MAX_CPU_ISA (matrix products), MKL_CBWR=COMPATIBLE (products within
attention). These do not: the number of threads, MKL_CBWR=AVX2, MKL_ENABLE_INSTRUCTIONS, MKL_DEBUG_CPU_TYPE,
ONEDNN_CPU_ISA_HINTS, ONEDNN_DEFAULT_FPMATH_MODE, DNNL_MAX_CPU_ISA other than as ONEDNN_MAX_CPU_ISA, OPENBLAS_CORETYPE.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from training import products

THREADS, OWN_PRODUCTS = "CALIBRATE_THREADS", "CALIBRATE_NO_ONEDNN"

OLDEST = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}
SETTINGS: dict[str, dict[str, str]] = {
    "aten-default": {"ATEN_CPU_CAPABILITY": "default"},
    "onednn-sse41": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "aten-avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "onednn-avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "oldest": OLDEST,
    "mkl-compatible": {"MKL_CBWR": "COMPATIBLE"},
    "all-avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
    "onednn-avx": {"ONEDNN_MAX_CPU_ISA": "AVX"},
    "oldest-2-threads": {**OLDEST, THREADS: "2"},
    "no-onednn": {OWN_PRODUCTS: "1"},
    "2-threads": {THREADS: "2"},
    "no-onednn-2-threads": {OWN_PRODUCTS: "1", THREADS: "2"},
}
READ = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_CBWR", THREADS, OWN_PRODUCTS)

Product = Callable[[Tensor, Tensor], Tensor]


def environment(setting: str) -> dict[str, str]:
    """The variables of a child process that computes in this way; `plain` is what the machine does by itself."""
    inherited = {name: value for name, value in os.environ.items() if name not in READ}
    return {**inherited, **({} if setting == "plain" else SETTINGS[setting])}


def apply_environment() -> None:
    """What this process has to do itself to be of its setting."""
    torch.set_num_threads(int(os.environ.get(THREADS, "1")))
    if os.environ.get(OWN_PRODUCTS):
        products.HAS_ONEDNN = False


@contextmanager
def products_by(rule: Product) -> Iterator[None]:
    """Within, all linear maps of the model and their gradients are multiplied by `rule`."""
    usual = products.product
    products.product = rule
    try:
        yield
    finally:
        products.product = usual


def shortened(name: str) -> Product:
    """Products of shortened factors, as bf16, fp16 or TF32 units make them: summed in fp32."""
    exact = products.product

    def rounded(x: Tensor) -> Tensor:
        if name == "tf32":
            bits = x.contiguous().view(torch.int32)
            return ((bits + 0x0FFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)
        return x.to({"bf16": torch.bfloat16, "fp16": torch.float16}[name]).float()

    def rule(x: Tensor, weight: Tensor) -> Tensor:
        out = exact(rounded(x), rounded(weight))
        return out if name == "tf32" else rounded(out)

    return rule


def half_products(dtype: torch.dtype) -> Product:
    """Products in a short type by the machine's own kernels."""

    def rule(x: Tensor, weight: Tensor) -> Tensor:
        return (x.to(dtype) @ weight.to(dtype).t()).float()

    return rule
