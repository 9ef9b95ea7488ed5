# SPDX-License-Identifier: Apache-2.0
"""Unknown keys are errors that help."""

import pytest

from sgnet_core.errors import ConfigError, DataError, reject_unknown_keys, renamed_keys


def test_nearest_known_key_is_named():
    with pytest.raises(ConfigError, match="^unknown key 'learning_rat'; did you mean 'learning_r"):
        reject_unknown_keys(['epochs', 'learning_rat'], ['epochs', 'learning_rate'])


def test_all_known_keys_are_listed_without_a_near_one():
    with pytest.raises(DataError, match="^unknown key '7' in crop; known: height, width$"):
        reject_unknown_keys([7], ['height', 'width'], where='crop', error=DataError)


def test_old_key_is_renamed_with_a_warning(caplog):
    names = {'holes': 'depth_fill'}
    assert renamed_keys({'holes': 1, 'a': 2}, names, 'x.yaml') == {'a': 2, 'depth_fill': 1}
    (message,) = caplog.messages
    assert message.startswith("x.yaml: 'holes' is now called 'depth_fill'")
    with pytest.raises(ConfigError, match="x.yaml has both 'holes' and its new name 'depth_fill'"):
        renamed_keys({'holes': 1, 'depth_fill': 2}, names, 'x.yaml')
