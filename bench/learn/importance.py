"""How much each weight matters: to the bias proxy, to the prediction loss, and to one group's loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.api import Run, Split
from bench.errors import EmptyGroup
from bench.learn.losses import defined_terms, equalised_odds_proxy_gradient, prediction_loss_gradient

Importance = dict[str, Tensor]
"""Name of a parameter -> tensor of its shape, not negative."""


def fisher_importances(run: Run, net: nn.Module, split: str) -> tuple[Importance, Importance]:
    """Return the importance of every parameter to the proxy and to the prediction loss (SWiFT, Eqs. 5-8).

    The mean over batches of the squared gradient, in evaluation mode, without augmentation, batches drawn
    once in an order that all methods share. Both come from one forward pass: the derivatives of the two
    losses by the logits are known in closed form and are pulled back through the same graph. A batch on
    which the proxy is undefined adds 0 to the first.
    """
    data = run.split(split)
    net.eval().requires_grad_(True)
    bias, prediction, batches = _zeros(net), _zeros(net), 0
    for x, y, a in data.batches(size=run.recipe.batch, shuffle=True, rng=run.rng("fisher", shared=True)):
        z = net(x)
        proxy = defined_terms(y, a) > 0
        _add_squared(prediction, net, z, prediction_loss_gradient(z.detach(), y), again=proxy)
        if proxy:
            _add_squared(bias, net, z, equalised_odds_proxy_gradient(z.detach(), y, a), again=False)
        batches += 1
    return _divided(bias, batches), _divided(prediction, batches)


def curvature(run: Run, net: nn.Module, data: Split, rng: torch.Generator) -> Importance:
    """Estimate the diagonal of the generalised Gauss-Newton matrix of the cross-entropy over `data`.

    Per batch one backward pass with random signs e: the square of d(sum_i e_i sqrt(p_i (1 - p_i)) z_i), whose
    expectation over e is sum_i p_i (1 - p_i) (dz_i)^2. Evaluation mode, no augmentation, in order.

    Raises:
        EmptyGroup: if `data` has no images.
    """
    if not len(data):
        raise EmptyGroup(f"no images to estimate a curvature from ({data.name})")
    net.eval().requires_grad_(True)
    total = _zeros(net)
    for x, _, _ in data.batches(size=run.recipe.batch):
        z = net(x)
        p = torch.sigmoid(z.detach())
        signs = torch.randint(0, 2, (len(z),), generator=rng).to(z) * 2 - 1
        _add_squared(total, net, z, signs * (p * (1 - p)).sqrt(), again=False)
    return _divided(total, len(data))


def _zeros(net: nn.Module) -> Importance:
    return {name: torch.zeros_like(parameter) for name, parameter in net.named_parameters()}


def _add_squared(total: Importance, net: nn.Module, z: Tensor, u: Tensor, *, again: bool) -> None:
    gradients = torch.autograd.grad(z, list(net.parameters()), u, retain_graph=again)
    for name, gradient in zip(total, gradients, strict=True):
        total[name].addcmul_(gradient, gradient)


def _divided(total: Importance, count: int) -> Importance:
    return {name: value / count for name, value in total.items()}
