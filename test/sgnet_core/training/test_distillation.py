# SPDX-License-Identifier: Apache-2.0
"""Learning from the scores of trained networks beside the labels."""

import dataclasses

import torch
import pytest
import torch.nn.functional as F
import yaml
from networks import bent, untrained

from sgnet_core.checkpoint.checkpoint import load_checkpoint, save_checkpoint
from sgnet_core.cli.runner import run_command
from sgnet_core.errors import ConfigError
from sgnet_core.labels import NYU40, label_set_of
from sgnet_core.model import SGNet
from sgnet_core.ops.joint_bilateral_upsampling import joint_bilateral_upsample
from sgnet_core.training.config import TrainConfig, load_train_config
from sgnet_core.training.distillation import TeacherEnsemble
from sgnet_core.training.loss import NetworkWithLoss
from sgnet_core.training.trainer import Trainer
from sgnet_core.types import UNLABELLED

STUDENT = untrained()


@pytest.fixture
def teachers(tmp_path):
    """The student as it is, and a network of firmer belief: as files and as `TeacherEnsemble`."""
    paths = [tmp_path / 'first.safetensors', tmp_path / 'second.safetensors']
    firm = bent(STUDENT)
    firm.weights['head.classifier.weight'] *= 20
    for path, checkpoint in zip(paths, (STUDENT, firm), strict=True):
        save_checkpoint(path, checkpoint)
    return paths, TeacherEnsemble(paths, STUDENT.input_spec, NYU40, 'cpu')


@pytest.fixture
def batch():
    """Image, depth, labels of which a quarter is unlabelled, and what these weigh."""
    generator = torch.Generator().manual_seed(3)
    image = torch.randn(4, 3, 64, 96, generator=generator)
    depth = torch.rand(4, 1, 64, 96, generator=generator) * 3 + 1
    labels = torch.randint(0, 40, (4, 64, 96), generator=generator)
    labels[:, :16] = UNLABELLED
    return image, depth, labels, torch.tensor([float((labels != UNLABELLED).sum())])


def with_loss(teachers: TeacherEnsemble | None, **changes) -> NetworkWithLoss:
    config = TrainConfig(loss_stride=1, **changes)
    return NetworkWithLoss(STUDENT.build().eval(), config, None, torch.float32, teachers)


def test_several_teachers_speak_with_their_mean(teachers, batch):
    paths, both = teachers
    image, depth, *_ = batch
    alone = [load_checkpoint(path).build().eval() for path in paths]
    with torch.no_grad():
        expected = torch.stack([network(image, depth).softmax(1) for network in alone]).mean(0)
    probabilities = both.probabilities(image, depth, expected.shape[2:])
    assert len(both) == 2
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(1), torch.ones_like(probabilities[:, 0]))
    torch.testing.assert_close(probabilities, expected, atol=0.02, rtol=0.05)


@pytest.mark.parametrize(
    ('scale', 'size'), [(1.6, (96, 160)), (0.2, (32, 32))], ids=['larger', 'smaller']
)
def test_teachers_look_a_second_time_at_a_zoomed_view(scale, size, teachers, batch):
    paths, _ = teachers
    image, depth, *_ = batch
    zooming = TeacherEnsemble(paths[1:], STUDENT.input_spec, NYU40, 'cpu', scale)
    alone = load_checkpoint(paths[1]).build().eval()
    with torch.no_grad():
        zoomed = alone(*(F.interpolate(x, size, mode='bilinear') for x in (image, depth)))
        zoomed = F.interpolate(zoomed, (8, 12), mode='bilinear', align_corners=True).softmax(1)
        plain = alone(image, depth).softmax(1)
    assert (zoomed - plain).abs().max() > 0.08
    probabilities = zooming.probabilities(image, depth, (8, 12))
    torch.testing.assert_close(probabilities, (plain + zoomed) / 2, atol=0.02, rtol=0.05)


@pytest.mark.parametrize('scale', [1.0, 1.1])
def test_a_zoom_of_less_than_a_step_is_none(scale, teachers, batch):
    paths, once = teachers
    image, depth, *_ = batch
    same = TeacherEnsemble(paths, STUDENT.input_spec, NYU40, 'cpu', scale)
    probabilities = same.probabilities(image, depth, (8, 12))
    assert torch.equal(probabilities, once.probabilities(image, depth, (8, 12)))


def test_teachers_upsample_as_the_student_does(teachers, batch):
    paths, _ = teachers
    image, depth, *_ = batch
    upsampling = TeacherEnsemble(paths[1:], STUDENT.input_spec, NYU40, 'cpu', joint_bilateral=True)
    with torch.no_grad():
        scores = load_checkpoint(paths[1]).build().eval()(image, depth)
        expected = joint_bilateral_upsample(scores, image, depth).softmax(1)
    probabilities = upsampling.probabilities(image, depth, (16, 24))
    torch.testing.assert_close(probabilities, expected, atol=0.02, rtol=0.05)


