# SPDX-License-Identifier: Apache-2.0
"""Time of a network with S-Conv, without S-Conv, and without the exact inference rewrites."""

from __future__ import annotations

import study

from sgnet_core.benchmark.networks import random_checkpoint, segment_call
from sgnet_core.benchmark.timing import Call, time_by_turns
from sgnet_core.inference.segmenter import Segmenter


def calls(variant: str, size: tuple[int, int], device: str) -> dict[str, Call]:
    """Network -> call that segments a frame; the first is the usual one."""
    cases = {variant: ('depth', True), 'none': ('none', True), 'unfused': ('depth', False)}
    found = {}
    for name, (spatial, fused) in cases.items():
        checkpoint = random_checkpoint(variant, size, spatial)
        described = checkpoint.input_spec, checkpoint.label_set, device, 'fp32', fused
        name = name if name == variant else f'{variant}_{name}'
        found[name] = segment_call(Segmenter(checkpoint.build(), *described), size)
    return found


def main() -> None:
    parser = study.options(__doc__)
    parser.add_argument('--variant', default='sgnet_r50')
    args = study.start(parser)
    times, problems = time_by_turns(calls(args.variant, args.size, args.device), args.seconds)
    rows = [study.row(times_ms, network=name) for name, times_ms in times.items()]
    ratios = {
        f'{args.variant}_over_{row["network"]}': rows[0]['median_ms'] / row['median_ms']
        for row in rows[1:]
    }
    study.show(args, rows, ratios, problems)


if __name__ == '__main__':
    main()
