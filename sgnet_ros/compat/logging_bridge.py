# SPDX-License-Identifier: Apache-2.0
"""Forwards records of Python's `logging` to the logger of a node, and so to /rosout."""

import logging

PACKAGES = ('sgnet_core', 'sgnet_ros')


class RosLogHandler(logging.Handler):
    """Forwards records, as `name: message`, at the nearest severity."""

    def __init__(self, ros_logger) -> None:
        super().__init__()
        # One call site for each: rclpy refuses two severities on the same line.
        self._by_level = (
            (logging.CRITICAL, lambda text: ros_logger.fatal(text)),
            (logging.ERROR, lambda text: ros_logger.error(text)),
            (logging.WARNING, lambda text: ros_logger.warning(text)),
            (logging.INFO, lambda text: ros_logger.info(text)),
            (logging.NOTSET, lambda text: ros_logger.debug(text)),
        )

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = f'{record.name}: {self.format(record)}'
            next(log for level, log in self._by_level if record.levelno >= level)(text)
        except Exception:
            self.handleError(record)


def forward_logging(ros_logger) -> RosLogHandler:
    """Forward the records of this project until `stop_forwarding`."""
    handler = RosLogHandler(ros_logger)
    for logger in map(logging.getLogger, PACKAGES):
        logger.addHandler(handler)
        # Otherwise the handler of the command prints every record again.
        logger.propagate = False
    return handler


def stop_forwarding(handler: RosLogHandler) -> None:
    """Undo `forward_logging`."""
    for logger in map(logging.getLogger, PACKAGES):
        logger.removeHandler(handler)
        logger.propagate = True
