# SPDX-License-Identifier: Apache-2.0
"""Stand-in for `message_filters`: the subset that `sgnet_ros` uses, under the same names."""


class SimpleFilter:
    """A source of messages for registered callbacks."""

    def __init__(self):
        self.callbacks = []

    def registerCallback(self, cb, *args):  # noqa: N802
        """Call `cb(message, ..., *args)` for every message."""
        self.callbacks.append((cb, args))

    def signalMessage(self, *msg):  # noqa: N802
        """Call every registered callback, in order of registration."""
        for callback, args in self.callbacks:
            callback(*msg, *args)


class Subscriber(SimpleFilter):
    """Passes on the messages of one subscription, `.sub`; `options` are its arguments."""

    def __init__(self, node, msg_type, topic, **options):
        super().__init__()
        self.sub = node.create_subscription(msg_type, topic, self.signalMessage, **options)
