# SPDX-License-Identifier: Apache-2.0
"""Stand-in for `message_filters`, exactly the subset that `sgnet_ros` uses.

The names, among them the camel case, are those of the real package.
"""


class SimpleFilter:
    """A source of messages that callbacks can be registered on."""

    def __init__(self):
        self.callbacks = {}

    def registerCallback(self, cb, *args):  # noqa: N802
        """Call `cb(message, ..., *args)` for every output; returns the connection's number."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg):  # noqa: N802
        """Hand `msg` to every registered callback, in order of registration."""
        for callback, args in self.callbacks.values():
            callback(*msg, *args)


class Subscriber(SimpleFilter):
    """`Subscriber(node, msg_type, topic, **create_subscription_arguments)`.

    Messages of one subscription, passed on as they come. The subscription itself is `.sub`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.node, msg_type, self.topic = args[:3]
        kwargs.setdefault('qos_profile', 10)
        self.sub = self.node.create_subscription(msg_type, self.topic, self.callback, **kwargs)

    def callback(self, msg):
        """What the subscription calls."""
        self.signalMessage(msg)

    def getTopic(self):  # noqa: N802
        """The topic as it was given."""
        return self.topic
