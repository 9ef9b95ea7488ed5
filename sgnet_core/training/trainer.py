# SPDX-License-Identifier: Apache-2.0
"""Trains a network: epochs, optimiser, averaged weights, best checkpoint, resume.

In the output folder: `best.safetensors` (the averaged weights of the best epoch on the validation
split), `last.safetensors` (those of the last one), `last.pt` (training state for `--resume`),
`train.yaml`, and what `run_log.py` writes.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
import numpy as np
import yaml
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from sgnet_core.checkpoint.checkpoint import AUXILIARY_PREFIX, Checkpoint, save_checkpoint
from sgnet_core.data.folder_dataset import FolderDataset
from sgnet_core.errors import ConfigError, DataError, SgnetError
from sgnet_core.evaluation import PROTOCOL, evaluate
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import label_set_of
from sgnet_core.model.sgnet import SGNet
from sgnet_core.runtime.device import PRECISIONS, resolve_device
from sgnet_core.runtime.distributed import SINGLE_PROCESS, DistributedContext
from sgnet_core.training.config import TrainConfig, as_plain
from sgnet_core.training.dataset import (
    TrainingDataset,
    check_batch_size,
    class_weights,
    epoch_loader,
    skip_unreadable,
)
from sgnet_core.training.distillation import TeacherEnsemble
from sgnet_core.training.initialization import Initialization, start_name
from sgnet_core.training.loss import LOSS_TERMS, NetworkWithLoss
from sgnet_core.training.optimizer import (
    averaging,
    frozen_modules,
    learning_rate_factor,
    make_optimizer,
)
from sgnet_core.training.resume import load_training_state, save_training_state
from sgnet_core.training.run_log import RunLog

GRADIENT_NORM = 5.0

logger = logging.getLogger(__name__)


class Trainer:
    """One run in one folder. `fit` does it; `resume` continues where the folder stands."""

    def __init__(
        self,
        config: TrainConfig,
        data_root: Path,
        out: Path,
        device: str = 'auto',
        precision: str = 'fp32',
        workers: int = 1,
        init: Path | None = None,
        distributed: DistributedContext = SINGLE_PROCESS,
        teachers: Sequence[Path] = (),
    ) -> None:
        """Open the data and build the network; see `TrainConfig` and the command `train`.

        Raises:
            SgnetError: something of it cannot be: named, before anything long has begun.
        """
        if workers < 0:
            raise ConfigError(f'workers must be at least 0, got {workers}')
        self.config, self.out, self.workers, self.distributed = config, out, workers, distributed
        self.device = resolve_device(device)
        self.dtype = PRECISIONS[precision]
        self.train_data = FolderDataset(data_root, config.train_split)
        self.val_data = FolderDataset(data_root, config.val_split)
        initialization = Initialization(config, init)
        self.spec = initialization.spec
        self.settings = {
            **as_plain(config),
            'data': f'{self.train_data.name}, split {config.train_split}, '
            f'{len(self.train_data)} frames',
            'precision': precision,
            'init': None if init is None else str(init),
            'teachers': [str(path) for path in teachers] or None,
        }
        self.crops = TrainingDataset(self.train_data, self.spec, config)
        check_batch_size(config, len(self.crops), distributed.world_size)
        self.label_set = label_set_of(self.train_data.class_names)
        self.teachers = TeacherEnsemble(
            teachers,
            self.spec,
            self.label_set,
            self.device,
            config.teacher_scale,
            config.joint_bilateral,
        )
        torch.manual_seed(config.seed)
        architecture = config.architecture(len(self.label_set))
        network = SGNet(architecture, auxiliary=config.auxiliary_weight > 0)
        self.start = initialization.initialize(network, self.label_set)
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.average = AveragedModel(
            self.network,
            multi_avg_fn=averaging(config.ema_decay),
            use_buffers=True,
        )
        self.optimizer = make_optimizer(self.network, config, slow=initialization.is_pretrained)
        self.scaler = torch.amp.GradScaler(
            torch.device(self.device).type, enabled=self.dtype == torch.float16
        )
        self.epoch, self.best_miou, self.seconds = 0, -1.0, 0.0

    def fit(self) -> Path:
        """Train to the last epoch and return the path of the best checkpoint."""
        if self.distributed.is_main:
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / 'train.yaml').write_text(yaml.safe_dump(as_plain(self.config)))
        logger.info(
            '%d frames and %d of generated rooms an epoch, %d epochs on %s, from %s',
            len(self.train_data), self.config.room_frames, self.config.epochs,
            self.device, start_name(self.start),
        )  # fmt: skip
        weights = class_weights(self.train_data, self.config.class_weight_exponent)
        with_loss = NetworkWithLoss(self.network, self.config, weights, self.dtype, self.teachers)
        with_loss.to(self.device)
        wrapped = self.distributed.wrap(with_loss)
        self.crops.generate_rooms()
        with self._run_log() as run_log:
            while self.epoch < self.config.epochs:
                metrics = self._train_one_epoch(with_loss, wrapped, run_log)
                self.epoch += 1
                if self.epoch % self.config.evaluate_every == 0 or self.epoch == self.config.epochs:
                    metrics |= self._validate(run_log)
                if run_log is not None:
                    # Before the state: of the two, the log can be shortened when resuming.
                    hours = round(self.seconds / 3600, 3)
                    run_log.log_epoch(self.epoch, {**metrics, 'hours': hours})
                    self._save_state()
                    save_checkpoint(self.out / 'last.safetensors', self._averaged_checkpoint())
        self.distributed.barrier()
        return self.out / 'best.safetensors'

    def resume(self) -> None:
        """Take up `last.pt`.

        Raises:
            ConfigError: there is none, or it belongs to another run (see `load_training_state`).
        """
        state = load_training_state(self.out / 'last.pt', self.settings)
        self.network.load_state_dict(state['network'])
        self.average.load_state_dict(state['average'])
        self.optimizer.load_state_dict(state['optimizer'])
        self.scaler.load_state_dict(state['scaler'])
        self.epoch, self.best_miou = state['epoch'], state['best_miou']
        self.seconds, self.start = state['seconds'], state['start']

    def _run_log(self) -> RunLog | nullcontext[None]:
        """The run_log, which only the first process writes."""
        if not self.distributed.is_main:
            return nullcontext()
        batch = self.config.batch_size
        images = len(self.crops) // batch * batch
        return RunLog(self.out, self.config.epochs, images, self.epoch)

    def _train_one_epoch(
        self, with_loss: NetworkWithLoss, wrapped: nn.Module, run_log: RunLog | None
    ) -> dict[str, float]:
        """Train one epoch and return its metrics; `wrapped` is `with_loss` for all processes."""
        started = time.monotonic()
        self._set_training_mode()
        # An epoch's random numbers depend on no epoch before it: nothing of them is to be saved.
        seed = (self.config.seed, self.epoch, self.distributed.rank)
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        loader = epoch_loader(self.crops, self.config, self.epoch, self.workers, self.distributed)
        total = 0.0
        for step, batch in enumerate(skip_unreadable(loader, len(self.crops))):
            factor = learning_rate_factor(self.epoch + step / len(loader), self.config)
            for group in self.optimizer.param_groups:
                group['lr'] = group['peak_lr'] * factor
            batch = [tensor.to(self.device, non_blocking=True) for tensor in batch]
            weight = (
                self.distributed.sum(with_loss.total_weight(batch[2])) / self.distributed.world_size
            )
            total += self._step(wrapped, batch, weight)
            if run_log is not None:
                run_log.update_progress(self.config.batch_size, total / (step + 1))
        seconds = time.monotonic() - started
        self.seconds += seconds
        return {
            'loss': total / len(loader),
            'learning_rate': max(group['lr'] for group in self.optimizer.param_groups),
            'images_per_second': len(loader) * self.config.batch_size / seconds,
        }

    def _set_training_mode(self) -> None:
        self.network.train()
        for module in frozen_modules(self.network, self.config.frozen_blocks):
            module.eval()
        if self.config.frozen_norms:
            for module in self.network.backbone.modules():
                if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
                    module.eval()

    def _step(self, wrapped: nn.Module, batch: list[Tensor], weight: Tensor) -> float:
        """One step of the optimiser; returns the loss of the batch of all processes."""
        self.optimizer.zero_grad(set_to_none=True)
        microbatches = [*zip(*(t.chunk(self.config.accumulate) for t in batch), strict=True)]
        loss_terms = torch.zeros(len(LOSS_TERMS), device=self.device)
        for i, microbatch in enumerate(microbatches):
            # Gradients are averaged over the processes once, with the last part.
            waits = i < len(microbatches) - 1 and self.distributed.world_size > 1
            with wrapped.no_sync() if waits else nullcontext():
                loss, terms = wrapped(*microbatch, weight)
                self.scaler.scale(loss).backward()
            loss_terms += terms
        mean_terms = (self.distributed.sum(loss_terms) / self.distributed.world_size).tolist()
        loss = sum(mean_terms)
        if not math.isfinite(loss):
            kept = f'{self.out / "last.pt"} keeps the state after epoch {self.epoch}'
            text = ', '.join(f'{n} {v}' for n, v in zip(LOSS_TERMS, mean_terms, strict=True))
            raise SgnetError(
                f'the loss is not finite in epoch {self.epoch + 1} ({text}); lower '
                'learning_rate, or use precision fp32; '
                f'{kept if self.epoch else "there is no state yet to go on from"}'
            )
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update_parameters(self.network)
        return loss

    def _validate(self, run_log: RunLog | None) -> dict[str, float]:
        """Evaluate the averaged weights; keep them where they are the best so far."""
        checkpoint = self._averaged_checkpoint()
        segmenter = Segmenter(
            checkpoint.build(), self.spec, self.label_set, self.device, precision='fp32'
        )
        mine = range(self.distributed.rank, len(self.val_data), self.distributed.world_size)
        confusion = evaluate(
            segmenter, (self.val_data[i] for i in mine), len(mine), self.distributed.is_main
        ).confusion
        pixels = self.distributed.sum(torch.from_numpy(confusion.pixels).to(self.device))
        confusion.pixels[:] = pixels.cpu().numpy()
        scores = confusion.scores()
        if scores['miou'] is None:
            raise DataError(f'{self.val_data.root}: {self.config.val_split} has no labelled pixel')
        if run_log is not None:
            run_log.log_predictions(self.epoch, segmenter, self.val_data)
        kept = {k: scores[k] for k in ('miou', 'pixel_accuracy', 'mean_accuracy')}
        if kept['miou'] > self.best_miou:
            self.best_miou = kept['miou']
            checkpoint.provenance['scores'] = {
                'data': f'{self.val_data.name}, split {self.config.val_split}',
                'protocol': PROTOCOL,
                'frames': len(self.val_data),
                **kept,
            }
            if self.distributed.is_main:
                save_checkpoint(self.out / 'best.safetensors', checkpoint)
        return kept

    def _averaged_checkpoint(self) -> Checkpoint:
        state = self.average.module.state_dict()
        weights = {k: v.clone() for k, v in state.items() if not k.startswith(AUXILIARY_PREFIX)}
        rooms = self.config.room_frames
        provenance = {
            'data': str(self.settings['data'])
            + (f'; {rooms} frames of generated rooms' if rooms else ''),
            'start': self.start,
            'epochs': self.epoch,
            'hours': round(self.seconds / 3600, 2),
            'device': self.device,
            'config': as_plain(self.config),
        }
        if self.settings['teachers']:
            names = (Path(path).name for path in self.settings['teachers'])
            provenance['teachers'] = ', '.join(names)
        return Checkpoint(self.network.config, self.spec, self.label_set, weights, provenance)

    def _save_state(self) -> None:
        state = {
            'settings': self.settings,
            'network': self.network.state_dict(),
            'average': self.average.state_dict(),
            'optimizer': self.optimizer.state_dict(),
            'scaler': self.scaler.state_dict(),
            'epoch': self.epoch,
            'best_miou': self.best_miou,
            'seconds': self.seconds,
            'start': self.start,
        }
        save_training_state(self.out / 'last.pt', state)
