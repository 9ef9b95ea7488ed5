# SPDX-License-Identifier: Apache-2.0
"""Places pieces in a room so that they do not overlap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sgnet_core.data.synthetic.furniture import Materials, Piece, build
from sgnet_core.data.synthetic.solids import Solid, rotation


class Item(NamedTuple):
    """A piece of a furnishing plan, placed with probability `chance` if there is space.

    Attributes:
        kind: name in `furniture.KINDS`, or alternatives separated by '|'.
        at: `wall` or `floor`; relative to the piece it belongs to: `left`, `right`, `front`,
            `facing` (turned to it, at `side` 0 to 3), `above` or `on`.
        then: items that belong to this one.
    """

    kind: str
    at: str = 'wall'
    chance: float = 1.0
    then: tuple[Item, ...] = ()
    gap_m: float = 0.02
    side: int = 0


@dataclass(frozen=True)
class Spot:
    """Position of a piece: its back middle at (x, y, z), its front turned by `yaw_rad` from +y."""

    x: float
    y: float
    yaw_rad: float
    z: float = 0.0

    def moved(self, dx: float, dy: float, turn_rad: float = 0.0, dz: float = 0.0) -> Spot:
        """The spot at (dx, dy, dz) in the frame of this one, turned further by `turn_rad`."""
        c, s = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        x, y = self.x + c * dx - s * dy, self.y + s * dx + c * dy
        return Spot(x, y, self.yaw_rad + turn_rad, self.z + dz)

    def place(self, piece: Piece) -> list[Solid]:
        """The solids of a piece at this spot."""
        turned = rotation(2, self.yaw_rad)
        return [solid.placed(turned, (self.x, self.y, self.z)) for solid in piece.solids]

    def occupied(self, size_m) -> tuple[float, ...]:
        """(x0, y0, z0, x1, y1, z1) of a piece of this size (width, depth, height)."""
        w, d, h = size_m
        corners = [self.moved(x, y) for x in (-w / 2, w / 2) for y in (0, d)]
        xs, ys = [corner.x for corner in corners], [corner.y for corner in corners]
        return min(xs), min(ys), self.z, max(xs), max(ys), self.z + h


@dataclass
class Plan:
    """A room being furnished: (width, depth, height) from the origin along x, y, z.

    `taken` are (x0, y0, z0, x1, y1, z1) boxes that hold something or must stay empty.
    """

    size_m: tuple[float, float, float]
    solids: list[Solid] = field(default_factory=list)
    taken: list[tuple[float, ...]] = field(default_factory=list)

    def wall_spot(self, wall: int, along: float = 0.0, gap_m: float = 0.0) -> Spot:
        """The spot with its back to wall 0 (y = 0), 1 (x = width), 2 (y = depth) or 3 (x = 0)."""
        width, depth, _ = self.size_m
        x, y = ((width / 2, 0), (width, depth / 2), (width / 2, depth), (0, depth / 2))[wall]
        return Spot(x, y, wall * np.pi / 2).moved(along, gap_m)

    def add(self, piece: Piece, spot: Spot) -> Spot:
        """Put the piece there unconditionally, and return the spot."""
        self.solids += spot.place(piece)
        self.taken.append(spot.occupied(piece.size_m))
        return spot

    def try_spots(self, piece: Piece, spots) -> Spot | None:
        """Put the piece at the first of `spots` where it fits into the room and hits nothing."""
        taken = np.array(self.taken).reshape(-1, 6)
        for spot in spots:
            low, high = np.split(np.array(spot.occupied(piece.size_m)), 2)
            inside = low.min() > -1e-6 and np.all(high < np.array(self.size_m) + 1e-6)
            apart = (taken[:, 3:] < low + 1e-6) | (taken[:, :3] > high - 1e-6)
            if inside and apart.any(axis=1).all():
                return self.add(piece, spot)
        return None

    def place_items(self, rng, room: Materials, items: tuple[Item, ...], base=None) -> None:
        """Place `items` and what belongs to them; `base` is the (piece, spot) they belong to."""
        for item in items:
            if rng.random() >= item.chance:
                continue
            piece = build(rng, rng.choice(item.kind.split('|')), room)
            if base:
                spots = self._spots(rng, item, piece, *base)
            elif item.at == 'wall':
                spots = self.at_walls(rng, piece, item.gap_m)
            else:
                places = rng.uniform(0.6, np.array(self.size_m[:2]) - 0.6, (10, 2))
                spots = [Spot(*place, float(rng.integers(4)) * np.pi / 2) for place in places]
            if spot := self.try_spots(piece, spots):
                self.place_items(rng, room, item.then, (piece, spot))

    def _spots(self, rng, item: Item, piece: Piece, carrier: Piece, spot: Spot):
        """Candidate spots of an item that belongs to `carrier` at `spot`, best first."""
        (w, d, _), (width, depth, height) = piece.size_m, carrier.size_m
        beside, before = (width + w) / 2 + item.gap_m, depth + item.gap_m
        if item.at == 'on':
            across, back = max(width - w, 0) / 2, max(depth - d, 0)
            places = zip(rng.uniform(-across, across, 4), rng.uniform(0, back, 4), strict=True)
            return [spot.moved(x, y, 0, height) for x, y in places]
        if item.at == 'facing':
            middle = spot.moved(0, depth / 2, item.side * np.pi / 2)
            reach = (width if item.side % 2 else depth) / 2 + d + item.gap_m
            return [middle.moved(0, reach, np.pi + rng.uniform(-0.15, 0.15))]
        return {
            'left': [spot.moved(-beside, 0)],
            'right': [spot.moved(beside, 0)],
            'front': [spot.moved(0, before)],
            'above': [spot.moved(0, 0, 0, piece.mount_m)],
        }[item.at]

    def at_walls(self, rng, piece: Piece, gap_m: float):
        """Spots with their back to a wall, at the height of the piece, in random order."""
        for wall in rng.permutation(4):
            free = self.size_m[wall % 2] - piece.size_m[0]
            if free > 0:
                # Furniture often stands in a corner.
                places = [*rng.uniform(-free / 2, free / 2, 4), 0.03 - free / 2]
                for along in rng.permutation(places):
                    yield self.wall_spot(wall, along, gap_m).moved(0, 0, 0, piece.mount_m)
