"""Chest films of the phantom: attenuation as a sum of parts, then window, gamma, blur and noise.

Coordinates x (to the right of the image) and y (down) run over [-1, 1]. Lengths are in these units unless another unit
is given; attenuation and densities are in units of those of the trunk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

Rng = np.random.Generator
Plane = np.ndarray
"""Float32 (size, size)."""


@dataclass(frozen=True)
class Film:
    """How a hospital takes its films; blur is in pixels of a 64-pixel film, noise in [0, 1] grey values."""

    gain: float
    gamma: float
    gamma_spread: float
    blur: float
    noise: float
    anteroposterior: float
    """Share of films taken from the front, in which the heart looks larger."""
    cue: float = 1.0
    core: float = 1.0


FILMS = {
    "source": Film(0.04, 0.0, 0.06, 0.7, 0.040, 0.25),
    "ood_neutral": Film(0.06, 0.0, 0.10, 0.8, 0.045, 0.45, core=0.95),
    "ood_reversed": Film(0.05, 0.10, 0.08, 0.8, 0.045, 0.25, cue=0.85, core=0.95),
}


@cache
def grid(size: int) -> tuple[Plane, Plane]:
    """Return x and y (size, size), float32, at the centres of the pixels."""
    centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / size) - 1
    x, y = np.meshgrid(centres, centres)
    x.setflags(write=False)
    y.setflags(write=False)
    return x, y


def logistic(t: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-t)), without overflow in float32."""
    return 0.5 + 0.5 * np.tanh(0.5 * t)


@cache
def _taps(sigma: float) -> tuple[float, ...]:
    reach = max(1, int(3 * sigma + 0.5))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return tuple((taps / taps.sum()).tolist())


