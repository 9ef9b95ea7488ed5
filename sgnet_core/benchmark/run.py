# SPDX-License-Identifier: Apache-2.0
"""Runs a plan from its first step to its last, or to Ctrl-C."""

from __future__ import annotations

import torch
from tqdm import tqdm

from sgnet_core.benchmark.measure import steps
from sgnet_core.benchmark.memory_process import MemoryProcess
from sgnet_core.benchmark.operators import Position, positions_of_all
from sgnet_core.benchmark.plan import OPERATOR_VARIANTS, Plan
from sgnet_core.benchmark.results import Results
from sgnet_core.cpu_memory import keep_freed_memory
from sgnet_core.machine import load_average


def run_plan(plan: Plan) -> tuple[Results, list[Position]]:
    """What was measured, and the positions of the operator.

    Ctrl-C ends it early: finished steps are in the results, which say that it was interrupted.
    """
    if plan.device.startswith('cuda'):
        # Events and streams belong to the current device.
        torch.cuda.set_device(plan.device)
    else:
        # As in every process that segments frames; whoever is compared profits alike.
        keep_freed_memory()
    results = Results(load_before=load_average())
    positions = positions_of_all(OPERATOR_VARIANTS, plan.sizes[0])
    try:
        with (
            MemoryProcess(plan.device) as process,
            tqdm(steps(plan, positions), 'benchmark', unit='step', disable=None) as bar,
        ):
            for step in bar:
                bar.set_postfix_str(step.label)
                step.run(results, process)
    except KeyboardInterrupt:
        results.interrupted = True
    return results, positions
