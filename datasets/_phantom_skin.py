"""Skin lesions of the phantom: a skin tone in CIELAB, a pigmented lesion (Beer-Lambert law), hairs and a camera.

Coordinates x (to the right of the image) and y (down) run over [-1, 1]. Colours are linear RGB (D65) until the last
step, the sRGB curve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ._phantom_chest import Plane, Rng, blur, grid, logistic, noise_band

TYPE_ANGLES = ((55, 70), (41, 55), (28, 41), (10, 28), (-30, 10), (-55, -30))
"""Individual typology angle (degrees) of the Fitzpatrick types 1 to 6."""
ABSORPTION = 0.75 * np.array([0.62, 1.05, 1.35], np.float32)
EXTRA_COLOURS = (((0.20, 0.25, 0.38), 0.75), ((0.50, 0.10, 0.10), 0.45), ((0.72, 0.70, 0.70), 0.40))
"""Blue-grey, red and white, linear RGB, each with its probability at the highest severity."""
HAIRS_AT_MOST = 16


@dataclass(frozen=True)
class Camera:
    """How a hospital takes photographs; blur is in pixels of a 64-pixel image, noise in [0, 1] sRGB values."""

    vignette: float
    cast: float
    lighting: float
    blur: float
    noise: float
    cue: float = 1.0


CAMERAS = {
    "source": Camera(0.7, 0.03, 0.06, 0.6, 0.020),
    "ood_neutral": Camera(0.1, 0.045, 0.10, 0.7, 0.025),
    "ood_reversed": Camera(0.3, 0.035, 0.08, 0.7, 0.025),
}


def linear_rgb(lightness: float, a: float, b: float) -> np.ndarray:
    """Return the linear RGB (3,) in [0, 1] of a CIELAB colour under D65."""
    f = (lightness + 16) / 116 + np.array([a / 500, 0.0, -b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * (0.95047, 1.0, 1.08883)
    mix = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    return np.clip((mix * xyz).sum(axis=1), 0.005, 1)


def render(
    size: int, hospital: str, person: Rng, shot: Rng, *, malignant: float, skin_type: int, tone: float, male: float
) -> np.ndarray:
    """Draw one lesion: uint8 (size, size, 3), sRGB.

    `person` draws the skin, `shot` the lesion and the photograph; neither depends on the other arguments. `malignant`
    shifts the latent malignancy (1.2 and -1.2 at full strength). `tone` in [0, 1] says how far the colour follows
    `skin_type` (1 to 6) instead of a type drawn from one distribution for everyone. `male` is the strength of the hair
    cue.
    """
    camera = CAMERAS[hospital]
    # Lists, because a NumPy scalar in a product would turn the float32 images into float64.
    skin, body = person.standard_normal(4).tolist(), person.random(4).tolist()
    lesion, photo = shot.standard_normal(12).tolist(), shot.standard_normal(10)
    chance = shot.random(32).tolist()
    severity = 1 / (1 + math.exp(-1.1 * (malignant + lesion[0])))

    anyone = int(np.searchsorted((0.21, 0.45, 0.60, 0.82, 0.94), body[1]))
    angle = tone * _angle(skin_type - 1, body[0]) + (1 - tone) * _angle(anyone, body[0])
    yellow = 16 + 1.5 * skin[0]
    colour = linear_rgb(50 + yellow * math.tan(math.radians(angle)), 10 + 1.2 * skin[1], yellow)
    # A camera exposes dark skin for longer. Without this, a small network mistakes dark skin for pigment.
    colour *= (0.35 / float(colour.mean())) ** 0.6

    x, y = grid(size)
    relief = 1 + 0.035 * noise_band(shot, size, 0.8, 3.0)
    depth, mask = _pigment(size, shot, x, y, lesion, chance, severity)
    image = colour.astype(np.float32) * relief[..., None] * np.exp(-depth[..., None] * ABSORPTION)
    image = _extra_colours(image, mask, x, y, lesion, chance, severity, light=float(colour.mean()))
    image *= _hairs(size, shot, 1.2 + 4 * camera.cue * male, chance[31])[..., None]

    slope_x, slope_y = (camera.lighting * photo[0:2]).tolist()
    light = 1 + slope_x * x + slope_y * y
    light *= 1 - min(2 * camera.vignette * chance[30], 0.95) * logistic((x**2 + y**2 - 1.15) / 0.12)
    gain = np.exp(0.20 * photo[2] + camera.cast * photo[3:6]).astype(np.float32)
    image = blur(image * np.maximum(light, 0.05)[..., None] * gain, camera.blur * size / 64)
    image = 1.055 * np.clip(image, 0.0031308, 1) ** (1 / 2.4) - 0.055
    image += camera.noise * shot.standard_normal((size, size, 3), dtype=np.float32)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _angle(skin_type: int, share: float) -> float:
    low, high = TYPE_ANGLES[skin_type]
    return low + share * (high - low)


def _pigment(
    size: int, shot: Rng, x: Plane, y: Plane, lesion: list[float], chance: list[float], severity: float
) -> tuple[Plane, Plane]:
    """Return the optical depth of the pigment and the mask of the lesion in [0, 1]."""
    dx, dy = x - 0.08 * lesion[1], y - 0.08 * lesion[2]
    turn, ratio = math.pi * chance[0], 0.72 + 0.28 * chance[1]
    along, across = math.cos(turn), math.sin(turn)
    u = along * dx + across * dy
    v = (along * dy - across * dx) / ratio
    radius, theta = np.sqrt(u * u + v * v), np.arctan2(v, u)
    edge = np.ones_like(x)
    ruggedness, phases = shot.standard_normal(7).tolist(), (2 * math.pi * shot.random(7)).tolist()
    for k in range(2, 9):
        size_k = (0.015 + 0.085 * severity) / math.sqrt(k - 1) * abs(1 + 0.4 * ruggedness[k - 2])
        edge += size_k * np.cos(k * theta + phases[k - 2])
    extent = 0.42 * math.exp(0.12 * lesion[3])
    mask = logistic((extent * edge - radius) / (0.05 - 0.025 * severity))

    heading = 2 * math.pi * chance[2]
    slope = math.cos(heading) * dx + math.sin(heading) * dy
    tilt = np.maximum(1 + 0.75 * severity * slope / extent, 0.2)
    mottling = np.maximum(1 + (0.08 + 0.42 * severity) * noise_band(shot, size, 1.8, 6.0), 0.25)
    pitch = [36 * math.exp(severity * 0.25 * jitter) for jitter in lesion[4:6]]
    network = 1 + 0.12 * np.sin(pitch[0] * u) * np.sin(pitch[1] * v)
    strength = max(1.15 + 0.22 * lesion[6], 0.4)
    return strength * mask * tilt * mottling * network, mask


def _extra_colours(
    image: np.ndarray, mask: Plane, x: Plane, y: Plane, lesion: list, chance: list, severity: float, *, light: float
) -> np.ndarray:
    """Blend blobs of the three colours into the lesion; they are as bright as the skin around it allows."""
    for index, (colour, share) in enumerate(EXTRA_COLOURS):
        present, where, far, wide = chance[3 + 4 * index : 7 + 4 * index]
        if present >= share * severity:
            continue
        heading, away = 2 * math.pi * where, 0.10 + 0.20 * far
        dx = x - (0.08 * lesion[1] + away * math.cos(heading))
        dy = y - (0.08 * lesion[2] + away * math.sin(heading))
        blob = 0.75 * mask * logistic((0.10 + 0.09 * wide - np.sqrt(dx * dx + dy * dy)) / 0.03)
        shade = np.array(colour, np.float32) * (0.35 + 0.65 * min(light / 0.4, 1.2))
        image = image + blob[..., None] * (shade - image)
    return image


def _hairs(size: int, shot: Rng, mean: float, chance: float) -> Plane:
    """Return the share of light, in [0, 1], that passes between the hairs: a Poisson number of curved strokes.

    Random numbers are drawn for all possible strokes and the first ones used, so that more hair does not move the rest.
    """
    number, below = 0, math.exp(-mean)
    term = below
    while chance > below and number < HAIRS_AT_MOST:
        number += 1
        term *= mean / number
        below += term
    strokes, headings = shot.standard_normal((HAIRS_AT_MOST, 3)), math.pi * shot.random(HAIRS_AT_MOST)
    if number == 0:
        return np.ones((size, size), np.float32)
    x, y = grid(size)
    shift, bend, dark = strokes[:number, :, None, None].astype(np.float32).transpose(1, 0, 2, 3)
    along = np.cos(headings[:number]).astype(np.float32)[:, None, None]
    across = np.sin(headings[:number]).astype(np.float32)[:, None, None]
    u = along * x + across * y
    slope = 0.5 * bend
    distance = (along * y - across * x - 0.55 * shift - slope * u * u) / np.sqrt(1 + (2 * slope * u) ** 2)
    return np.prod(1 - np.clip(0.6 + 0.1 * dark, 0.3, 0.8) * np.exp(-((distance / 0.018) ** 2)), axis=0)
