"""Importance of each weight to the bias proxy, to the prediction loss, and to the loss of one group."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.api import Run, Split
from bench.data.to_device import to_device
from bench.errors import EmptyGroup
from bench.learn.chunks import in_chunks, run_in_chunks
from bench.learn.losses import Terms, terms

ImportanceKind = Literal["fisher", "fisher_per_sample", "gradient_sum", "gradient_absolute"]
CHUNK = 16
"""Number of images whose gradients are in memory at a time: for a ResNet-50, 16 take 1.5 GB."""
Importance = dict[str, Tensor]
"""Name of a parameter -> non-negative tensor of its shape."""
Gradients = tuple[Tensor, ...]
"""In the order of the parameters."""


def fisher_importances(
    run: Run, net: nn.Module, split: str, kind: ImportanceKind = "fisher", of: Terms | None = None
) -> tuple[Importance, Importance]:
    """Return the importance of every parameter to the proxy and to the prediction loss (SWiFT, Eqs. 5-8).

    `fisher` is the mean over batches of the squared gradient; `gradient_sum` and `gradient_absolute` are the means of
    the gradient and of its absolute value, as in other paths of the public code of SWiFT and of BMFT (D39); for
    `fisher_per_sample` see that function. Evaluation mode, no augmentation, batches drawn once in an order that all
    methods share. Both importances come from one forward pass: the derivatives of the two losses by the logits are
    propagated back through the same graph. A batch on which the proxy is undefined adds 0 to the first.
    """
    of = terms(run, split) if of is None else of
    if kind == "fisher_per_sample":
        return fisher_per_sample(run, net, split, of)
    data = run.split(split)
    net.eval().requires_grad_(True)
    bias, prediction, batches = _zeros(net), _zeros(net), 0

    def gradients(x: Tensor, y: Tensor, a: Tensor, biased: bool, size: int) -> list[Gradients]:
        z = in_chunks(net, x, size)
        first = _pulled_back(net, z, of.prediction_gradient(z.detach(), y), again=biased)
        return [first, _pulled_back(net, z, of.proxy_gradient(z.detach(), y, a))] if biased else [first]

    order = data.index_batches(size=run.recipe.batch, shuffle=True, rng=run.rng("fisher", shared=True))
    for index, upright in data.read_ahead(order):
        biased, (y, a) = of.proxy_defined(*data.known(index)), data.labels(index)
        work = partial(gradients, data.images(index, upright), y, a, biased)
        both = run_in_chunks(net, len(index), work, what="importances", log=run.log)
        for total in (prediction, bias)[: len(both)]:
            _accumulate(total, both.pop(0), kind)  # `pop` frees the gradients before the next batch
        batches += 1
    return _divided(bias, batches), _divided(prediction, batches)


def fisher_per_sample(run: Run, net: nn.Module, split: str, of: Terms) -> tuple[Importance, Importance]:
    """Return the mean over the N images of the squared gradient of each image's share in each loss.

    The means and signs in the proxy and the weights of the classes are those of the whole split. Shares are multiplied
    by N, so that their mean is the loss.
    """
    data, z = run.split(split), run.score(net, split)
    y, a, n = data.y, data.a, len(data)
    weights = torch.stack([of.proxy_gradient(z, y, a), of.prediction_gradient(z, y)])
    bias, prediction = weighted_squares(
        run, net, data, lambda index, z: (n * weights[:, to_device(index, z.device)]) ** 2
    )
    return _divided(bias, n), _divided(prediction, n)


def weighted_squares(
    run: Run, net: nn.Module, data: Split, weigh: Callable[[Tensor, Tensor], Tensor]
) -> list[Importance]:
    """Return sum_i w_ki (dz_i / dtheta)^2 for each of K rows of weights, image by image, exactly.

    `weigh` maps the indices (B,) and logits (B,) of a few images to their weights (K, B). Evaluation mode, no
    augmentation. It costs a forward and a backward pass in small batches, and the memory of `CHUNK` gradients.
    """
    # A copy without hooks, because hooks that count images would count a chunk as one image.
    plain = copy.deepcopy(net).eval()
    for module in plain.modules():
        module._forward_hooks.clear()
    parameters = {name: p.detach() for name, p in plain.named_parameters()}

    def logit(values: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(plain, values, (x[None],))[0]

    by_image = torch.func.vmap(torch.func.grad_and_value(logit), in_dims=(None, 0))
    totals: list[Importance] = []

    def first(index: Tensor, augmentation: Tensor, size: int) -> tuple[dict[str, Tensor], Tensor]:
        with sdpa_kernel(SDPBackend.MATH):  # of the kernels of attention, the one that vmap splits up by image
            return by_image(parameters, data.images(index[:size], augmentation[:size]))

    for index, augmentation in data.index_batches(size=CHUNK):
        while len(index):
            gradients, z = run_in_chunks(
                plain, len(index), partial(first, index, augmentation), what="gradients by image", log=run.log
            )
            weights = weigh(index[: len(z)], z)
            totals = totals or [_zeros(net) for _ in weights]
            for name, gradient in gradients.items():
                for total, row in zip(totals, weights.to(gradient), strict=True):
                    total[name] += torch.tensordot(row, gradient.square(), dims=1)
            index, augmentation = index[len(z) :], augmentation[len(z) :]
    run.count(forward=len(data), backward=len(data))
    return totals


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

    w_i is the weight of an image's class: 1 or, with `weighted`, the share of the other class in `data` as in Eq. 1.
    `exact` is the diagonal of the generalised Gauss-Newton matrix, mean_i w_i p_i (1 - p_i) (dz_i)^2, image by image.
    `rademacher` is an unbiased estimate of it from one backward pass per batch with random signs e: the square of
    d(sum_i e_i sqrt(w_i p_i (1 - p_i)) z_i) has this expectation over e. `batch` is a different quantity, the mean over
    batches of the squared gradient of the batch's mean loss. Evaluation mode, no augmentation, in order.

    Raises:
        EmptyGroup: if `data` has no images.
    """
    if not len(data):
        raise EmptyGroup(f"no images to estimate a curvature from ({data.name})")
    net.eval().requires_grad_(True)
    positive = data.y.mean()
    weights = (1 - positive) * data.y + positive * (1 - data.y) if weighted else torch.ones_like(data.y)
    if kind == "exact":

        def weigh(index: Tensor, z: Tensor) -> Tensor:
            p = torch.sigmoid(z)
            return (weights[to_device(index, z.device)] * p * (1 - p))[None]

        return _divided(weighted_squares(run, net, data, weigh)[0], len(data))
    total, batches = _zeros(net), 0

    def gradients(index: Tensor, x: Tensor, signs: Tensor, size: int) -> Gradients:
        z = in_chunks(net, x, size)
        p = torch.sigmoid(z.detach())
        weight = weights[to_device(index, z.device)]
        if kind == "batch":
            return _pulled_back(net, z, weight * (p - data.labels(index)[0]) / len(z))
        return _pulled_back(net, z, (to_device(signs, z.device).to(z.dtype) * 2 - 1) * (p * (1 - p) * weight).sqrt())

    for index, augmentation in data.read_ahead(data.index_batches(size=run.recipe.batch)):
        signs = torch.randint(0, 2, (len(index),), generator=rng)
        # The images have no name here, because it would keep them in memory while the next batch is read.
        _accumulate(
            total,
            run_in_chunks(
                net,
                len(index),
                partial(gradients, index, data.images(index, augmentation), signs),
                what="curvature",
                log=run.log,
            ),
        )
        batches += 1
    return _divided(total, batches if kind == "batch" else len(data))


def _zeros(net: nn.Module) -> Importance:
    return {name: torch.zeros_like(parameter) for name, parameter in net.named_parameters()}


def _pulled_back(net: nn.Module, z: Tensor, u: Tensor, *, again: bool = False) -> Gradients:
    return torch.autograd.grad(z, list(net.parameters()), u, retain_graph=again)


def _accumulate(total: Importance, gradients: Gradients, kind: ImportanceKind = "fisher") -> None:
    for name, gradient in zip(total, gradients, strict=True):
        if kind == "fisher":
            total[name].addcmul_(gradient, gradient)
        else:
            total[name].add_(gradient.abs() if kind == "gradient_absolute" else gradient)


def _divided(total: Importance, count: int) -> Importance:
    return {name: value / count for name, value in total.items()}
