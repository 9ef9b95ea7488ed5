# SPDX-License-Identifier: Apache-2.0
"""The report in a real browser, where there is one: nothing is fetched, nothing is cut off."""

import json
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
# What a browser makes of a page is known only inside it: the page itself tells, in its title.
LAYOUT = """<script>
const right = Math.max(...[...document.querySelectorAll('h1, p, .tile, img, svg, .shots, figure')]
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


def visit(browser: str, page: Path, width: int) -> tuple[list[int], list[str]]:
    """What `LAYOUT` says, and the addresses that the page asked for."""
    log = page.with_suffix('.netlog')
    # Nothing leaves this machine, whatever else the browser wants to send.
    options = [
        *('--headless', '--disable-gpu', '--no-proxy-server', '--disable-background-networking'),
        *('--disable-component-update', '--no-first-run', '--dump-dom'),
        '--host-resolver-rules=MAP * ~NOTFOUND',
        f'--user-data-dir={page.with_suffix(".profile")}',
        f'--window-size={width},900',
        f'--log-net-log={log}',
        *(['--no-sandbox'] if os.getuid() == 0 else []),
    ]
    dumped = subprocess.run(
        [browser, *options, page.as_uri()], capture_output=True, text=True, timeout=100, check=True
    ).stdout
    title = re.search('<title>(.*?)</title>', dumped)[1]
    events = json.loads(log.read_text())['events']
    # Requests of the browser itself have `not an origin`.
    asked = {
        event['params']['url']
        for event in events
        if event.get('params', {}).get('initiator', 'not an origin') != 'not an origin'
    }
    return [int(n) for n in title.split(',')], sorted(u for u in asked if u.startswith('http'))


@pytest.mark.parametrize('width', [1200, 500])
def test_report_fits_and_fetches_nothing(browser, tmp_path, width):
    selector = FrameSelector()
    metrics = evaluation_of(0.4, on_frame=selector.update).to_json()
    other = evaluation_of(0.6, seed=3).to_json()
    report = report_page(metrics, selector.selected(), label_set_of(NAMES))
    comparison = comparison_page(metrics, other, compare(metrics, other, 100))
    pages = {'report': report, 'comparison': comparison}
    for name, text in pages.items():
        page = tmp_path / f'{name}.html'
        page.write_text(text.replace('</body>', f'{LAYOUT}</body>'))
        (scroll_width, inner_width, right, broken), asked = visit(browser, page, width)
        assert asked == []
        assert inner_width > width / 2
        assert max(scroll_width, right) <= inner_width, f'{name} is wider than the window'
        assert broken == 0


def test_a_page_that_fetches_something_or_does_not_fit_is_caught(browser, tmp_path):
    page = tmp_path / 'bad.html'
    page.write_text(
        '<!DOCTYPE html><title>t</title><body><img src="http://127.0.0.1:9/picture.png">'
        f'<svg width="3000" height="9"></svg>{LAYOUT}</body>'
    )
    (scroll_width, inner_width, *_), asked = visit(browser, page, 500)
    assert scroll_width > inner_width
    assert asked == ['http://127.0.0.1:9/picture.png']