@cache
def _repeated(length: int, reach: int) -> np.ndarray:
    return np.clip(np.arange(-reach, length + reach), 0, length - 1)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Return the Gaussian blur of (H, W, ...) by `sigma` pixels, with repeated edges.

    Sums of shifted images take a third of the time of scipy.ndimage at 64 pixels and start no threads.
    """
    taps, (height, width) = _taps(sigma), image.shape[:2]
    reach = len(taps) // 2
    padded = image.take(_repeated(height, reach), axis=0)
    image = taps[reach] * image
    for shift in range(reach):
        image += taps[shift] * (padded[shift : shift + height] + padded[2 * reach - shift : 2 * reach - shift + height])
    padded = image.take(_repeated(width, reach), axis=1)
    image *= taps[reach]
    for shift in range(reach):
        last = 2 * reach - shift
        image += taps[shift] * (padded[:, shift : shift + width] + padded[:, last : last + width])
    return image


@cache
def _band(size: int, fine: float, coarse: float) -> np.ndarray:
    down, right = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    squared = 2 * np.pi**2 * (down**2 + right**2) * (size / 64) ** 2
    band = np.exp(-squared * fine**2) - np.exp(-squared * coarse**2)
    twice = np.where((right == 0) | (right == 0.5), 1, 2)  # a real transform keeps one of each pair
    return (band * size / np.sqrt((twice * band**2).sum())).astype(np.float32)


def noise_band(rng: Rng, size: int, fine: float, coarse: float) -> Plane:
    """Return noise (size, size) of unit variance between two widths, in pixels of a 64-pixel image."""
    from scipy.fft import irfft2, rfft2  # takes a quarter of a second to import, and a plan draws no image

    white = rng.standard_normal((size, size), dtype=np.float32)
    return np.asarray(irfft2(rfft2(white) * _band(size, fine, coarse), s=(size, size)))


def _mean(image: np.ndarray) -> np.ndarray:
    rows = image[::2] + image[1::2]
    return 0.25 * (rows[:, ::2] + rows[:, 1::2])


def render(size: int, hospital: str, person: Rng, shot: Rng, *, air: float, old: float, female: float) -> np.ndarray:
    """Draw one film: uint8 (size, size).

    `person` draws the anatomy, `shot` all that differs between the films of a person; neither depends on the other
    arguments. `air` is the visibility of a pneumothorax (0 = none), `old` and `female` are the strengths of the two
    cues, all in [0, 1] or a little above.
    """
    film = FILMS[hospital]
    air, old, female = air * film.core, old * film.cue, female * film.cue
    # Lists, because a NumPy scalar in a product would turn the float32 images into float64.
    anatomy, position = person.standard_normal(12).tolist(), shot.standard_normal(8).tolist()
    exposure, chance, extent = shot.standard_normal(4).tolist(), shot.random(8).tolist(), shot.beta(1.6, 2.6)
    turn, zoom = 0.04 * position[0], 1 / (1 + 0.04 * position[1])
    view = (zoom * math.cos(turn), zoom * math.sin(turn), 0.03 * position[2], 0.03 * position[3])
    heart = (1.12 if chance[0] < film.anteroposterior else 1.0) * (1 + 0.08 * old) * (1 + 0.04 * anatomy[2])
    width = 0.875 + 0.03 * anatomy[0]

    # Edges and lines are thinner than the pixels of the film and therefore drawn at twice its resolution.
    x, y = _seen(2 * size, *view)
    fine = _lungs_and_lines(x, y, anatomy, chance, width, breath=0.02 * position[4], extent=extent, air=air, old=old)
    lungs, aerated, lines = map(_mean, fine)
    x, y = _seen(size, *view)
    aside, squared = np.abs(x), (x / width) ** 2
    trunk = logistic((1 - squared * np.sqrt(squared) - (y / 1.35) ** 2 * (y / 1.35) ** 2) / 0.04)
    image = 0.95 * np.sqrt(np.maximum(1 - 0.8 * (x / (width + 0.05)) ** 2, 0)) - 0.62 * lungs + lines
    image += logistic((0.085 - aside) / 0.02) * (0.32 - 0.12 * old + 0.04 * np.cos(38 * y))  # spine
    image += _breasts(aside, y, female, anatomy)
    image = image * trunk + _soft(x, y, aside, heart, old, anatomy) + aerated * _markings(size, shot, aside, x, y)

    grey = np.maximum((image - 0.10) / 1.4, 0) ** math.exp(film.gamma + film.gamma_spread * exposure[0])
    grey = blur(grey * (1 + film.gain * exposure[1]), film.blur * size / 64)
    grey += 0.02 * exposure[2] + film.noise * shot.standard_normal((size, size), dtype=np.float32)
    return (np.clip(grey, 0, 1) * 255 + 0.5).astype(np.uint8)


def _lungs_and_lines(
    x: Plane,
    y: Plane,
    anatomy: list,
    chance: list,
    width: float,
    *,
    breath: float,
    extent: float,
    air: float,
    old: float,
) -> tuple[Plane, Plane, Plane]:
    """Return the lung fields, the part of them that shows markings, and ribs, folds and the finding, each like `x`."""
    aside, middle, half, apex = np.abs(x), 0.42 * width, 0.37 * width, -0.78 + 0.04 * anatomy[1]
    floor = 0.56 + breath + (0.13 / half**2) * (aside - middle) ** 2 - np.float32(0.05) * (x < 0)
    lungs, _ = _lung(aside, y, middle, half, apex, floor)
    lungs *= logistic((floor - y) / 0.03)
    lines = _ribs(aside, y, apex, 0.17 + 0.02 * anatomy[4] - 0.08 * old, 0.02 * anatomy[5])
    if chance[2] < 0.25:
        lines += _fold(x, y, chance[3:6]) * lungs
    if air == 0:
        return lungs, lungs, lines
    # The lung shrinks towards the hilum, which stays where it is, and down from the apex.
    shrunk = 0.10 + 0.38 * extent
    inner, pleura = _lung(aside, y, middle - half * shrunk, half * (1 - shrunk), apex + 0.08 + 0.38 * extent, floor)
    affected = lungs * (x > 0 if chance[1] < 0.5 else x < 0)
    empty = air * affected * (1 - inner)
    lines += (0.20 * air) * affected * pleura - 0.16 * empty
    return lungs, lungs - empty, lines


def _seen(size: int, across: float, along: float, right: float, down: float) -> tuple[Plane, Plane]:
    """Return x and y of the body at the pixels of a rotated, scaled and shifted film."""
    x, y = grid(size)
    return across * x + along * y + right, across * y - along * x + down


def _lung(aside: Plane, y: Plane, middle: float, half: float, apex: float, floor: Plane) -> tuple[Plane, Plane]:
    """Return the mask of both lung fields without their floor, and the line along their lateral edge."""
    rise = np.clip((floor - y) / (floor - apex), 0, 1)
    reach = half * np.sqrt(1 - rise * rise * np.sqrt(np.sqrt(rise)))  # power 2.25; roots are fast
    away, below_apex = aside - middle, logistic((y - apex) / 0.03)
    lateral = np.minimum(np.abs(reach - away) / 0.025, 8)  # beyond it the line is below 1e-27 and slow to compute
    return logistic((reach - np.abs(away)) / 0.03) * below_apex, np.exp(-lateral * lateral) * below_apex


def _markings(size: int, shot: Rng, aside: Plane, x: Plane, y: Plane) -> Plane:
    """Draw vessels: nine lobes around each hilum and a band of noise, both fading outwards."""
    from_hilum, up = aside - 0.15, y + 0.05
    fade = np.exp(np.sqrt(from_hilum * from_hilum + up * up) / -0.42)
    lobes = np.maximum(np.cos(9 * np.arctan2(up, from_hilum) + np.sign(x)), 0)
    return fade * (0.16 * lobes * lobes + 0.055 * noise_band(shot, size, 0.9, 2.6))


def _ribs(aside: Plane, y: Plane, apex: float, density: float, shift: float) -> Plane:
    """Draw eight ribs and a collar bone on each side."""
    ribs = (y - 0.34 * np.maximum(aside - 0.12, 0) ** 1.35 - (apex - 0.06 + shift)) / 0.17
    nearest = np.rint(ribs)
    away = (ribs - nearest) * (0.17 / 0.03)
    shape = np.exp(-away * away) * ((nearest >= 0) & (nearest < 8) & (aside > 0.1))
    collar = np.minimum(np.abs(y + 0.66 + 0.16 * aside) / 0.035, 8)
    return density * shape + 0.12 * np.exp(-collar * collar) * ((aside > 0.1) & (aside < 0.62))


def _fold(x: Plane, y: Plane, chance: list[float]) -> Plane:
    """Draw a skin fold, which a quarter of the films have: a line like the pleura, but with markings on both sides."""
    side = 1 if chance[0] < 0.5 else -1
    line = (side * x - (0.35 + 0.25 * chance[1])) + (0.6 * chance[2] - 0.3) * y
    return 0.10 * np.exp(-(np.minimum(np.abs(line) / 0.025, 8) ** 2))


def _soft(x: Plane, y: Plane, aside: Plane, heart: float, old: float, anatomy: list[float]) -> Plane:
    """Draw mediastinum, heart, windpipe, abdomen, and the age cue: the aortic knob with its rim of calcium."""
    image = 0.22 * logistic((0.15 - aside) / 0.03) * (y > -0.9)
    outline = np.sqrt(((x - 0.13) / 0.33) ** 2 + ((y - 0.34) / 0.30) ** 2) / heart
    image += 0.34 * logistic((1 - outline) / 0.06)
    image -= 0.14 * logistic((0.045 - aside) / 0.02) * logistic((-0.30 - y) / 0.05)
    image += 0.16 * logistic((y - 0.72) / 0.05) * (aside < 0.85)
    knob, right, down = 0.105 + 0.04 * old, x - 0.17, y + 0.33
    radius = np.sqrt(right * right + down * down)
    image += 0.16 * logistic((knob - radius) / 0.02)
    calcium = 0.40 * old * max(1 + 0.45 * anatomy[6], 0)
    image += calcium * np.exp(-(np.minimum(np.abs(radius - knob) / 0.025, 8) ** 2)) * (right > -0.03)
    return image


def _breasts(aside: Plane, y: Plane, female: float, anatomy: list[float]) -> Plane:
    """Draw soft tissue over the lower lungs: the sex cue, and a little of it in everyone."""
    density = 0.18 * female + abs(0.04 + 0.05 * anatomy[7])
    outline = np.sqrt(((aside - 0.45) / 0.30) ** 2 + ((y - 0.28) / 0.27) ** 2)
    return density * logistic((1 - outline) / 0.05)


def with_findings(image: np.ndarray, person: Rng, *, effusion: bool, nodule: bool) -> np.ndarray:
    """Return a film, uint8 (size, size), with fluid above one half of the diaphragm, and with a round spot in a lung.

    `person` draws side and place, whether a finding is there or not.
    """
    x, y = grid(len(image))
    side, spot, right, down = person.random(4).tolist()
    aside = x if side < 0.5 else -x
    fluid = (
        logistic((aside - 0.22) / 0.03) * logistic((0.80 - aside) / 0.03) * logistic((y - 0.38 + 0.25 * aside) / 0.04)
    )
    middle = (0.32 + 0.26 * right) * (1 if spot < 0.5 else -1), -0.45 + 0.55 * down
    round_spot = np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (2 * 0.07**2))
    drawn = image + 22.0 * effusion * fluid + 70.0 * nodule * round_spot
    return np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
