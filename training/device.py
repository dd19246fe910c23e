"""The device to train on, and a sentence that tells the operator why."""

import shutil

import torch

from training.errors import DeviceError

NO_GPU = (
    "No GPU detected: training on the CPU. For an NVIDIA GPU install its driver and a CUDA build of PyTorch "
    "(pip install torch, without the CPU index); on an Apple M-series computer PyTorch finds the GPU itself."
)
CPU_BUILD = (
    "An NVIDIA GPU is present, but this PyTorch is a CPU build: training on the CPU. "
    "Install a CUDA build (pip install torch, without the CPU index) to use the GPU."
)


def choose_device(wish: str = "auto") -> tuple[torch.device, str]:
    """The device for `auto`, `cpu`, `cuda` or `mps`, and why. Raises DeviceError if the wished one is missing."""
    # Rounds are replayed by others in full fp32: shortened products would fail their audit.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if wish not in ("auto", "cpu", "cuda", "mps"):
        raise DeviceError(f"unknown device {wish!r}: choose auto, cpu, cuda or mps")
    if wish in ("auto", "cuda") and torch.cuda.is_available():
        return torch.device("cuda"), f"Training on the GPU, {torch.cuda.get_device_name()}."
    if wish in ("auto", "mps") and torch.backends.mps.is_available():
        return torch.device("mps"), "Training on the Apple GPU (MPS)."
    if wish == "cpu":
        return torch.device("cpu"), "Training on the CPU, as asked."
    missing = CPU_BUILD if torch.version.cuda is None and shutil.which("nvidia-smi") else NO_GPU
    if wish != "auto":
        raise DeviceError(f"{wish} was asked for and is not usable. {missing}")
    return torch.device("cpu"), missing
