"""The fast products agree with PyTorch's own, forward and backward."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training import products
from training.products import HEAD_ROWS, head_loss, linear


@pytest.fixture(params=["the kernels of this machine", "the plain ones"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "the plain ones":
        monkeypatch.setattr(products, "HAS_ONEDNN", False)


def some(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator).requires_grad_()


def gradients(loss: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, inputs)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("outputs", [3, 20])
def test_a_linear_map_and_its_gradients_are_those_of_pytorch(outputs: int) -> None:
    x, weight, direction = some(2, 5, 8), some(outputs, 8), some(2, 5, outputs)
    ours, theirs = linear(x, weight), F.linear(x, weight)
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(
        gradients((ours * direction).sum(), x, weight), gradients((theirs * direction).sum(), x, weight), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("tokens", [1, HEAD_ROWS - 1, HEAD_ROWS, HEAD_ROWS + 1, 2 * HEAD_ROWS + 7])
def test_the_head_in_chunks_has_the_loss_and_gradients_of_the_whole(tokens: int) -> None:
    x, weight = some(tokens, 8), some(50, 8)
    targets = torch.arange(tokens) * 7 % 50
    ours, theirs = head_loss(x, weight, targets), F.cross_entropy(F.linear(x, weight), targets)
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(gradients(3 * ours, x, weight), gradients(3 * theirs, x, weight), strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        assert torch.equal(head_loss(x, weight, targets), ours)


@pytest.mark.usefixtures("kernels")
def test_huge_logits_overflow_neither_loss_nor_gradient() -> None:
    x, weight = torch.full((2, 4), 1e18, requires_grad=True), some(6, 4)
    loss = head_loss(x, weight, torch.tensor([0, 5]))
    assert torch.isfinite(loss) and all(torch.isfinite(each).all() for each in gradients(loss, x, weight))


def test_the_same_products_give_the_same_bits_again() -> None:
    x, weight, targets = some(600, 64), some(512, 64), torch.arange(600) % 512
    first = gradients(head_loss(x, weight, targets), x, weight)
    for _ in range(5):
        again = gradients(head_loss(x, weight, targets), x, weight)
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
