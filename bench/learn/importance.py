"""How much each weight matters: to the bias proxy, to the prediction loss, and to one group's loss."""

from __future__ import annotations

from typing import Literal

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


def curvature(
    run: Run,
    net: nn.Module,
    data: Split,
    rng: torch.Generator,
    kind: Literal["rademacher", "exact", "batch"] = "rademacher",
    *,
    weighted: bool = False,
) -> Importance:
    """Return a diagonal curvature of the cross-entropy over `data`, by parameter.

    With w_i the weight of an image's class (1; with `weighted` the other class's share of `data`, as in Eq. 1):
    `exact` is the diagonal of the generalised Gauss-Newton matrix, mean_i w_i p_i (1 - p_i) (dz_i)^2, image by
    image. `rademacher` estimates it without bias in one backward pass per batch with random signs e: the square of
    d(sum_i e_i sqrt(w_i p_i (1 - p_i)) z_i) has that expectation over e. `batch` is another quantity, the mean over
    batches of the squared gradient of the batch's mean loss. Evaluation mode, no augmentation, in order.

    Raises:
        EmptyGroup: if `data` has no images.
    """
    if not len(data):
        raise EmptyGroup(f"no images to estimate a curvature from ({data.name})")
    net.eval().requires_grad_(True)
    total, batches, positive = _zeros(net), 0, data.y.mean()
    for x, y, _ in data.batches(size=run.recipe.batch):
        weight = (1 - positive) * y + positive * (1 - y) if weighted else torch.ones_like(y)
        batches += 1
        if kind == "exact":
            _add_squared_by_image(total, run, net, x, weight)
            continue
        z = net(x)
        p = torch.sigmoid(z.detach())
        if kind == "batch":
            u = weight * (p - y) / len(z)
        else:
            signs = torch.randint(0, 2, (len(z),), generator=rng).to(z) * 2 - 1
            u = signs * (p * (1 - p) * weight).sqrt()
        _add_squared(total, net, z, u, again=False)
    return _divided(total, batches if kind == "batch" else len(data))


IMAGES_AT_ONCE = 16
"""So many copies of all gradients are held at once: 1.5 GB for a ResNet-50."""


def _add_squared_by_image(total: Importance, run: Run, net: nn.Module, x: Tensor, weight: Tensor) -> None:
    """Add sum_i weight_i p_i (1 - p_i) (dz_i)^2 over the images x (B, 3, H, W)."""
    from torch.func import functional_call, grad_and_value, vmap

    parameters = {name: parameter.detach() for name, parameter in net.named_parameters()}

    def logit(parameters: Importance, image: Tensor) -> Tensor:
        return functional_call(net, parameters, (image[None],)).squeeze(0)

    by_image = vmap(grad_and_value(logit), in_dims=(None, 0))
    for images, weights in zip(x.split(IMAGES_AT_ONCE), weight.split(IMAGES_AT_ONCE), strict=True):
        gradients, z = by_image(parameters, images)
        # Within vmap the network sees, and the run counts, one image.
        run.count(forward=len(z) - 1, backward=len(z) - 1)
        p = torch.sigmoid(z)
        for name, gradient in gradients.items():
            total[name] += torch.einsum("i,i...->...", (p * (1 - p) * weights).to(gradient), gradient**2)


def _zeros(net: nn.Module) -> Importance:
    return {name: torch.zeros_like(parameter) for name, parameter in net.named_parameters()}


def _add_squared(total: Importance, net: nn.Module, z: Tensor, u: Tensor, *, again: bool) -> None:
    gradients = torch.autograd.grad(z, list(net.parameters()), u, retain_graph=again)
    for name, gradient in zip(total, gradients, strict=True):
        total[name].addcmul_(gradient, gradient)


def _divided(total: Importance, count: int) -> Importance:
    return {name: value / count for name, value in total.items()}
