# SPDX-License-Identifier: Apache-2.0
"""Time of a network with S-Conv, without S-Conv, and without the exact inference rewrites."""

from __future__ import annotations

from dataclasses import replace

import study

from sgnet_core.benchmark.networks import NetworkCase
from sgnet_core.benchmark.suite import run_groups
from sgnet_core.benchmark.timing import Budget


def main() -> None:
    parser = study.options(__doc__)
    parser.add_argument('--variant', default='sgnet_r50')
    args = study.start(parser)
    case = NetworkCase(args.variant, args.size)
    none, unfused = replace(case, spatial='none'), replace(case, fused=False)
    results = run_groups([[case, none, unfused]], args.device, Budget(args.seconds))
    rows = [
        study.row(list(row.times_ms), row.peak_mb, network=case.name, size=case.size_text)
        for case, row in results.rows.items()
    ]
    median = results.rows[case].median_ms
    ratios = {
        f'{case.name}_over_{other.name}': median / results.rows[other].median_ms
        for other in (none, unfused)
    }
    study.show(args, rows, ratios)


if __name__ == '__main__':
    main()
