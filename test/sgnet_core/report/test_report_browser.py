# SPDX-License-Identifier: Apache-2.0
"""The layout of the reports in a browser, if one is installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report_cases import NAMES, evaluation_of

from sgnet_core.evaluation.comparison import compare
from sgnet_core.labels import label_set_of
from sgnet_core.report.comparison_page import comparison_page
from sgnet_core.report.frame_selection import FrameSelector
from sgnet_core.report.writer import report_page

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
# The page writes its own layout to its title.
LAYOUT = """<script>
const parts = 'h1, p, .tile, img, svg, .frame-row, figure';
const right = Math.max(...[...document.querySelectorAll(parts)]
  .filter(element => !element.closest('.wide'))
  .map(element => element.getBoundingClientRect().right));
const broken = [...document.images].filter(image => !image.naturalWidth).length;
document.title = [document.documentElement.scrollWidth, innerWidth, Math.ceil(right), broken];
</script>"""


@pytest.fixture(scope='module')
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f'no browser: none of {", ".join(BROWSERS)} is installed')
    return found


def layout(browser: str, page: Path, width: int) -> list[int]:
    """The result of `LAYOUT`."""
    options = [
        *('--headless', '--disable-gpu', '--no-proxy-server', '--disable-background-networking'),
        *('--disable-component-update', '--no-first-run', '--dump-dom'),
        '--host-resolver-rules=MAP * ~NOTFOUND',
        f'--user-data-dir={page.with_suffix(".profile")}',
        f'--window-size={width},900',
        *(['--no-sandbox'] if os.getuid() == 0 else []),
    ]
    dumped = subprocess.run(
        [browser, *options, page.as_uri()], capture_output=True, text=True, timeout=100, check=True
    ).stdout
    return [int(n) for n in re.search('<title>(.*?)</title>', dumped)[1].split(',')]


@pytest.mark.parametrize('width', [1200, 500])
def test_report_fits_the_window(browser, tmp_path, width):
    selector = FrameSelector()
    metrics = evaluation_of(0.4, on_frame=selector.update).to_json()
    other = evaluation_of(0.6, seed=3).to_json()
    report = report_page(metrics, selector.selected(), label_set_of(NAMES))
    comparison = comparison_page(metrics, other, compare(metrics, other, 100))
    pages = {'report': report, 'comparison': comparison}
    for name, text in pages.items():
        page = tmp_path / f'{name}.html'
        page.write_text(text.replace('</body>', f'{LAYOUT}</body>'))
        scroll_width, inner_width, right, broken = layout(browser, page, width)
        assert inner_width > width / 2
        assert max(scroll_width, right) <= inner_width, f'{name} is wider than the window'
        assert broken == 0
