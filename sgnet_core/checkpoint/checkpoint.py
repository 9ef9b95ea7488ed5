# SPDX-License-Identifier: Apache-2.0
"""A checkpoint: one `.safetensors` file whose header says everything needed to use the weights.

The header entry `sgnet` is JSON: format version, architecture, input, classes, colours, and how the
network was trained and what it scored. Loading is strict, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
import numpy as np
from torch import Tensor
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from sgnet_core.errors import CheckpointError, renamed_keys
from sgnet_core.io.files import atomic_write
from sgnet_core.labels import LabelSet
from sgnet_core.model.sgnet import SGNet, SGNetConfig
from sgnet_core.preprocessing import InputSpec

FORMAT = 1
HEADER_KEY = 'sgnet'
AUXILIARY_PREFIX = 'auxiliary_head.'
"""How the names of the tensors of the training-only head begin."""
DEFAULT_CHECKPOINT = Path(__file__).parents[1] / 'checkpoints' / 'sgnet_lite2_nyu40.safetensors'


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and all that is known of it.

    Attributes:
        config: its architecture.
        input_spec: what it expects to see.
        label_set: its classes and their colours.
        weights: every parameter and buffer of the inference network, by name; beside them those
            of the auxiliary head (`auxiliary_head.*`), where it was kept for further training.
        provenance: how it was trained and what it scored; plain JSON values.
    """

    config: SGNetConfig
    input_spec: InputSpec
    label_set: LabelSet
    weights: Mapping[str, Tensor]
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise CheckpointError where the parts are not of one network."""
        if len(self.label_set) != self.config.num_classes:
            raise CheckpointError(
                f'{len(self.label_set)} class names for a network of {self.config.num_classes} '
                'classes: the checkpoint is not whole'
            )
        if self.input_spec.spatial != self.config.spatial:
            raise CheckpointError(
                f'the input is prepared as {self.input_spec.spatial!r}, the network wants '
                f'{self.config.spatial!r}: the checkpoint is not whole'
            )

    @property
    def has_auxiliary(self) -> bool:
        """Whether the training-only head was kept."""
        return any(name.startswith(AUXILIARY_PREFIX) for name in self.weights)

    def build(self, auxiliary: bool = False) -> SGNet:
        """The network with these weights, in evaluation mode.

        Args:
            auxiliary: with the training-only head, which few checkpoints have.

        Raises:
            CheckpointError: a tensor is missing, left over or of another shape; it is named.
        """
        # Initialised for nothing; without, on the meta device, PyTorch loads its compiler: 2 s.
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
        """The same network for inputs of (height, width); None = as it is.

        Raises:
            InputError: not multiples of 32.
        """
        return self if size is None else replace(self, input_spec=self.input_spec.at_size(size))

    def header(self) -> dict[str, Any]:
        """Everything but the weights, as plain JSON values; also what an exported graph carries."""
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
        """SHA-256 over architecture and weights, in hexadecimal: the same for equal networks."""
        digest = hashlib.sha256(json.dumps(asdict(self.config)).encode())
        for name, tensor in sorted(self.weights.items()):
            digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
            digest.update(tensor.contiguous().cpu().view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write atomically: a reader sees the old file or the whole new one."""
    weights = {name: tensor.contiguous().cpu() for name, tensor in checkpoint.weights.items()}
    data = save(weights, metadata={HEADER_KEY: json.dumps(checkpoint.header())})
    with atomic_write(Path(path)) as partial:
        partial.write_bytes(data)


def load_checkpoint(path: str | Path | None = None) -> Checkpoint:
    """Read a checkpoint; None or '' is the one that ships with the package.

    Raises:
        CheckpointError: no such file, not a whole safetensors file, not one of ours, or of another
            format version.
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
    except (SafetensorError, OSError) as error:
        problem = f'is not a whole safetensors file ({error}); copy or download it again'
        if isinstance(error, SafetensorError) and _is_pytorch_file(path):
            problem = (
                'is a file of PyTorch and no checkpoint; make one of a file of the authors '
                '(SGNet.pth.tar) with `convert_checkpoint`, of a run take best.safetensors'
            )
        raise CheckpointError(f'{path} {problem}') from error
    return parse_header(path, metadata, weights)


def check_tensors(wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError, naming the first tensor that is missing, left over or misshapen."""
    problem = next(tensor_problems(wanted, given), None)
    if problem:
        raise CheckpointError(f'the checkpoint does not fit the network: {problem}')


def tensor_problems(
    wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor]
) -> Iterator[str]:
    """A phrase for each tensor that is missing, left over or misshapen."""
    for name in {**wanted, **given}:
        if name not in given:
            yield f'tensor {name} is missing'
        elif name not in wanted:
            yield f'tensor {name} has no place in this network'
        elif tuple(given[name].shape) != wanted[name]:
            yield f'tensor {name} is {tuple(given[name].shape)}, expected {wanted[name]}'


def differences(given: object, wanted: object) -> str:
    """The fields in which two of one dataclass differ, each as `name: given, not wanted`."""
    pairs = [(f.name, getattr(given, f.name), getattr(wanted, f.name)) for f in fields(wanted)]
    return ', '.join(f'{name}: {one!r}, not {two!r}' for name, one, two in pairs if one != two)


def _is_pytorch_file(path: Path) -> bool:
    """Whether a file that is no safetensors begins as `torch.save` does: pickle 2, or zip."""
    with path.open('rb') as file:
        return file.read(2) in (b'\x80\x02', b'PK')


def parse_header(path: Path, metadata: Mapping[str, str], weights: dict[str, Tensor]) -> Checkpoint:
    """The checkpoint that the metadata of `path` describes, around `weights`.

    Raises:
        CheckpointError: it is none of ours, damaged, or of another format version.
    """
    if HEADER_KEY not in metadata:
        raise CheckpointError(
            f'{path} has no {HEADER_KEY!r} header: it was not written by this package; give '
            'a file made by `train`, `convert_checkpoint` or `export`'
        )
    try:
        header = json.loads(metadata[HEADER_KEY])
        if header['format'] != FORMAT:
            raise CheckpointError(
                f'it has format {header["format"]}, this version reads {FORMAT}; '
                'update sgnet_ros or make the checkpoint anew'
            )
        header['input'] = renamed_keys(header['input'], {'holes': 'depth_fill'}, path.name)
        for part, kind in (('config', SGNetConfig), ('input', InputSpec)):
            unknown = set(header[part]) - {f.name for f in fields(kind)}
            if unknown:
                raise CheckpointError(
                    f'its {part} has {", ".join(sorted(unknown))}, which this version does not '
                    'know: it was made by a newer one; update sgnet_ros'
                )
        spec = {**header['input'], 'mean': tuple(header['input']['mean'])}
        spec['std'] = tuple(spec['std'])
        return Checkpoint(
            SGNetConfig(**header['config']),
            InputSpec(**spec),
            LabelSet(
                header['label_set'],
                tuple(header['class_names']),
                np.array(header['palette'], dtype=np.uint8),
            ),
            weights,
            header['provenance'],
        )
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f'{path}: its {HEADER_KEY!r} header is damaged: {error}') from error
