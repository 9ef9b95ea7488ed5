# SPDX-License-Identifier: Apache-2.0
"""The clock of timers that must fire also where use_sim_time is set and /clock is silent."""

from rclpy.clock import Clock, ClockType

STEADY_CLOCK = Clock(clock_type=ClockType.STEADY_TIME)