def test_the_loss_is_shared_between_labels_and_teachers(teachers, batch):
    _, both = teachers
    image, depth, *_ = batch
    _, (labelled, _, no_distillation) = with_loss(None)(*batch)
    assert no_distillation == 0
    loss, (main, auxiliary, distillation) = with_loss(both, teacher_weight=0.3)(*batch)
    with torch.no_grad():
        student_log_probabilities = STUDENT.build().eval()(image, depth).log_softmax(1)
        teacher_probabilities = both.probabilities(
            image, depth, student_log_probabilities.shape[2:]
        )
    divergence = (
        F.kl_div(student_log_probabilities, teacher_probabilities, reduction='none').sum(1).mean()
    )
    assert divergence > 0.01
    torch.testing.assert_close(main, 0.7 * labelled)
    torch.testing.assert_close(distillation, 0.3 * divergence)
    torch.testing.assert_close(loss, main + auxiliary + distillation)


def test_the_parts_of_an_accumulated_batch_add_up(teachers, batch):
    _, both = teachers
    _, whole = with_loss(both)(*batch)
    in_parts = with_loss(both, accumulate=2)
    halves = zip(*(tensor.chunk(2) for tensor in batch[:3]), strict=True)
    parts = sum(in_parts(*half, batch[3])[1] for half in halves)
    torch.testing.assert_close(parts, whole, atol=1e-3, rtol=1e-3)


def test_unlabelled_pixels_are_taught_and_teachers_stay_as_they_are(teachers, batch):
    _, both = teachers
    image, depth, labels, _ = batch
    student = with_loss(both)
    before = both.probabilities(image, depth, (8, 12))
    loss, _ = student(image, depth, torch.full_like(labels, UNLABELLED), torch.zeros(1))
    loss.backward()
    assert student.network.head.classifier.weight.grad.abs().sum() > 0
    assert {name.split('.')[0] for name, _ in student.named_parameters()} == {'network'}
    torch.testing.assert_close(both.probabilities(image, depth, (8, 12)), before)


@pytest.mark.parametrize(
    ('teacher', 'message'),
    [
        (
            untrained(label_set_of(['wall', 'floor'])),
            'cannot teach: its 2 classes are not the 40 of this data set, by name and order',
        ),
        (untrained(spatial='xyz'), "the student .*spatial: 'xyz', not 'depth'"),
        (
            dataclasses.replace(
                STUDENT, input_spec=dataclasses.replace(STUDENT.input_spec, depth_fill='smooth')
            ),
            "than the student .depth_fill: 'smooth', not 'constant'.",
        ),
    ],
)
def test_a_teacher_of_something_else_is_refused(teacher, message, tmp_path):
    save_checkpoint(tmp_path / 'teacher.safetensors', teacher)
    with pytest.raises(ConfigError, match=message):
        TeacherEnsemble([tmp_path / 'teacher.safetensors'], STUDENT.input_spec, NYU40, 'cpu')


def test_a_teacher_may_have_another_size(tmp_path):
    larger = dataclasses.replace(STUDENT.input_spec, height=480, width=640)
    save_checkpoint(
        tmp_path / 'teacher.safetensors', dataclasses.replace(STUDENT, input_spec=larger)
    )
    assert (
        len(TeacherEnsemble([tmp_path / 'teacher.safetensors'], STUDENT.input_spec, NYU40, 'cpu'))
        == 1
    )


def test_the_command_learns_from_teachers_and_names_them(tiny_dataset, tmp_path, capsys):
    spec = dataclasses.replace(STUDENT.input_spec, depth_fill='smooth')
    teacher = tmp_path / 'teacher.safetensors'
    save_checkpoint(teacher, dataclasses.replace(STUDENT, input_spec=spec))
    settings = {'pretrained': False, 'input_size': [64, 96], 'crop_size': [32, 64], 'batch_size': 2}
    settings['joint_bilateral'] = True
    (tmp_path / 'tiny.yaml').write_text(yaml.safe_dump({**settings, 'epochs': 1}))
    command = ['--config', str(tmp_path / 'tiny.yaml'), '--data', str(tiny_dataset.root)]
    command += ['--out', str(tmp_path / 'run'), '--device', 'cpu', '--workers', '0']
    arguments = [*command, '--init', str(teacher), '--teacher', str(teacher)]
    assert run_command('sgnet_core', 'train', arguments) == 0
    best = load_checkpoint(tmp_path / 'run/best.safetensors')
    assert best.provenance['teachers'] == 'teacher.safetensors'
    config = load_train_config(tmp_path / 'tiny.yaml')
    trainer = Trainer(config, tiny_dataset.root, tmp_path, 'cpu', teachers=[teacher])
    following = TeacherEnsemble([teacher], spec, NYU40, 'cpu', joint_bilateral=True)
    view = torch.rand(1, 3, 64, 96), torch.rand(1, 1, 64, 96), (16, 24)
    expected = following.probabilities(*view)
    assert torch.equal(trainer.teachers.probabilities(*view), expected)
    assert isinstance(best.build(), SGNet)
    again = [*command, '--init', str(teacher), '--resume', '--epochs', '2']
    assert run_command('sgnet_core', 'train', again) == 2
    assert f"was trained with teachers: ['{teacher}'], now it is None" in capsys.readouterr().err
