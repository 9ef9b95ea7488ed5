# SPDX-License-Identifier: Apache-2.0
"""The checkpoint format: a `.safetensors` file with a JSON header.

The header entry `sgnet` holds the format version, architecture, input, classes, palette and
provenance; the entry `sha256` is the digest of the weights. Loading is strict and never unpickles.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import torch
import numpy as np
from torch import Tensor
from safetensors import safe_open
from safetensors.torch import save

from sgnet_core.errors import CheckpointError, check_type, first_line, renamed_keys
from sgnet_core.io.files import write_file
from sgnet_core.io.text_files import parse_json
from sgnet_core.labels import LabelSet
from sgnet_core.model.sgnet import SGNet, SGNetConfig
from sgnet_core.preprocessing import InputSpec

FORMAT = 1
HEADER_KEY, DIGEST_KEY = 'sgnet', 'sha256'
_AGAIN = 'copy or download it again'
AUXILIARY_PREFIX = 'auxiliary_head.'
"""Prefix of the tensor names of the training-only head."""
DEFAULT_CHECKPOINT = Path(__file__).parents[1] / 'checkpoints' / 'sgnet_lite2_nyu40.safetensors'


@dataclass(frozen=True)
class Checkpoint:
    """A trained network.

    Raises:
        CheckpointError: the parts belong to different networks.
    """

    config: SGNetConfig
    input_spec: InputSpec
    label_set: LabelSet
    weights: Mapping[str, Tensor]  # parameters and buffers; the auxiliary head is optional
    provenance: dict[str, Any] = field(default_factory=dict)  # training and scores, JSON values

    def __post_init__(self) -> None:
        if len(self.label_set) != self.config.num_classes:
            raise CheckpointError(
                f'the checkpoint is not consistent: {len(self.label_set)} class names, but a '
                f'network of {self.config.num_classes} classes'
            )
        if self.input_spec.spatial != self.config.spatial:
            raise CheckpointError(
                f'the checkpoint is not consistent: its input has spatial '
                f'{self.input_spec.spatial!r}, its network {self.config.spatial!r}'
            )

    @property
    def has_auxiliary(self) -> bool:
        """True if the weights include the training-only head."""
        return any(name.startswith(AUXILIARY_PREFIX) for name in self.weights)

    def build(self, auxiliary: bool = False) -> SGNet:
        """The network with these weights, in evaluation mode.

        Args:
            auxiliary: include the training-only head.

        Raises:
            CheckpointError: a tensor is missing, unexpected or misshapen.
        """
        # The random initialisation is wasted, but the meta device imports torch._dynamo (2 s).
        with torch.random.fork_rng(devices=[]):
            network = SGNet(self.config, auxiliary)
        weights = {
            name: tensor
            for name, tensor in self.weights.items()
            if auxiliary or not name.startswith(AUXILIARY_PREFIX)
        }
        wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        check_tensors(wanted, weights)
        network.load_state_dict(weights, assign=True)
        return network.eval()

    def at_size(self, size: tuple[int, int] | None) -> Checkpoint:
        """The checkpoint with input (height, width); None keeps the size.

        Raises:
            InputError: the size is not a multiple of 32.
        """
        return self if size is None else replace(self, input_spec=self.input_spec.at_size(size))

    def header(self) -> dict[str, Any]:
        """Everything except the weights, as JSON values; exported graphs store it too."""
        return {
            'format': FORMAT,
            'config': asdict(self.config),
            'input': asdict(self.input_spec),
            'label_set': self.label_set.name,
            'class_names': self.label_set.class_names,
            'palette': self.label_set.palette.tolist(),
            'provenance': self.provenance,
        }

    def digest(self) -> str:
        """SHA-256 of architecture and weights, in hexadecimal."""
        return _digest(self.weights, json.dumps(asdict(self.config)))


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically; WriteError if that fails."""
    weights = {name: tensor.contiguous().cpu() for name, tensor in checkpoint.weights.items()}
    metadata = {HEADER_KEY: json.dumps(checkpoint.header()), DIGEST_KEY: _digest(weights)}
    write_file(Path(path), save(weights, metadata=metadata), durable=True)


