# SPDX-License-Identifier: Apache-2.0
"""Materials: a texture of three colours, drawn at random from a table of finishes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WOODS = 'c89b6a 8a5a36 5b3a26 d8b88c a9714b 3f2c22 e2cda8 b58a5b'
WALLS = 'ece6da dfe3e2 e8dcc4 c9d3c4 bccbd6 d9c3b5 f1eee8 cfc8bd 9fb0b5 d5cfe0 e9d9a9 a8b89a c4a69a'
FABRICS = (
    '4f6d7a 8c4a3f b89f7f 6b7b5a 3d4656 a8a39b c8b8a6 7a5566 2f3b3a d3cfc6 9a3b3b 56748f c99a4b '
    '5e4a3e e6dfd3 72806f 8899a6 3b2f2f'
)
ACCENTS = (
    'c8553d 588b8b f2c14e 2e4057 8fb339 d1495b 30638e edae49 7b506f 00798c e4dfda 3c3c3c b56576 '
    '6d9f71 f7f3e3 274156'
)
CLOTH = 'weave weave plaid stripes flowers'
_COLOUR_CHANGE = 0.12


@dataclass(frozen=True)
class Finish:
    """A family of materials: `draw` picks one texture and one colour.

    Attributes:
        textures, colours: alternatives, separated by spaces; colours as sRGB hex.
        shades: second and third colour as factors of the first; None picks them independently.
        tile_m: width and height of one repetition; None stretches the texture over each face.
        per_piece: each piece of furniture draws its own; otherwise all of a room share one.
        emission: emitted light, as a multiple of the colour.
        dropout: how much of its depth a depth camera loses, in [0, 1] (glass, mirrors).
    """

    textures: str = 'plain'
    colours: str = ''
    shades: tuple[float, float] | None = (0.6, 0.3)
    tile_m: float | None = 1.0
    per_piece: bool = False
    emission: float = 0.0
    dropout: float = 0.0

    def draw(self, rng) -> Material:
        """A random material of this family."""
        drawn = [_linear(rng, self.colours) for _ in range(1 if self.shades else 3)]
        if self.shades:
            drawn += [drawn[0] * shade for shade in self.shades]
        colours = np.clip(np.stack(drawn), 0, 1).astype(np.float32)
        return Material(_pick(rng, self.textures), colours, self)


@dataclass(frozen=True)
class Material:
    """Appearance of a surface; the weights of the texture mix `colours`, (3, 3) linear RGB."""

    texture: str
    colours: np.ndarray
    finish: Finish = Finish()


def _pick(rng, words: str) -> str:
    choices = words.split()
    return choices[rng.integers(len(choices))]


def _linear(rng, colours: str) -> np.ndarray:
    """(3,) linear RGB near one of the sRGB colours, for example 'c8553d 588b8b'."""
    colour = (np.array(list(bytes.fromhex(_pick(rng, colours)))) / 255) ** 2.2
    changes = rng.uniform(-_COLOUR_CHANGE, _COLOUR_CHANGE, 4)
    return np.clip(colour * (1 + changes[0]) * (1 + 0.4 * changes[1:]), 0.005, 0.95)


FINISHES = {
    # Shell
    'boards': Finish('planks', WOODS, (0.65, 0.35), 1.4),
    'tiles': Finish('tiles', 'd9d4cb b9b2a6 a5826b 8f979b', (0.7, 0.5), 1.6),
    'carpet': Finish('carpet', FABRICS, (0.65, 0.4), 0.9),
    'wall': Finish('paint', WALLS, (0.82, 0.5), 1.7),
    'wallpaper': Finish('flowers stripes', WALLS, (0.9, 0.8), 0.8),
    'bricks': Finish('bricks', 'a5644e d8d4cc 8d5b4c', (0.7, 1.4)),
    'trim': Finish(colours='f4f2ee f4f2ee 8a5a36'),
    'door': Finish('plain wood', 'f4f2ee f4f2ee 8a5a36 5b3a26 a9714b', (0.9, 0.4)),
    'outdoors': Finish('outdoors', 'a9c9ea d5dde3 8fbcec', (0.45, 1.3), None, False, 1.0, 0.6),
    # Furniture
    'wood': Finish('wood wood wood paint', f'{WOODS} ece7df', (0.68, 0.3), 1.1),
    'metal': Finish(colours='9aa0a6 4a4d50 2b2b2d b9bcc0 7d6b4f'),
    'fabric': Finish(CLOTH, FABRICS, (1.5, 0.6), 0.5),
    'cover': Finish(CLOTH, FABRICS, (0.65, 0.4), 0.5),
    'cushion': Finish(CLOTH, FABRICS, None, 0.3, per_piece=True),
    'curtain': Finish('folds', 'd8d0c2 a9b3b8 8f5f56 5f7286 e9e4da b7a27d 6f7f68', (0.5, 0.5), 0.9),
    'slats': Finish('slats', 'eeece6 d9d2c3 c3c9cc b48a5f', (0.6, 0.25), 0.8),
    'stone': Finish('granite', '3c3b3a b9b1a4 e5e1da 7d6a58 55504c', (0.6, 0.4), 0.8),
    'enamel': Finish(colours='eceeee dfe1e0 9fa3a6 2f3133 a23b36', per_piece=True),
    'rug': Finish('motif plaid stripes weave', ACCENTS, None, 0.7, per_piece=True),
    # Small objects
    'white': Finish('weave', 'f2f0ea', (0.9, 0.8), 0.4),
    'black': Finish(colours='26282b'),
    'screen': Finish('gloss', '15181c', (7.0, 1.0), None, dropout=0.5),
    'mirror': Finish('gloss', '8b959b', (2.3, 1.0), None, dropout=0.85),
    'paint': Finish('paint', ACCENTS, per_piece=True),
    'print': Finish('blocks0 blocks1 blocks2', ACCENTS, None, None, per_piece=True),
    'frame': Finish(colours='f0eee9 1e1e1e 8a5a36 c89b6a 9aa0a6', per_piece=True),
    'spines': Finish('spines0 spines1 spines2', ACCENTS, None, 0.5, per_piece=True),
    'page': Finish('text', 'f4f2ee', (0.1, 0.1), None),
    'carton': Finish('paint', 'b08a5b a67c4d c09a6b d9d4ca', (0.8, 0.7), 0.6, per_piece=True),
    'leaf': Finish('granite', '3f6b3a 56803f 2f5a45 6f8f4a', (1.6, 0.3), 0.3, per_piece=True),
    'shade': Finish('weave', 'f3e6c8 f5efe2 d9c6a0 f0dcae', (0.85, 0.7), 0.4, emission=0.8),
}


def palette(rng, room: dict[str, Material] | None = None) -> dict[str, Material]:
    """Materials by finish: those of a room or, given `room`, those of one piece in it."""
    own = {name: f.draw(rng) for name, f in FINISHES.items() if f.per_piece or room is None}
    return {**(room or {}), **own}
