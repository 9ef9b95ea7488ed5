# SPDX-License-Identifier: Apache-2.0
"""The colours and materials that make one generated room look of a piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgnet_core.data.rooms.geometry import Material

_WOODS = ('c89b6a', '8a5a36', '5b3a26', 'd8b88c', 'a9714b', '3f2c22', 'e2cda8', 'b58a5b', 'ece7df')
_WALLS = (
    'ece6da', 'dfe3e2', 'e8dcc4', 'c9d3c4', 'bccbd6', 'd9c3b5', 'f1eee8', 'cfc8bd', '9fb0b5',
    'd5cfe0', 'e9d9a9', 'a8b89a', 'c4a69a', '6f8591', 'b7b3ab', 'f2e9e4',
)  # fmt: skip
_FABRICS = (
    '4f6d7a', '8c4a3f', 'b89f7f', '6b7b5a', '3d4656', 'a8a39b', 'c8b8a6', '7a5566', '2f3b3a',
    'd3cfc6', '9a3b3b', '56748f', 'c99a4b', '5e4a3e', 'e6dfd3', '72806f', '8899a6', '3b2f2f',
)  # fmt: skip
_ACCENTS = (
    'c8553d', '588b8b', 'f2c14e', '2e4057', '8fb339', 'd1495b', '30638e', 'edae49', '7b506f',
    '00798c', 'e4dfda', '3c3c3c', 'b56576', '6d9f71', 'f7f3e3', '274156',
)  # fmt: skip
_METALS = ('9aa0a6', '4a4d50', '2b2b2d', 'b9bcc0', '7d6b4f')


def linear(hex_colour: str) -> np.ndarray:
    """(3,) float32 linear RGB of an sRGB colour like 'c8553d'."""
    value = np.array([int(hex_colour[i : i + 2], 16) for i in (0, 2, 4)]) / 255.0
    return (value**2.2).astype(np.float32)


def three(base, second=None, third=None) -> np.ndarray:
    """(3, 3) colours of a material; the missing ones are darker shades of `base`."""
    second = base * 0.6 if second is None else second
    third = base * 0.3 if third is None else third
    return np.stack([base, second, third]).astype(np.float32)


def pick(rng, values):
    """One of `values`."""
    return values[int(rng.integers(len(values)))]


WHITE = linear('f4f2ee')
BLACK = linear('1c1d1f')


@dataclass(frozen=True)
class Style:
    """What the furniture of one room has in common.

    Attributes:
        wood, wood_dark: materials with the grain along u.
        fabrics: two upholstery materials.
        metal: of legs, handles and lamp stands.
        wall: (3,) linear RGB of the wall paint.
    """

    wood: Material
    wood_dark: Material
    fabrics: tuple[Material, Material]
    metal: Material
    wall: np.ndarray


def random_style(rng) -> Style:
    """The style of a room."""
    return Style(
        wood=wood(rng),
        wood_dark=wood(rng),
        fabrics=(fabric(rng), fabric(rng)),
        metal=Material('plain', three(linear(pick(rng, _METALS)))),
        wall=_varied(rng, linear(pick(rng, _WALLS))),
    )


def _varied(rng, colour: np.ndarray, amount: float = 0.12) -> np.ndarray:
    """The colour with its channels and brightness moved a little."""
    factor = (1 + amount * rng.uniform(-1, 1)) * (1 + 0.4 * amount * rng.uniform(-1, 1, 3))
    return np.clip(colour * factor, 0.005, 0.95).astype(np.float32)


def wood(rng) -> Material:
    """Furniture wood or, at times, painted board."""
    base = _varied(rng, linear(pick(rng, _WOODS)))
    pattern = pick(rng, ('wood', 'wood', 'wood_dark_knots', 'paint'))
    return Material(pattern, three(base, base * rng.uniform(0.55, 0.8)), (1.1, 0.5))


def fabric(rng, size_m: float = 0.5) -> Material:
    """Cloth for upholstery and bedding."""
    base = _varied(rng, linear(pick(rng, _FABRICS)), 0.2)
    pattern = pick(
        rng, ('weave', 'weave_fine', 'weave_fine', 'plaid', 'stripes', 'flowers', 'damask')
    )
    if pattern.startswith('weave'):
        return Material(pattern, three(base, base * 0.7), (size_m, size_m))
    second = 0.5 * base + 0.5 * _varied(rng, linear(pick(rng, _FABRICS)))
    return Material(pattern, three(base, second, base * 0.6), (size_m, size_m))


def painted(rng, palette=_ACCENTS) -> Material:
    """An even colour from the accents."""
    return Material('paint', three(_varied(rng, linear(pick(rng, palette)))), (1.0, 1.0))


def bright(rng, pattern: str, tile_m=None, **properties) -> Material:
    """A picture or print in three accent colours."""
    colours = [_varied(rng, linear(pick(rng, _ACCENTS))) for _ in range(3)]
    return Material(pattern, three(*colours), tile_m, **properties)


def plain(hex_colour: str, **properties) -> Material:
    """One even colour."""
    return Material('plain', three(linear(hex_colour)), **properties)


def floor(rng, kind: str) -> Material:
    """A floor covering: `wood`, `tiles` or `carpet`."""
    if kind == 'wood':
        base = _varied(rng, linear(pick(rng, _WOODS[:8])), 0.2)
        pattern = pick(rng, ('planks_wide', 'planks_narrow', 'herringbone'))
        size = rng.uniform(1.2, 1.6)
        return Material(pattern, three(base, base * rng.uniform(0.5, 0.75)), (size, size))
    if kind == 'tiles':
        base = _varied(rng, linear(pick(rng, ('d9d4cb', 'b9b2a6', 'a5826b', '8f979b', 'e8e4dc'))))
        pattern = pick(rng, ('tiles', 'tiles', 'tiles_small', 'tiles_checker'))
        second = base * (0.3 if pattern == 'tiles_checker' else 0.75)
        size = rng.uniform(1.2, 2.0)
        return Material(pattern, three(base, second, base * rng.uniform(0.4, 1.2)), (size, size))
    base = _varied(rng, linear(pick(rng, _FABRICS)), 0.2) * 0.8 + 0.1
    return Material('carpet', three(base, base * 0.65), (0.9, 0.9))


def wall(rng, paint: np.ndarray) -> Material:
    """Paint mostly, wallpaper or bricks at times."""
    kind = rng.random()
    if kind < 0.62:
        return Material(pick(rng, ('paint', 'plaster')), three(paint, paint * 0.82), (1.7, 1.7))
    if kind < 0.93:
        pattern = pick(rng, ('flowers', 'damask', 'stripes', 'stripes_fine'))
        second = np.clip(paint * rng.uniform(0.72, 1.12), 0, 0.9)
        size = rng.uniform(0.5, 1.2)
        return Material(pattern, three(paint, second, 0.5 * (paint + second)), (size, size))
    base = _varied(rng, linear(pick(rng, ('a5644e', 'd8d4cc', '8d5b4c'))))
    return Material('bricks', three(base, base * 0.7, base * 0.5 + 0.25), (1.0, 0.8))


def wall_tiles(rng) -> Material:
    """Bathroom tiles."""
    base = _varied(rng, linear(pick(rng, ('eef0ef', 'dfe7ea', 'd5e0d8', 'e6ddd0', 'a9c0c9'))))
    size = rng.uniform(0.8, 1.6)
    return Material(
        pick(rng, ('tiles', 'tiles_small', 'bricks')),
        three(base, base * 0.92, base * 0.6),
        (size, size),
    )
