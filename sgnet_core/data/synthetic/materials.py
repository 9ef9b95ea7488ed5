# SPDX-License-Identifier: Apache-2.0
"""Materials: a texture of three colours, drawn at random from a table of finishes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WOODS = 'c89b6a 8a5a36 5b3a26 d8b88c a9714b 3f2c22 e2cda8 b58a5b ece7df'
WALLS = (
    'ece6da dfe3e2 e8dcc4 c9d3c4 bccbd6 d9c3b5 f1eee8 cfc8bd 9fb0b5 d5cfe0 e9d9a9 a8b89a c4a69a '
    '6f8591 b7b3ab f2e9e4'
)
FABRICS = (
    '4f6d7a 8c4a3f b89f7f 6b7b5a 3d4656 a8a39b c8b8a6 7a5566 2f3b3a d3cfc6 9a3b3b 56748f c99a4b '
    '5e4a3e e6dfd3 72806f 8899a6 3b2f2f'
)
ACCENTS = (
    'c8553d 588b8b f2c14e 2e4057 8fb339 d1495b 30638e edae49 7b506f 00798c e4dfda 3c3c3c b56576 '
    '6d9f71 f7f3e3 274156'
)
METALS = '9aa0a6 4a4d50 2b2b2d b9bcc0 7d6b4f'


@dataclass(frozen=True)
class Material:
    """What a surface looks like, and how well a depth camera measures it.

    Attributes:
        texture: name in `textures`; its three weights mix the three colours.
        colours: (3, 3) float32 linear RGB in [0, 1].
        tile_m: width and height of one repetition; None stretches the texture over each face.
        grain: the texture runs along the longest side of a box.
        emission: emitted light, as a multiple of the colour.
        dropout: how much of its depth a depth camera loses, in [0, 1] (glass, mirrors).
    """

    texture: str
    colours: np.ndarray
    tile_m: float | None = 1.0
    grain: bool = False
    emission: float = 0.0
    dropout: float = 0.0


@dataclass(frozen=True)
class Finish:
    """A family of materials: `draw` picks one texture and one colour.

    Attributes:
        textures, colours: alternatives, separated by spaces; colours as sRGB hex.
        shades: second and third colour as factors of the first; None picks them independently.
        spread: relative random change of the colours.
        per_piece: every piece of furniture has its own; otherwise all of a room share one.
        others: as in `Material`.
    """

    textures: str
    colours: str
    shades: tuple[float, float] | None = (0.6, 0.3)
    tile_m: float | None = 1.0
    spread: float = 0.12
    per_piece: bool = False
    grain: bool = False
    emission: float = 0.0
    dropout: float = 0.0

    def draw(self, rng) -> Material:
        """A random material of this family."""
        count = 1 if self.shades else 3
        drawn = [varied(rng, linear(_pick(rng, self.colours)), self.spread) for _ in range(count)]
        if self.shades:
            drawn += [drawn[0] * shade for shade in self.shades]
        colours = np.clip(np.stack(drawn), 0, 1).astype(np.float32)
        texture = _pick(rng, self.textures)
        return Material(texture, colours, self.tile_m, self.grain, self.emission, self.dropout)


def linear(hex_colour: str) -> np.ndarray:
    """(3,) float32 linear RGB of an sRGB colour like 'c8553d'."""
    return ((np.array(list(bytes.fromhex(hex_colour))) / 255) ** 2.2).astype(np.float32)


def varied(rng, colour: np.ndarray, amount: float) -> np.ndarray:
    """The colour with its brightness and, less, its channels changed at random."""
    factor = (1 + amount * rng.uniform(-1, 1)) * (1 + 0.4 * amount * rng.uniform(-1, 1, 3))
    return np.clip(colour * factor, 0.005, 0.95)


def _pick(rng, words: str) -> str:
    choices = words.split()
    return choices[int(rng.integers(len(choices)))]


CLOTH = 'weave weave_fine weave_fine plaid stripes flowers damask'
FINISHES = {
    # Shell
    'floor': Finish('planks planks_narrow', WOODS[:-14], (0.65, 0.35), 1.4, 0.2),
    'tiles': Finish('tiles tiles checker', 'd9d4cb b9b2a6 a5826b 8f979b', (0.7, 0.5), 1.6),
    'carpet': Finish('carpet', FABRICS, (0.65, 0.4), 0.9, 0.2),
    'wall': Finish('paint', WALLS, (0.82, 0.5), 1.7),
    'wallpaper': Finish('flowers damask stripes stripes_fine', WALLS, (0.9, 0.8), 0.8),
    'bricks': Finish('bricks', 'a5644e d8d4cc 8d5b4c', (0.7, 1.4)),
    'ceiling': Finish('paint', 'f4f2ee', (0.9, 0.8), 2.0, 0.02),
    'trim': Finish('plain', 'f4f2ee f4f2ee 8a5a36', spread=0.05),
    'door': Finish('panels panels_six', 'f4f2ee f4f2ee 8a5a36 5b3a26 a9714b', (1.1, 0.4), None),
    'view': Finish('view', 'a9c9ea d5dde3 8fbcec e9dcc8', (0.45, 1.3), None, dropout=0.6),
    # Furniture
    'wood': Finish('wood wood knots paint', WOODS, (0.68, 0.3), 1.1, grain=True),
    'dark': Finish('wood', WOODS, (0.68, 0.3), 1.1, grain=True),
    'metal': Finish('plain', METALS),
    'fabric': Finish(CLOTH, FABRICS, (1.5, 0.6), 0.5, 0.2),
    'cover': Finish(CLOTH, FABRICS, (0.65, 0.4), 0.5, 0.2),
    'cushion': Finish(CLOTH, FABRICS, None, 0.3, 0.2, per_piece=True),
    'linen': Finish('weave_fine', 'f4f2ee', (0.85, 0.7), 0.5, 0.03),
    'curtain': Finish('folds', 'd8d0c2 a9b3b8 8f5f56 5f7286 e9e4da b7a27d 6f7f68', (0.5, 0.5), 0.9),
    'slats': Finish('slats', 'eeece6 d9d2c3 c3c9cc b48a5f', (0.6, 0.25), 0.8),
    'stone': Finish('granite wood', '3c3b3a b9b1a4 e5e1da 7d6a58 55504c', (0.6, 0.4), 0.8),
    'enamel': Finish('plain', 'eceeee dfe1e0 9fa3a6 2f3133 a23b36', per_piece=True),
    'rug': Finish('motif plaid damask stripes weave', ACCENTS, None, 0.7, per_piece=True),
    # Small objects
    'white': Finish('plain', 'f2f0ea', spread=0.02),
    'black': Finish('plain', '26282b', spread=0.02),
    'steel': Finish('plain', '8d9296', dropout=0.3),
    'screen': Finish('gloss', '15181c', (7.0, 1.0), None, dropout=0.5),
    'mirror': Finish('gloss', '8b959b', (2.3, 1.0), None, dropout=0.85),
    'paint': Finish('paint', ACCENTS, per_piece=True),
    'print': Finish('landscape abstract0 abstract1 abstract2', ACCENTS, None, None, per_piece=True),
    'frame': Finish('plain', 'f0eee9 1e1e1e 8a5a36 c89b6a 9aa0a6', per_piece=True),
    'spines': Finish('spines0 spines1 spines2', ACCENTS, None, 0.5, per_piece=True),
    'writing': Finish('text', 'f4f2ee', (0.1, 0.1), None),
    'page': Finish('text', 'f4f2ee', (0.05, 0.05), None),
    'carton': Finish('paint', 'b08a5b a67c4d c09a6b d9d4ca', (0.8, 0.7), 0.6, per_piece=True),
    'leaf': Finish('weave_fine', '3f6b3a 56803f 2f5a45 6f8f4a', tile_m=0.2, per_piece=True),
    'shade': Finish('weave_fine', 'f3e6c8 f5efe2 d9c6a0 f0dcae', (0.85, 0.7), 0.2, emission=0.8),
}  # fmt: skip


class Palette(dict):
    """Materials by name: those of a room or, given `room`, those of one piece in it."""

    def __init__(self, rng, room: Palette | None = None) -> None:
        super().__init__()
        self._rng = rng
        self._room = room

    def __missing__(self, name: str) -> Material:
        finish = FINISHES[name]
        if self._room is not None and not finish.per_piece:
            return self._room[name]
        self[name] = finish.draw(self._rng)
        return self[name]
