"""The choice of the device and the sentence about it."""

from collections import namedtuple

import pytest
import torch

from training import device as device_module
from training.device import choose_device
from training.errors import DeviceError

Machine = namedtuple("Machine", "cuda mps driver")


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be a machine with these parts, whatever this one has."""

    def pretend(parts):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: parts.cuda)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H200")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: parts.mps)
        monkeypatch.setattr(torch.version, "cuda", "13" if parts.cuda else None)
        monkeypatch.setattr(device_module.shutil, "which", lambda name: "/bin/" + name if parts.driver else None)

    return pretend


@pytest.mark.parametrize(
    ("parts", "wish", "wanted", "reason"),
    [
        (Machine(False, False, False), "auto", "cpu", "No GPU detected"),
        (Machine(False, False, True), "auto", "cpu", "CPU build"),
        (Machine(True, False, True), "auto", "cuda", "H200"),
        (Machine(True, False, True), "cuda", "cuda", "H200"),
        (Machine(True, False, True), "cpu", "cpu", "as asked"),
        (Machine(False, True, False), "auto", "mps", "Apple"),
        (Machine(False, True, False), "mps", "mps", "Apple"),
    ],
)
def test_the_best_present_device_or_the_wished_one_is_taken(machine, parts, wish, wanted, reason):
    machine(parts)
    device, sentence = choose_device(wish)
    assert device.type == wanted and reason in sentence


@pytest.mark.parametrize("wish", ["cuda", "mps", "tpu"])
def test_a_device_that_is_not_there_is_refused_with_what_to_do(machine, wish):
    machine(Machine(False, False, False))
    with pytest.raises(DeviceError, match=r"install|choose"):
        choose_device(wish)


def test_without_a_gpu_the_sentence_says_what_to_install(machine):
    machine(Machine(False, False, False))
    assert "install" in choose_device()[1]


def test_shortened_products_are_switched_off():
    torch.backends.cuda.matmul.allow_tf32 = True
    choose_device("cpu")
    assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
