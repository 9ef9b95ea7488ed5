# SPDX-License-Identifier: Apache-2.0
"""Training of a network: epochs, optimizer, averaged weights, best checkpoint, resume.

The output folder holds `best.safetensors` (averaged weights of the best epoch on the validation
split), `last.safetensors` (averaged weights of the last epoch), `last.pt` (training state for
`--resume`), `train.yaml`, and the log of `run_log.py`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
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
from sgnet_core.io.files import write_file
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
    ema_update,
    frozen_modules,
    learning_rate_factor,
    make_optimizer,
)
from sgnet_core.training.resume import load_training_state, save_training_state
from sgnet_core.training.run_log import RunLog

GRADIENT_NORM = 5.0
MODULES_SAVED = ('network', 'average', 'optimizer', 'scaler')
VALUES_SAVED = ('epoch', 'best_miou', 'seconds', 'start')
"""Attributes of a `Trainer` in its training state: with a `state_dict`, and plain ones."""

logger = logging.getLogger(__name__)


class Trainer:
    """One run in one folder; `fit` trains, `resume` first restores the state of the folder."""

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
            SgnetError: a setting, the data, or a checkpoint is not valid.
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
        data, frames = self.train_data.name, len(self.train_data)
        self.settings = {
            **as_plain(config),
            'data': f'{data}, split {config.train_split}, {frames} frames',
            'precision': precision,
            'init': None if init is None else str(init),
            'teachers': [str(path) for path in teachers] or None,
        }
        self.crops = TrainingDataset(self.train_data, self.spec, config)
        check_batch_size(config, len(self.crops), distributed.world_size)
        self.label_set = label_set_of(self.train_data.class_names)
        self.teachers = TeacherEnsemble(teachers, self.spec, self.label_set, self.device, config)
        torch.manual_seed(config.seed)
        architecture = config.architecture(len(self.label_set))
        network = SGNet(architecture, auxiliary=config.auxiliary_weight > 0)
        self.start = initialization.initialize(network, self.label_set)
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.average = AveragedModel(
            self.network, multi_avg_fn=ema_update(config.ema_decay), use_buffers=True
        )
        self.optimizer = make_optimizer(self.network, config, slow=initialization.is_pretrained)
        self.scaler = torch.amp.GradScaler(
            torch.device(self.device).type, enabled=self.dtype == torch.float16
        )
        self.epoch, self.best_miou, self.seconds = 0, -1.0, 0.0

    def fit(self) -> Path:
        """Train to the last epoch and return the path of the best checkpoint."""
        config = self.config
        logger.info(
            '%d frames per epoch, %d epochs on %s, initialised from %s',
            len(self.train_data), config.epochs, self.device, start_name(self.start),
        )  # fmt: skip
        run_log = None
        if self.distributed.is_main:
            write_file(self.out / 'train.yaml', yaml.safe_dump(as_plain(config)))
            images = len(self.crops) // config.batch_size * config.batch_size
            run_log = RunLog(self.out, config.epochs, images, self.epoch)
        weights = class_weights(self.train_data, config.class_weight_exponent)
        with_loss = NetworkWithLoss(self.network, config, weights, self.dtype, self.teachers)
        with_loss.to(self.device)
        wrapped = self.distributed.wrap(with_loss)
        with closing(run_log) if run_log else nullcontext():
            while self.epoch < config.epochs:
                metrics = self._train_one_epoch(with_loss, wrapped, run_log)
                self.epoch += 1
                if self.epoch % config.evaluate_every == 0 or self.epoch == config.epochs:
                    metrics |= self._validate(run_log)
                if run_log:
                    # The log comes before the state: resuming can shorten the log only.
                    hours = round(self.seconds / 3600, 3)
                    run_log.log_epoch(self.epoch, {**metrics, 'hours': hours})
                    self._save_state()
                    save_checkpoint(self.out / 'last.safetensors', self._averaged_checkpoint())
        self.distributed.barrier()
        return self.out / 'best.safetensors'

    def resume(self) -> None:
        """Restore the state from `last.pt`.

        Raises:
            ConfigError: the file does not exist or belongs to another run.
        """
        state = load_training_state(self.out / 'last.pt', self.settings)
        for name in MODULES_SAVED:
            getattr(self, name).load_state_dict(state[name])
        for name in VALUES_SAVED:
            setattr(self, name, state[name])

    def _save_state(self) -> None:
        state = {'settings': self.settings}
        state |= {name: getattr(self, name) for name in VALUES_SAVED}
        state |= {name: getattr(self, name).state_dict() for name in MODULES_SAVED}
        save_training_state(self.out / 'last.pt', state)

    def _train_one_epoch(
        self, with_loss: NetworkWithLoss, wrapped: nn.Module, run_log: RunLog | None
    ) -> dict[str, float]:
        """Train one epoch and return its metrics; `wrapped` is `with_loss` for all processes."""
        started = time.monotonic()
        self.network.train()
        for module in frozen_modules(self.network, self.config.frozen_blocks):
            module.eval()
        if self.config.frozen_norms:
            for module in self.network.backbone.modules():
                if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
                    module.eval()
        # Each epoch has its own random numbers, so a resumed run needs no saved generator.
        seed = (self.config.seed, self.epoch, self.distributed.rank)
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        loader = epoch_loader(self.crops, self.config, self.epoch, self.workers, self.distributed)
        total = 0.0
        for step, batch in enumerate(skip_unreadable(loader, len(self.crops))):
            factor = learning_rate_factor(self.epoch + step / len(loader), self.config)
            for group in self.optimizer.param_groups:
                group['lr'] = group['peak_lr'] * factor
            batch = [tensor.to(self.device, non_blocking=True) for tensor in batch]
            weight = self.distributed.mean(with_loss.total_weight(batch[2]))
            total += self._step(wrapped, batch, weight)
            if run_log:
                run_log.update_progress(self.config.batch_size, total / (step + 1))
        seconds = time.monotonic() - started
        self.seconds += seconds
        return {
            'loss': total / len(loader),
            'learning_rate': max(group['lr'] for group in self.optimizer.param_groups),
            'images_per_second': len(loader) * self.config.batch_size / seconds,
        }

    def _step(self, wrapped: nn.Module, batch: list[Tensor], weight: Tensor) -> float:
        """Update the weights and return the loss of the batch of all processes."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, terms = wrapped(*batch, weight)
        self.scaler.scale(loss).backward()
        terms = dict(zip(LOSS_TERMS, self.distributed.mean(terms).tolist(), strict=True))
        mean_loss = sum(terms.values())
        if not math.isfinite(mean_loss):
            text = ', '.join(f'{name} {value}' for name, value in terms.items())
            state = f'{self.out / "last.pt"} holds the state after epoch {self.epoch}'
            raise SgnetError(
                f'the loss is not finite in epoch {self.epoch + 1} ({text}); lower learning_rate '
                f'or use precision fp32; {state if self.epoch else "there is no state to resume"}'
            )
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update_parameters(self.network)
        return mean_loss

    def _validate(self, run_log: RunLog | None) -> dict[str, float]:
        """Evaluate the averaged weights and save them if they are the best so far."""
        checkpoint = self._averaged_checkpoint()
        segmenter = Segmenter(checkpoint.build(), self.spec, self.label_set, self.device, 'fp32')
        shard = range(self.distributed.rank, len(self.val_data), self.distributed.world_size)
        confusion = evaluate(
            segmenter, (self.val_data[i] for i in shard), len(shard), self.distributed.is_main
        ).confusion
        pixels = self.distributed.sum(torch.from_numpy(confusion.pixels).to(self.device))
        confusion.pixels[:] = pixels.cpu().numpy()
        scores = confusion.scores()
        if scores['miou'] is None:
            raise DataError(f'{self.val_data.root}: {self.config.val_split} has no labelled pixel')
        if run_log:
            run_log.log_predictions(self.epoch, segmenter, self.val_data)
        metrics = {k: scores[k] for k in ('miou', 'pixel_accuracy', 'mean_accuracy')}
        if metrics['miou'] > self.best_miou:
            self.best_miou = metrics['miou']
            checkpoint.provenance['scores'] = {
                'data': f'{self.val_data.name}, split {self.config.val_split}',
                'protocol': PROTOCOL,
                'frames': len(self.val_data),
                **metrics,
            }
            if run_log:
                save_checkpoint(self.out / 'best.safetensors', checkpoint)
        return metrics

    def _averaged_checkpoint(self) -> Checkpoint:
        state = self.average.module.state_dict()
        weights = {k: v.clone() for k, v in state.items() if not k.startswith(AUXILIARY_PREFIX)}
        provenance = {
            'data': self.settings['data'],
            'start': self.start,
            'epochs': self.epoch,
            'hours': round(self.seconds / 3600, 2),
            'device': self.device,
            'config': as_plain(self.config),
        }
        if self.settings['teachers']:
            provenance['teachers'] = ', '.join(Path(p).name for p in self.settings['teachers'])
        return Checkpoint(self.network.config, self.spec, self.label_set, weights, provenance)
