# SPDX-License-Identifier: Apache-2.0
"""S-Conv does what the paper says, and every variant is the network it claims to be."""

import torch
import pytest
import torch.nn.functional as F

from sgnet_core.model import VARIANTS, SConv2d, SGNet, SGNetConfig
from sgnet_core.model.complexity import complexity
from sgnet_core.model.sgnet import SPATIAL_CHANNELS, resize_scores

# Millions of parameters with the auxiliary head, GMACs at 480x640, as in the paper.
PAPER = [
    ('sgnet_r101', 'none', 56.82, 86.1),
    ('sgnet_r101', 'depth', 58.30, 97.1),
    ('sgnet_r50', 'depth', 39.31, 74.3),
    ('sgnet_aspp_r101', 'depth', 64.72, 104.1),
]


@pytest.mark.parametrize(('variant', 'spatial', 'parameters', 'gmacs'), PAPER)
def test_complexity_equals_the_paper(variant, spatial, parameters, gmacs):
    counts = complexity(SGNetConfig(variant, spatial=spatial))
    # R50 has 39.304, of which the authors count 39.307: with the frozen zero biases of S-Conv.
    assert counts['parameters_training'] / 1e6 == pytest.approx(parameters, abs=0.006)
    assert counts['gmacs_training_graph'] == pytest.approx(gmacs, abs=0.05)


def test_complexity_at_inference():
    r101 = complexity(SGNetConfig('sgnet_r101'))
    assert r101['parameters_inference'] / 1e6 == pytest.approx(53.56, abs=0.005)
    assert r101['gmacs'] == pytest.approx(91.4, abs=0.05)
    assert complexity(SGNetConfig('sgnet_aspp_r101'))['gmacs'] == pytest.approx(98.5, abs=0.05)


@pytest.mark.parametrize(
    ('variant', 'blocks'),
    [
        ('sgnet_r101', [(0, 1, 2), (0, 2, 3), (0, 21, 22), (0, 1, 2)]),
        ('sgnet_r50', [(0, 1, 2), (0, 2, 3), (0, 4, 5), (0, 1, 2)]),
        ('sgnet_r18', [(0, 1)] * 4),
    ],
)
def test_sconvs_are_in_the_first_and_last_two_blocks(variant, blocks):
    with torch.device('meta'):
        positions = SGNet(SGNetConfig(variant)).sconv_positions()
    assert positions == [
        f'backbone.layer{stage + 1}.{block}.conv2' for stage in range(4) for block in blocks[stage]
    ]


@pytest.mark.parametrize('spatial', SPATIAL_CHANNELS)
@pytest.mark.parametrize('variant', VARIANTS)
def test_every_variant_runs(variant, spatial):
    height, width = 64, 96
    torch.manual_seed(0)
    network = SGNet(SGNetConfig(variant, 7, spatial), auxiliary=True).eval()
    image = torch.randn(2, 3, height, width)
    channels = SPATIAL_CHANNELS[spatial]
    # The spatial information may be of any resolution.
    guide = torch.rand(2, channels, 48, 72) if channels else None
    with torch.no_grad():
        scores, auxiliary = network.forward_with_auxiliary(image, guide)
        alone = network(image[:1], None if guide is None else guide[:1])
    stride = 16 if '_r' in variant else 8
    assert scores.shape == (2, 7, height // stride, width // stride)
    assert auxiliary.shape[:2] == (2, 7)
    assert resize_scores(scores, (33, 47)).shape == (2, 7, 33, 47)
    torch.testing.assert_close(alone, scores[:1], atol=1e-4, rtol=1e-4)


def test_initial_sconv_is_half_a_convolution():
    """Offsets start at zero; a weight generator of zeros gives masks of sigmoid(0) = 1/2."""
    sconv = SConv2d(5, 6, spatial_channels=1, geometry_channels=4, stride=2).eval()
    torch.nn.init.zeros_(sconv.weight_generator2.weight)
    torch.nn.init.zeros_(sconv.weight_generator2.bias)
    x, s = torch.randn(2, 5, 9, 11), torch.rand(2, 1, 9, 11)
    expected = 0.5 * F.conv2d(x, sconv.weight, stride=2, padding=1)
    torch.testing.assert_close(sconv(x, s), expected, atol=1e-5, rtol=1e-4)


def test_sconv_follows_depth():
    sconv = SConv2d(5, 6, geometry_channels=8).eval()
    torch.nn.init.normal_(sconv.offset_generator.weight)
    flat, edge = torch.ones(1, 1, 9, 11), torch.ones(1, 1, 9, 11)
    edge[..., 5:] = 3
    offset_flat, mask_flat = sconv.offsets_and_masks(flat)
    offset_edge, mask_edge = sconv.offsets_and_masks(edge)
    # Left of the edge, out of reach of every 3x3 on the way, nothing changes; at it, all does.
    assert not torch.allclose(offset_flat[..., 5], offset_edge[..., 5])
    assert not torch.allclose(mask_flat[..., 5], mask_edge[..., 5])
    torch.testing.assert_close(offset_flat[..., :1], offset_edge[..., :1])


def test_every_parameter_has_a_gradient():
    """A parameter without gradient would be left out of the forward pass."""
    network = SGNet(SGNetConfig('sgnet_lite0', 5), auxiliary=True)
    for name in network.sconv_positions():
        torch.nn.init.normal_(network.get_submodule(name).offset_generator.weight, std=0.1)
    scores, auxiliary = network.forward_with_auxiliary(
        torch.randn(2, 3, 64, 96), torch.rand(2, 1, 64, 96)
    )
    (scores.square().mean() + auxiliary.square().mean()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize(
    'wrong', [{'variant': 'sgnet_r7'}, {'spatial': 'dept'}, {'num_classes': 256}]
)
def test_invalid_architecture_is_rejected(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        SGNetConfig(**wrong)


def test_depthwise_convolutions_train_in_float32_on_a_cpu():
    """In bfloat16 their backward pass takes longer than all that autocast saves."""
    network = SGNet(SGNetConfig('sgnet_lite0', 3)).train()
    dtypes = []
    for module in network.backbone.modules():
        if isinstance(module, torch.nn.Conv2d):
            depthwise = module.groups > 1
            module.register_forward_hook(lambda *a, d=depthwise: dtypes.append((d, a[-1].dtype)))
    with torch.autocast('cpu', torch.bfloat16):
        network(torch.randn(2, 3, 32, 64), torch.rand(2, 1, 32, 64))
    assert set(dtypes) == {(True, torch.float32), (False, torch.bfloat16)}
