# SPDX-License-Identifier: Apache-2.0
"""Stand-in for `message_filters`: the subset that `sgnet_ros` uses, under the same names."""


class SimpleFilter:
    """A source of messages for registered callbacks."""

    def __init__(self):
        self.callbacks = {}

    def registerCallback(self, cb, *args):  # noqa: N802
        """Call `cb(message, ..., *args)` for every message; returns the connection number."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg):  # noqa: N802
        """Call every registered callback, in order of registration."""
        for callback, args in self.callbacks.values():
            callback(*msg, *args)


class Subscriber(SimpleFilter):
    """`Subscriber(node, msg_type, topic, **create_subscription_arguments)`.

    Passes on the messages of one subscription, `.sub`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.node, msg_type, self.topic = args[:3]
        kwargs.setdefault('qos_profile', 10)
        self.sub = self.node.create_subscription(msg_type, self.topic, self.callback, **kwargs)

    def callback(self, msg):
        """The callback of the subscription."""
        self.signalMessage(msg)

    def getTopic(self):  # noqa: N802
        """The topic before remapping."""
        return self.topic
