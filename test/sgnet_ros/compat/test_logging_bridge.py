# SPDX-License-Identifier: Apache-2.0
"""Records of the core reach the logger of the node once, at their severity."""

import logging

from sgnet_ros.compat.logging_bridge import forward_logging, stop_forwarding

LEVELS = (10, 20, 25, 30, 40, 50)


class RecordingLogger:
    def __init__(self):
        self.lines = []

    def __getattr__(self, severity):
        return lambda text: self.lines.append((severity, text))


def test_records_are_forwarded_until_stopped(caplog):
    caplog.set_level(logging.DEBUG)
    ros = RecordingLogger()
    handler = forward_logging(ros)
    try:
        logger = logging.getLogger('sgnet_core.some.module')
        logger.setLevel(logging.DEBUG)
        for level in LEVELS:
            logger.log(level, 'at %d', level)
        logging.getLogger('another_library').warning('other')
    finally:
        stop_forwarding(handler)
    severities = ('debug', 'info', 'info', 'warning', 'error', 'fatal')
    texts = (f'sgnet_core.some.module: at {level}' for level in LEVELS)
    assert ros.lines == list(zip(severities, texts, strict=True))
    assert [record.message for record in caplog.records] == ['other']
    logger.info('afterwards')
    assert len(ros.lines) == 6
    assert caplog.records[-1].message == 'afterwards'