def load_checkpoint(path: str | Path | None = None) -> Checkpoint:
    """Read a checkpoint; None or '' is the bundled one.

    Raises:
        CheckpointError: the file is missing, incomplete, not a checkpoint of this package, or has
            another format version.
    """
    path = Path(path) if path else DEFAULT_CHECKPOINT
    if not path.is_file():
        raise CheckpointError(
            f'no checkpoint at {path}; give the path of a .safetensors file made by `train` or '
            '`convert_checkpoint`'
        )
    try:
        with safe_open(str(path), framework='pt') as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises many types on damaged bytes
        raise CheckpointError(
            f'{path} is not a complete safetensors file ({first_line(error)}); {_AGAIN}; a PyTorch '
            'file of the authors (SGNet.pth.tar) needs `convert_checkpoint`'
        ) from error
    checkpoint = parse_header(path, metadata, weights)
    for name, tensor in weights.items():
        wanted = torch.int64 if name.endswith('.num_batches_tracked') else torch.float32
        if tensor.dtype != wanted or not tensor.isfinite().all():
            raise CheckpointError(f'{path}: tensor {name} is not finite {wanted}; {_AGAIN}')
    # Checkpoints of version 0.1 have no digest.
    if DIGEST_KEY in metadata and metadata[DIGEST_KEY] != _digest(weights):
        raise CheckpointError(f'{path}: its weights have changed since it was written; {_AGAIN}')
    return checkpoint


def check_tensors(wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError for the first missing, unexpected or misshapen tensor."""
    problem = next(tensor_problems(wanted, given), None)
    if problem:
        raise CheckpointError(f'the checkpoint does not fit the network: {problem}')


def tensor_problems(
    wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor]
) -> Iterator[str]:
    """A phrase for each missing, unexpected or misshapen tensor."""
    for name in {**wanted, **given}:
        if name not in given:
            yield f'tensor {name} is missing'
        elif name not in wanted:
            yield f'tensor {name} is unexpected'
        elif tuple(given[name].shape) != wanted[name]:
            yield f'tensor {name} is {tuple(given[name].shape)}, expected {wanted[name]}'


def differences(given: object, wanted: object) -> str:
    """Differing fields of two instances of a dataclass, each as `name: given, not wanted`."""
    pairs = [(f.name, getattr(given, f.name), getattr(wanted, f.name)) for f in fields(wanted)]
    return ', '.join(f'{name}: {one!r}, not {two!r}' for name, one, two in pairs if one != two)


def parse_header(path: Path, metadata: Mapping[str, str], weights: dict[str, Tensor]) -> Checkpoint:
    """Build the checkpoint from the metadata of the file `path` and its weights.

    Raises:
        CheckpointError: the header is missing, damaged, or of another format version.
    """
    if HEADER_KEY not in metadata:
        raise CheckpointError(
            f'{path} has no {HEADER_KEY!r} header, so this package did not write it; give '
            'a file made by `train`, `convert_checkpoint` or `export`'
        )
    try:
        header = parse_json(metadata[HEADER_KEY], f'{HEADER_KEY!r} header', CheckpointError)
        if header['format'] != FORMAT:
            raise CheckpointError(
                f'it has format {header["format"]}, this version reads {FORMAT}; '
                'update sgnet_ros or train or convert the checkpoint again'
            )
        header['input'] = renamed_keys(header['input'], {'holes': 'depth_fill'}, path.name)
        for part, kind in (('config', SGNetConfig), ('input', InputSpec)):
            unknown = set(header[part]) - {f.name for f in fields(kind)}
            if unknown:
                raise CheckpointError(
                    f'its {part} has unknown keys ({", ".join(sorted(unknown))}): a newer version '
                    'wrote it; update sgnet_ros'
                )
        config, spec = _typed(SGNetConfig, header['config']), _typed(InputSpec, header['input'])
        names = tuple(check_type('class_names', name, str) for name in header['class_names'])
        name = check_type('label_set', header['label_set'], str)
        label_set = LabelSet(name, names, np.array(header['palette'], dtype=np.uint8))
        provenance = check_type('provenance', header['provenance'], dict)
        return Checkpoint(config, spec, label_set, weights, provenance)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise CheckpointError(f'{path}: its {HEADER_KEY!r} header is damaged: {error}') from error


def _digest(weights: Mapping[str, Tensor], start: str = '') -> str:
    digest = hashlib.sha256(start.encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
        digest.update(tensor.contiguous().cpu().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _typed(kind: type[Any], values: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    return kind(**{name: check_type(name, value, hints[name]) for name, value in values.items()})
