# SPDX-License-Identifier: Apache-2.0
"""Logs frames, masks and counts to rerun, which serves them to a browser or writes a file."""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from sgnet_core.errors import InputError, SgnetError
from sgnet_core.types import UNLABELLED
from sgnet_core.visualization.legend import legend

MAX_POINTS = 60_000
"""Larger clouds are thinned: a browser draws them in software on machines without a GPU."""
SERVER_MEMORY = '512MB'
"""What a browser that connects late still gets; older frames are dropped."""
WEB_PORT, DATA_PORT = 9090, 9876
JPEG_QUALITY = 85
INSTALL = "pip install 'rerun-sdk>=0.23.1'"


def import_rerun():
    """The module `rerun`; InputError with the pip command if it is missing."""
    try:
        import rerun
    except ImportError as error:
        raise InputError(f'view needs rerun-sdk ({error}); install it: {INSTALL}') from error
    return rerun


def viewer_address(web_port: int = WEB_PORT, data_port: int = DATA_PORT) -> str:
    """The address of the page that `Scene.serve` offers."""
    data = quote(f'rerun+http://localhost:{data_port}/proxy', safe='')
    return f'http://localhost:{web_port}/?url={data}'


class Scene:
    """One recording of rerun: colour, depth, mask, points and curves over the time of the stamps.

    `serve` or `save` comes first.

    Raises:
        InputError: rerun-sdk is missing.
    """

    def __init__(self) -> None:
        self._rr = rr = import_rerun()
        rr.init('sgnet_ros')

    def serve(self, web_port: int = WEB_PORT, data_port: int = DATA_PORT) -> str:
        """Serve to browsers until the end of the process; returns the address of the page.

        Raises:
            SgnetError: a port is in use.
        """
        for option, port in (('--port', web_port), ('--data-port', data_port)):
            try:  # rerun only logs it
                socket.create_server(('', port)).close()
            except OSError as error:
                raise SgnetError(f'{option} {port}: {error.strerror}; set another one') from error
        self._rr.serve_grpc(grpc_port=data_port, server_memory_limit=SERVER_MEMORY)
        self._rr.serve_web_viewer(web_port=web_port, open_browser=False)
        self._arrange()
        return viewer_address(web_port, data_port)

    def save(self, path: Path) -> None:
        """Write to `path` instead."""
        self._rr.save(path)
        self._arrange()

    def close(self) -> None:
        """Write what is buffered."""
        self._rr.disconnect()

    def set_classes(self, class_names: Sequence[str], palette: np.ndarray) -> None:
        """Names and colours of the class ids, (C, 3) uint8; also as a legend."""
        rr = self._rr
        classes = [
            (index, name, tuple(color))
            for index, (name, color) in enumerate(zip(class_names, palette.tolist(), strict=True))
        ]
        context = rr.AnnotationContext([*classes, (UNLABELLED, 'unlabelled', (0, 0, 0, 0))])
        rr.log('/', context, static=True)
        rr.log('legend', rr.Image(legend(class_names, palette, width=640)), static=True)

    def log_frame(
        self,
        stamp_ns: int,
        rgb: np.ndarray,
        xyz: np.ndarray,
        labels: np.ndarray,
    ) -> None:
        """Show one frame.

        Args:
            rgb: (H, W, 3) uint8.
            xyz: (H, W, 3) float32 metres in the optical frame, NaN = no measurement.
            labels: (H, W) uint8 class ids, 255 = unlabelled.
        """
        rr = self._rr
        self._set_time(stamp_ns)
        rr.log('camera/colour', rr.Image(rgb).compress(jpeg_quality=JPEG_QUALITY))
        millimetres = np.nan_to_num(xyz[..., 2] * 1000, posinf=0, neginf=0).clip(0, 65535)
        rr.log('camera/depth', rr.DepthImage(millimetres.astype(np.uint16), meter=1000))
        rr.log('camera/mask', rr.SegmentationImage(labels))
        step = math.ceil(math.sqrt(labels.size / MAX_POINTS))
        points, ids = xyz[::step, ::step], labels[::step, ::step]
        measured = np.isfinite(points).all(axis=-1)
        cloud = rr.Points3D(points[measured], class_ids=ids[measured], radii=0.004 * step)
        rr.log('points', cloud)

    def log_curves(self, stamp_ns: int, values: Mapping[str, float]) -> None:
        """Add a value to each of these curves, for example `latency_ms/p50`."""
        self._set_time(stamp_ns)
        for name, value in values.items():
            self._rr.log(f'curves/{name}', self._rr.Scalars(value))

    def _set_time(self, stamp_ns: int) -> None:
        self._rr.set_time('stamp', timestamp=np.datetime64(stamp_ns, 'ns'))

    def _arrange(self) -> None:
        rr = self._rr
        from rerun import blueprint as rrb

        # x right, y down, z forward.
        rr.log('/', rr.ViewCoordinates.RDF, static=True)
        camera = ('camera/colour', 'camera/depth')
        layout = rrb.Vertical(
            rrb.Horizontal(
                *(rrb.Spatial2DView(name=n, origin=n) for n in camera),
                rrb.Spatial2DView(name='mask', contents=['camera/colour', 'camera/mask']),
            ),
            rrb.Horizontal(
                rrb.Spatial3DView(name='points', origin='/', contents=['points']),
                rrb.Spatial2DView(name='legend', origin='legend'),
                rrb.Vertical(
                    rrb.TimeSeriesView(name='latency (ms)', origin='curves/latency_ms'),
                    rrb.TimeSeriesView(name='dropped frames', origin='curves/dropped'),
                ),
            ),
        )
        rr.send_blueprint(rrb.Blueprint(layout, collapse_panels=True))
