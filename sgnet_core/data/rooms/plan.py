# SPDX-License-Identifier: Apache-2.0
"""Places pieces in a room so that nothing runs into anything else."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sgnet_core.data.rooms.furniture import Piece
from sgnet_core.data.rooms.geometry import Solid, rotation_about_vertical


@dataclass(frozen=True)
class Spot:
    """Where a piece stands: its back middle at (x, y), its front turned by `yaw_rad` from +y."""

    x: float
    y: float
    yaw_rad: float
    z: float = 0.0

    def beside(self, dx: float, dy: float, turn_rad: float = 0.0, z: float = 0.0) -> Spot:
        """The spot at (dx, dy, z) in this one's frame, turned further by `turn_rad`."""
        c, s = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        return Spot(
            self.x + c * dx - s * dy, self.y + s * dx + c * dy, self.yaw_rad + turn_rad, self.z + z
        )


@dataclass
class Plan:
    """A room being furnished, with one corner at the origin.

    Attributes:
        size_m: (width along x, depth along y, height).
        solids: all placed so far.
        taken: (x0, y0, z0, x1, y1, z1) boxes that hold something.
        kept_free: the same for boxes that must stay empty, as before a door.
    """

    size_m: tuple[float, float, float]
    solids: list[Solid] = field(default_factory=list)
    taken: list[tuple[float, ...]] = field(default_factory=list)
    kept_free: list[tuple[float, ...]] = field(default_factory=list)

    def wall_length(self, wall: int) -> float:
        """Of wall 0 (y = 0), 1 (x = width), 2 (y = depth) or 3 (x = 0)."""
        return self.size_m[wall % 2]

    def wall_spot(self, wall: int, along: float, gap_m: float = 0.0) -> Spot:
        """The spot with its back to a wall, `along` metres from the middle of that wall."""
        width, depth, _ = self.size_m
        x, y = ((width / 2, 0), (width, depth / 2), (width / 2, depth), (0, depth / 2))[wall]
        return Spot(x, y, wall * np.pi / 2).beside(along, gap_m)

    def fits(self, piece: Piece, spot: Spot, margin_m: float = 0.02) -> bool:
        """Whether the piece lies within the room and clear of everything."""
        area = _occupied(piece, spot)
        if min(area[:3]) < -1e-6 or np.any(np.array(area[3:]) > np.array(self.size_m) + 1e-6):
            return False
        if not self.taken and not self.kept_free:
            return True
        others = np.array(self.taken + self.kept_free)
        apart = (others[:, 3:] + margin_m <= area[:3]) | (
            others[:, :3] >= np.array(area[3:]) + margin_m
        )
        return bool(apart.any(axis=1).all())

    def add(self, piece: Piece, spot: Spot) -> Spot:
        """Put the piece there without asking, and return the spot."""
        rotation = rotation_about_vertical(spot.yaw_rad)
        translation = np.array([spot.x, spot.y, spot.z])
        self.solids += [solid.placed(rotation, translation) for solid in piece.solids]
        self.taken.append(_occupied(piece, spot))
        return spot

    def keep_free(self, piece_size, spot: Spot) -> None:
        """Let nothing be put into the (width, depth, height) before `spot`."""
        self.kept_free.append(_occupied(Piece([], piece_size), spot))

    def try_add(self, piece: Piece, spot: Spot) -> Spot | None:
        """Put the piece there if it fits."""
        return self.add(piece, spot) if self.fits(piece, spot) else None

    def try_wall(self, rng, piece: Piece, z: float = 0.0, gap_m: float = 0.02) -> Spot | None:
        """Put the piece against some wall, anywhere it fits; None where it does not."""
        for wall in rng.permutation(4):
            free = self.wall_length(int(wall)) - piece.size_m[0]
            if free < 0:
                continue
            # The corners first, now and then: that is where people put things.
            for along in rng.permutation([*rng.uniform(-free / 2, free / 2, 4), 0.03 - free / 2]):
                spot = self.wall_spot(int(wall), float(along), gap_m).beside(0, 0, 0, z)
                if self.try_add(piece, spot):
                    return spot
        return None

    def try_floor(self, rng, piece: Piece, tries: int = 8, any_angle: bool = True) -> Spot | None:
        """Put the piece somewhere on the free floor."""
        width, depth, _ = self.size_m
        for _ in range(tries):
            yaw = rng.uniform(0, 2 * np.pi) if any_angle else rng.integers(4) * np.pi / 2
            spot = Spot(rng.uniform(0.3, width - 0.3), rng.uniform(0.3, depth - 0.3), float(yaw))
            if self.try_add(piece, spot):
                return spot
        return None

    def put_on(self, rng, carrier: Piece, spot: Spot, piece: Piece, turn_rad: float = 0.0) -> None:
        """Put a small piece on top of one already placed, where its tops have room."""
        for x0, x1, y0, y1, z in carrier.tops:
            w, d, _ = piece.size_m
            if x1 - x0 < w or y1 - y0 < d:
                continue
            for _ in range(4):
                x, y = rng.uniform(x0 + w / 2, x1 - w / 2), rng.uniform(y0, y1 - d)
                target = spot.beside(x, y, turn_rad, z)
                # The carrier itself ends where the piece begins.
                if self.fits(piece, target, margin_m=0.0):
                    self.add(piece, target)
                    return


def _occupied(piece: Piece, spot: Spot) -> tuple[float, ...]:
    """(x0, y0, z0, x1, y1, z1) of the piece in the room."""
    w, d, h = piece.size_m
    corners = np.array([(-w / 2, 0), (w / 2, 0), (-w / 2, d), (w / 2, d)])
    c, s = np.cos(spot.yaw_rad), np.sin(spot.yaw_rad)
    world = corners @ np.array([[c, s], [-s, c]]) + (spot.x, spot.y)
    low = h_low(piece)
    return (*world.min(axis=0), spot.z + low, *world.max(axis=0), spot.z + h)


def h_low(piece: Piece) -> float:
    """The height at which the piece begins: above 0 for what hangs on a wall."""
    if not piece.solids:
        return 0.0
    return max(0.0, min(float(solid.corners[:, 2].min()) for solid in piece.solids))
