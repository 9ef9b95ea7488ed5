# SPDX-License-Identifier: Apache-2.0
"""Distillation from teacher networks."""

import dataclasses

import torch
import pytest
import torch.nn.functional as F
import yaml
from networks import untrained, with_offsets

from sgnet_core.checkpoint.checkpoint import load_checkpoint, save_checkpoint
from sgnet_core.cli.runner import run_command
from sgnet_core.errors import ConfigError
from sgnet_core.labels import NYU40, label_set_of
from sgnet_core.ops.joint_bilateral_upsampling import joint_bilateral_upsample
from sgnet_core.training.config import TrainConfig
from sgnet_core.training.distillation import TeacherEnsemble
from sgnet_core.training.loss import NetworkWithLoss
from sgnet_core.types import UNLABELLED

STUDENT = untrained()


def ensemble(paths, **changes) -> TeacherEnsemble:
    return TeacherEnsemble(paths, STUDENT.input_spec, NYU40, 'cpu', TrainConfig(**changes))


@pytest.fixture
def teachers(tmp_path):
    """The student and a more confident network: as files and as a `TeacherEnsemble`."""
    paths = [tmp_path / 'first.safetensors', tmp_path / 'second.safetensors']
    confident = with_offsets(STUDENT)
    confident.weights['head.classifier.weight'] *= 20
    for path, checkpoint in zip(paths, (STUDENT, confident), strict=True):
        save_checkpoint(path, checkpoint)
    return paths, ensemble(paths)


@pytest.fixture
def batch():
    """Image, depth, labels with an unlabelled quarter, and their total weight."""
    generator = torch.Generator().manual_seed(3)
    image = torch.randn(4, 3, 64, 96, generator=generator)
    depth = torch.rand(4, 1, 64, 96, generator=generator) * 3 + 1
    labels = torch.randint(0, 40, (4, 64, 96), generator=generator)
    labels[:, :16] = UNLABELLED
    return image, depth, labels, torch.tensor([float((labels != UNLABELLED).sum())])


def with_loss(teachers: TeacherEnsemble | None, **changes) -> NetworkWithLoss:
    config = TrainConfig(loss_stride=1, **changes)
    return NetworkWithLoss(STUDENT.build().eval(), config, None, torch.float32, teachers)


def test_several_teachers_average_their_probabilities(teachers, batch):
    paths, both = teachers
    image, depth, *_ = batch
    networks = [load_checkpoint(path).build().eval() for path in paths]
    with torch.no_grad():
        expected = torch.stack([network(image, depth).softmax(1) for network in networks]).mean(0)
    probabilities = both.probabilities(image, depth, expected.shape[2:])
    assert len(both) == 2
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(1), torch.ones_like(probabilities[:, 0]))
    torch.testing.assert_close(probabilities, expected, atol=0.02, rtol=0.05)


@pytest.mark.parametrize(
    ('scale', 'size'), [(1.6, (96, 160)), (0.2, (32, 32))], ids=['larger', 'smaller']
)
def test_teacher_scale_adds_a_prediction_of_the_resized_crop(scale, size, teachers, batch):
    image, depth, *_ = batch
    scaled_teacher = ensemble(teachers[0][1:], teacher_scale=scale)
    network = load_checkpoint(teachers[0][1]).build().eval()
    with torch.no_grad():
        scaled = network(*(F.interpolate(x, size, mode='bilinear') for x in (image, depth)))
        scaled = F.interpolate(scaled, (8, 12), mode='bilinear', align_corners=True).softmax(1)
        plain = network(image, depth).softmax(1)
    assert (scaled - plain).abs().max() > 0.08
    probabilities = scaled_teacher.probabilities(image, depth, (8, 12))
    torch.testing.assert_close(probabilities, (plain + scaled) / 2, atol=0.02, rtol=0.05)


def test_teacher_scale_below_one_size_step_has_no_effect(teachers, batch):
    image, depth, *_ = batch
    probabilities = ensemble(teachers[0], teacher_scale=1.1).probabilities(image, depth, (8, 12))
    assert torch.equal(probabilities, teachers[1].probabilities(image, depth, (8, 12)))


def test_teachers_upsample_like_the_student(teachers, batch):
    image, depth, *_ = batch
    upsampling = ensemble(teachers[0][1:], joint_bilateral=True)
    with torch.no_grad():
        scores = load_checkpoint(teachers[0][1]).build().eval()(image, depth)
        expected = joint_bilateral_upsample(scores, image, depth).softmax(1)
    probabilities = upsampling.probabilities(image, depth, (16, 24))
    torch.testing.assert_close(probabilities, expected, atol=0.02, rtol=0.05)


