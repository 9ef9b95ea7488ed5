# SPDX-License-Identifier: Apache-2.0
"""Write a checkpoint as an ONNX graph and verify it against PyTorch.

An existing file is replaced only if at least 99.9 % of the labels are equal. The frames for this
comparison come from a dataset folder (--parity-data) or are generated.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgnet_core.cli.options import add_options, check_positive
from sgnet_core.errors import InputError, SgnetError
from sgnet_core.io.files import write_file, write_json

if TYPE_CHECKING:
    from sgnet_core.checkpoint.checkpoint import Checkpoint
    from sgnet_core.onnx.parity import Parity
    from sgnet_core.types import Sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--format', default='onnx', choices=('onnx',), help='file format (default: onnx)')
    add_options(parser, 'checkpoint')
    add_options(parser, 'out', metavar='FILE', help='file to write (default: VARIANT.onnx)')
    add_options(parser, 'size', help='network input size (default: as in the checkpoint)')
    add('--dynamic-batch', action='store_true', help='export with a variable batch size')
    add('--parity-data', type=Path, metavar='DIR', help='dataset to compare on (default: rooms)')
    add_options(parser, 'split')
    add_options(parser, 'frames', default=20, help='frames to compare (default: 20)')
    add_options(parser, 'json')


def run(args: argparse.Namespace) -> int:
    from sgnet_core.checkpoint.checkpoint import load_checkpoint
    from sgnet_core.onnx.digest import with_digest
    from sgnet_core.onnx.export import checkpoint_to_onnx
    from sgnet_core.onnx.parity import MIN_EQUAL_LABELS, compare
    from sgnet_core.onnx.session import OnnxRuntimeNetwork, import_onnxruntime

    # Report errors before the long export.
    import_onnxruntime()
    samples, source = _samples(args)
    checkpoint = load_checkpoint(args.checkpoint).at_size(args.size)
    out = args.out or Path(f'{checkpoint.config.variant}.onnx')
    if out.is_dir():
        raise InputError(f'--out must be a file, {out} is a folder')
    graph = with_digest(checkpoint_to_onnx(checkpoint, args.dynamic_batch).SerializeToString())
    exported = OnnxRuntimeNetwork(graph, checkpoint.config)
    batch = 2 if args.dynamic_batch else 1
    parity = compare(checkpoint.build(), exported, checkpoint.input_spec, samples, batch)
    if args.json != '-':
        print(
            f'{parity.frames} frames of {source}: {parity.equal_labels:.4%} of the labels '
            f'equal; difference of scores {parity.largest_difference:.1e} at most, '
            f'{parity.mean_difference:.1e} on average'
        )
    if parity.good:
        write_file(out, graph, durable=True)
    write_json(args.json, _report(args, out, checkpoint, parity, source))
    if not parity.good:
        raise SgnetError(
            f'not exported: {parity.equal_labels:.3%} of the labels equal those of PyTorch, '
            f'{MIN_EQUAL_LABELS:.1%} are required; {out} is unchanged'
        )
    if args.json != '-':
        print(f'{out}: {len(graph) / 1e6:.1f} MB')
    return 0


def _samples(args: argparse.Namespace) -> tuple[Iterable[Sample], str]:
    """Frames spread over the dataset, and its name."""
    from sgnet_core.data.folder_dataset import FolderDataset
    from sgnet_core.data.synthetic import RoomDataset

    check_positive(args, 'frames')
    if args.parity_data is None:
        if args.split:
            raise InputError('--split needs a dataset: give --parity-data too')
        # One frame a second: neighbours differ.
        rooms = RoomDataset(args.frames, frames_per_room=10, sensor_noise=True, rate_hz=1.0)
        return rooms, 'generated rooms'
    data = FolderDataset(args.parity_data, args.split)
    count = min(args.frames, len(data))
    chosen = [i * len(data) // count for i in range(count)]
    return (data[i] for i in chosen), f'{data.name}, split {args.split or "all"}'


def _report(
    args: argparse.Namespace, out: Path, checkpoint: Checkpoint, parity: Parity, source: str
) -> dict[str, Any]:
    import math
    from dataclasses import asdict

    import torch
    import onnx
    import onnxruntime

    from sgnet_core.onnx.export import OPSET

    return {
        'file': str(out),
        'format': args.format,
        'opset': OPSET,
        'variant': checkpoint.config.variant,
        'input_size': list(checkpoint.input_spec.size),
        'dynamic_batch': args.dynamic_batch,
        'good': parity.good,
        **{key: v if math.isfinite(v) else None for key, v in asdict(parity).items()},
        'data': source,
        'versions': {module.__name__: module.__version__ for module in (torch, onnx, onnxruntime)},
    }
