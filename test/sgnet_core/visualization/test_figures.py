# SPDX-License-Identifier: Apache-2.0
"""Contact sheets."""

import torch  # noqa: F401  before cv2
import numpy as np
import pytest

from sgnet_core.errors import InputError
from sgnet_core.visualization.figures import contact_sheet


@pytest.fixture
def figures(monkeypatch):
    """The matplotlib figures that are rendered, in order."""
    rendered = []
    monkeypatch.setattr('sgnet_core.visualization.figures.render', rendered.append)
    return rendered


def test_contact_sheet_places_pictures_and_texts(figures):
    red, green, blue = (np.full((30, 40, 3), color, np.uint8) for color in np.eye(3) * 255)
    classes = [('wall', (1, 2, 3)), ('floor', (255, 0, 0))]
    contact_sheet([[red, green], [blue]], ['left', 'right'], ['one'], 'Kitchen', classes)
    (figure,) = figures
    assert figure.get_suptitle() == 'Kitchen'
    images = [[image.get_array() for image in ax.images] for ax in figure.axes]
    np.testing.assert_array_equal([red, green, blue], [shown for (shown,) in images[:3]])
    assert images[3] == []
    assert [ax.get_title(loc='left') for ax in figure.axes] == ['left', 'right', '', '']
    texts = [[text.get_text() for text in ax.texts] for ax in figure.axes]
    assert texts == [['one'], [], [], []]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ['wall', 'floor']
    assert np.allclose(legend.get_patches()[1].get_facecolor(), (1, 0, 0, 1))


@pytest.mark.filterwarnings('error')
def test_contact_sheet_takes_any_text_and_size():
    rows = [[np.zeros((6, 8, 3), np.uint8), np.zeros((10, 100, 3), np.uint8)]]
    sheet = contact_sheet(rows, ['größe\n2', '$_{'], ['c' * 500], 'クラス', [('x' * 50, (0, 0, 0))])
    assert sheet.dtype == np.uint8
    assert sheet.shape[2] == 3
    assert (sheet == 0).all(-1).mean() > 0.1


@pytest.mark.parametrize('rows', [[], [[]]])
def test_contact_sheet_without_pictures_is_an_error(rows):
    with pytest.raises(InputError, match='at least one picture'):
        contact_sheet(rows)