def test_teacher_weight_divides_the_loss_between_labels_and_teachers(teachers, batch):
    _, both = teachers
    image, depth, *_ = batch
    _, (labelled, _, no_distillation) = with_loss(None)(*batch)
    assert no_distillation == 0
    loss, (main, auxiliary, distillation) = with_loss(both, teacher_weight=0.3)(*batch)
    with torch.no_grad():
        student = STUDENT.build().eval()(image, depth).log_softmax(1)
        target = both.probabilities(image, depth, student.shape[2:])
    divergence = F.kl_div(student, target, reduction='none').sum(1).mean()
    assert divergence > 0.01
    torch.testing.assert_close(main, 0.7 * labelled)
    torch.testing.assert_close(distillation, 0.3 * divergence)
    torch.testing.assert_close(loss, main + auxiliary + distillation)


def test_distillation_covers_unlabelled_pixels_and_freezes_teachers(teachers, batch):
    _, both = teachers
    image, depth, labels, _ = batch
    student = with_loss(both)
    before = both.probabilities(image, depth, (8, 12))
    loss, _ = student(image, depth, torch.full_like(labels, UNLABELLED), torch.zeros(1))
    loss.backward()
    assert student.network.head.classifier.weight.grad.abs().sum() > 0
    assert {name.split('.')[0] for name, _ in student.named_parameters()} == {'network'}
    torch.testing.assert_close(both.probabilities(image, depth, (8, 12)), before)


def with_input(**changes):
    return dataclasses.replace(
        STUDENT, input_spec=dataclasses.replace(STUDENT.input_spec, **changes)
    )


@pytest.mark.parametrize(
    ('teacher', 'message'),
    [
        (
            untrained(label_set_of(['wall', 'floor'])),
            'has 2 classes, the dataset has 40; their names and order must be equal',
        ),
        (untrained(spatial='xyz'), "different input than the student: .*spatial: 'xyz', not 'dep"),
        (with_input(depth_fill='smooth'), "the student: depth_fill: 'smooth', not 'constant'"),
        (with_input(height=480, width=640), None),
    ],
)
def test_teacher_needs_the_input_and_classes_of_the_student(teacher, message, tmp_path):
    path = tmp_path / 'teacher.safetensors'
    save_checkpoint(path, teacher)
    if message is None:
        assert len(ensemble([path])) == 1
        return
    with pytest.raises(ConfigError, match=message):
        ensemble([path])


def test_teacher_may_normalise_colour_differently(batch, tmp_path):
    image, depth, *_ = batch
    other = with_input(channel_order='bgr', mean=(90.0, 100.0, 110.0), std=(50.0, 60.0, 70.0))
    save_checkpoint(tmp_path / 'teacher.safetensors', other)
    grey = image * torch.tensor(STUDENT.input_spec.std)[:, None, None]
    grey += torch.tensor(STUDENT.input_spec.mean)[:, None, None]
    mean, std = (torch.tensor(v)[:, None, None] for v in ((90.0, 100, 110), (50.0, 60, 70)))
    with torch.no_grad():
        scores = other.build().eval()((grey.flip(1) - mean) / std, depth)
    probabilities = ensemble([tmp_path / 'teacher.safetensors']).probabilities(
        image, depth, (8, 12)
    )
    torch.testing.assert_close(probabilities, scores.softmax(1), atol=0.02, rtol=0.05)


def test_train_command_distils_and_records_the_teachers(tiny_dataset, tmp_path, capsys):
    teacher = tmp_path / 'teacher.safetensors'
    save_checkpoint(teacher, with_input(depth_fill='smooth'))
    settings = {'pretrained': False, 'input_size': [64, 96], 'crop_size': [32, 64], 'batch_size': 2}
    (tmp_path / 'tiny.yaml').write_text(yaml.safe_dump({**settings, 'epochs': 1}))
    command = ['--config', str(tmp_path / 'tiny.yaml'), '--data', str(tiny_dataset.root)]
    command += ['--out', str(tmp_path / 'run'), '--device', 'cpu', '--workers', '0']
    command += ['--init', str(teacher)]
    assert run_command('sgnet_core', 'train', [*command, '--teacher', str(teacher)]) == 0
    best = load_checkpoint(tmp_path / 'run/best.safetensors')
    assert best.provenance['teachers'] == 'teacher.safetensors'
    assert run_command('sgnet_core', 'train', [*command, '--resume', '--epochs', '2']) == 2
    assert f"was trained with teachers: ['{teacher}'], now it is None" in capsys.readouterr().err
