# SPDX-License-Identifier: Apache-2.0
"""The fused network computes what the network does, and its geometry pass stands alone."""

import torch
import pytest
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sgnet_core.model import VARIANTS, SConv2d, SGNet, SGNetConfig
from sgnet_core.model.fusion import fuse, input_strides
from sgnet_core.model.sgnet import SPATIAL_CHANNELS

SIZE = (64, 96)


def trained_like(variant: str, spatial: str = 'depth') -> SGNet:
    """Random weights whose BatchNorms, offsets and masks all matter."""
    torch.manual_seed(1)
    network = SGNet(SGNetConfig(variant, 7, spatial)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, SConv2d):
            nn.init.normal_(module.offset_generator.weight, std=0.05)
            nn.init.normal_(module.offset_generator.bias)
    return network


def inputs(spatial: str, batch: int = 2):
    channels = SPATIAL_CHANNELS[spatial]
    image = torch.randn(batch, 3, *SIZE)
    return image, 4 * torch.rand(batch, channels, *SIZE) if channels else None


@pytest.mark.parametrize(
    ('variant', 'spatial'),
    [(variant, 'depth') for variant in VARIANTS]
    + [('sgnet_r50', s) for s in ('xyz', 'features', 'none')]
    + [('sgnet_lite0', s) for s in ('xyz', 'features', 'none')],
)
@torch.no_grad()
def test_fused_network_gives_the_same_scores(variant, spatial):
    network = trained_like(variant, spatial)
    image, guide = inputs(spatial)
    # In float64 only the algebra can differ, not the rounding of a hundred layers.
    network, image = network.double(), image.double()
    guide = None if guide is None else guide.double()
    expected = network(image, guide)
    difference = (fuse(network)(image, guide) - expected).abs().max()
    # Coordinates are float32 in both.
    assert difference <= 1e-5 * expected.abs().max()


@torch.no_grad()
def test_geometry_pass_can_be_reused():
    """One depth image, several colour images: the geometry is computed once."""
    network = trained_like('sgnet_lite0')
    fused = fuse(network)
    image, depth = inputs('depth')
    geometry = fused.geometry_pass(depth, SIZE)
    torch.testing.assert_close(fused.scores(image, depth, geometry), fused(image, depth))
    expected = network.offsets_and_masks(image, depth)
    assert list(geometry) == network.sconv_positions()
    for name, (offset, mask) in fused.offsets_and_masks(image, depth).items():
        torch.testing.assert_close(geometry[name], (offset, mask))
        torch.testing.assert_close(offset, expected[name][0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(mask, expected[name][1], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_merged_weight_generators_save_macs():
    """The weight generators take 0.41 instead of 2.97 of 91.4 GMACs."""
    with torch.device('meta'):
        network = SGNet(SGNetConfig('sgnet_r101')).eval()
        image, depth = torch.empty(1, 3, 480, 640), torch.empty(1, 1, 480, 640)
        gmacs = []
        for n in (network, fuse(network)):
            with FlopCounterMode(display=False) as counter:
                n(image, depth)
            gmacs.append(counter.get_total_flops() / 2e9)
    assert gmacs[0] - gmacs[1] == pytest.approx(2.97 - 0.41, abs=0.01)


def test_projectors_of_one_resolution_run_together():
    strides = input_strides(SGNet(SGNetConfig('sgnet_r50')).eval())
    assert [list(strides.values()).count(stride) for stride in (4, 8, 16)] == [4, 3, 5]
    generators = fuse(trained_like('sgnet_r50')).geometry_generators
    groups = {stride: g.projector[1].groups for stride, g in generators.items()}
    assert groups == {'4': 4, '8': 3, '16': 5}


def test_fused_network_has_no_unused_parameters():
    """Generators stand in the geometry pass, or in their S-Convs, never in both."""
    for spatial in ('depth', 'features'):
        fused = fuse(trained_like('sgnet_lite0', spatial)).requires_grad_(True)
        fused(*inputs(spatial)).sum().backward()
        assert [n for n, p in fused.named_parameters() if p.grad is None] == []


def test_fuse_changes_neither_network():
    network = trained_like('sgnet_lite0')
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fused = fuse(network)
    assert fuse(fused) is fused
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@torch.no_grad()
@pytest.mark.parametrize('fused', [False, True])
def test_torch_compile_finds_one_graph(fused):
    network = trained_like('sgnet_lite0')
    network = fuse(network) if fused else network
    image, depth = inputs('depth')
    compiled = torch.compile(network, fullgraph=True, backend='aot_eager')
    torch.testing.assert_close(compiled(image, depth), network(image, depth), atol=1e-4, rtol=1e-4)
