# SPDX-License-Identifier: Apache-2.0
"""Segmenter."""

import torch
import numpy as np
import pytest
from networks import untrained

from sgnet_core.errors import InputError
from sgnet_core.evaluation import check_same_classes
from sgnet_core.inference.class_mapping import read_class_mapping
from sgnet_core.inference.segmenter import Segmenter
from sgnet_core.labels import NYU13, NYU40
from sgnet_core.model.sgnet import resize_scores
from sgnet_core.types import UNLABELLED


@pytest.fixture(scope='module')
def segmenter() -> Segmenter:
    checkpoint = untrained()
    return Segmenter(checkpoint.build(), checkpoint.input_spec, checkpoint.label_set, 'cpu')


def test_result_has_the_frame_size_and_is_repeatable(segmenter, tiny_samples):
    frame = tiny_samples[0].frame
    result = segmenter.segment(frame)
    assert result.labels.shape == frame.size
    assert result.labels.max() < 40
    assert ((result.confidence > 0) & (result.confidence <= 1)).all()
    assert result.class_names == segmenter.class_names
    again = segmenter.segment(frame)
    np.testing.assert_array_equal(result.labels, again.labels)
    np.testing.assert_array_equal(result.confidence, again.confidence)


def test_mapped_classes_share_the_network(segmenter, tiny_samples, tmp_path):
    frame, path = tiny_samples[0].frame, tmp_path / 'groups.yaml'
    first = np.unique(segmenter.segment(frame).labels)[0]
    names = [name for name in NYU40.class_names if name != NYU40.class_names[first]]
    path.write_text(f'odd: {names[::2]}\neven: {names[1::2]}')
    mapped = segmenter.mapped(read_class_mapping(path))
    result, scores = mapped.segment(frame), segmenter.scores(frame)
    p = scores.softmax(1)
    members = [[NYU40.class_names.index(name) for name in names[start::2]] for start in (0, 1)]
    sums = [p[:, ids].sum(1) for ids in members] + [p[:, first]]
    resized = resize_scores(torch.stack(sums, 1).log(), frame.size).softmax(1)[0]
    expected = resized.argmax(0).numpy().astype(np.uint8)
    assert result.class_names == ('odd', 'even')
    np.testing.assert_array_equal(result.labels, np.where(expected == 2, UNLABELLED, expected))
    np.testing.assert_allclose(result.confidence, resized.amax(0).numpy(), rtol=1e-4)
    np.testing.assert_array_equal(
        mapped.mapped(None).segment(frame).labels, segmenter.segment(frame).labels
    )


def test_labels_and_confidence_are_argmax_and_softmax(segmenter, tiny_samples):
    frame = tiny_samples[1].frame
    probability = resize_scores(segmenter.scores(frame), frame.size).softmax(1)[0]
    result = segmenter.segment(frame)
    np.testing.assert_array_equal(result.labels, probability.argmax(0).numpy())
    np.testing.assert_allclose(result.confidence, probability.amax(0).numpy(), rtol=1e-4)


@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
@pytest.mark.parametrize('spatial', ['depth', 'xyz', 'hha', 'features', 'none'])
def test_half_precision_is_near_single(precision, spatial, tiny_samples):
    checkpoint = untrained(spatial=spatial)
    frame = tiny_samples[0].frame
    parts = checkpoint.build(), checkpoint.input_spec, checkpoint.label_set, 'cpu'
    exact, half = (Segmenter(*parts, p).scores(frame).float() for p in ('fp32', precision))
    assert (half - exact).abs().mean() < 0.05 * exact.std()


def test_unfused_network_in_half_precision_is_an_error():
    checkpoint = untrained()
    parts = checkpoint.build(), checkpoint.input_spec, checkpoint.label_set, 'cpu'
    with pytest.raises(InputError, match="not fused computes in fp32, not in 'bf16'"):
        Segmenter(*parts, 'bf16', fused=False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_cuda_graph_equals_launched_kernels(tiny_samples):
    checkpoint = untrained()
    parts = checkpoint.build(), checkpoint.input_spec, checkpoint.label_set, 'cuda', 'fp32'
    recorded, launched = Segmenter(*parts), Segmenter(*parts)
    launched._can_record = False
    kept = [recorded.scores(sample.frame) for sample in tiny_samples]
    assert recorded._graph is not None
    for sample, scores in zip(tiny_samples, kept, strict=True):
        torch.testing.assert_close(scores, launched.scores(sample.frame))


def test_out_of_memory_does_not_disable_recording(tiny_samples, monkeypatch):
    errors = [torch.cuda.OutOfMemoryError('CUDA out of memory'), RuntimeError('not recordable')]

    def fail(*_):
        raise errors.pop(0)

    monkeypatch.setattr('sgnet_core.inference.segmenter.CudaGraph', fail)
    checkpoint = untrained()
    segmenter = Segmenter(checkpoint.build(), checkpoint.input_spec, checkpoint.label_set, 'cpu')
    segmenter._can_record = True
    with pytest.raises(torch.cuda.OutOfMemoryError):
        segmenter.segment(tiny_samples[0].frame)
    segmenter.segment(tiny_samples[0].frame)  # records again, fails, and stops recording
    segmenter.segment(tiny_samples[0].frame)
    assert errors == []


def test_warm_up_resizes_and_fills_depth(segmenter, monkeypatch):
    frames = []
    monkeypatch.setattr(segmenter, 'segment', frames.append)
    segmenter.warm_up(3)
    assert len(frames) == 3
    assert frames[0].size != segmenter.input_spec.size
    assert 0 < np.isnan(frames[0].depth_m).mean() < 1


def test_missing_depth_changes_scores(segmenter, tiny_samples):
    frame = tiny_samples[2].frame
    blind = type(frame)(frame.rgb, np.full_like(frame.depth_m, np.nan), frame.intrinsics)
    assert np.isfinite(segmenter.segment(blind).confidence).all()
    assert not torch.equal(segmenter.scores(frame), segmenter.scores(blind))


def test_other_classes_are_an_error(segmenter):
    with pytest.raises(InputError, match='13 classes against 40'):
        check_same_classes(segmenter, NYU13.class_names, 'x')
    swapped = (*segmenter.class_names[1::-1], *segmenter.class_names[2:])
    with pytest.raises(InputError, match="class 0 is 'floor' there and 'wall' here"):
        check_same_classes(segmenter, swapped, 'x')


@pytest.mark.parametrize('device', ['gpu', 'cuda:', 'cuda:x', 'cuda:99'])
def test_missing_device_is_an_error(device):
    checkpoint = untrained()
    with pytest.raises(InputError, match=f"device '{device}'"):
        Segmenter(checkpoint.build(), checkpoint.input_spec, checkpoint.label_set, device)
