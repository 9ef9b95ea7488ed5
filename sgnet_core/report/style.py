# SPDX-License-Identifier: Apache-2.0
"""How the report looks: light, dark and on paper, without any other file."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1c2126; --faint: #5f6b76; --rule: #dde2e7; --card: #f5f7f9;
  --accent: #2563a8; --good: #1a7f4b; --bad: #b3261e; --track: #e6eaee;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --ink: #e4e8ec; --faint: #99a5b0; --rule: #31373d; --card: #1d2226;
    --accent: #6aaeff; --good: #5cc98f; --bad: #ff8a80; --track: #2b3137;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 1120px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans",
  sans-serif; font-variant-numeric: tabular-nums;
}
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .25rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .35rem; } figure h3 { font-size: .85rem; margin: 0; }
p { margin: .25rem 0 .9rem; max-width: 78ch; }
.faint, caption, figcaption { color: var(--faint); }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: .75rem;
  margin: 1.5rem 0 .6rem; }
.tile { background: var(--card); border-radius: 8px; padding: .8rem .9rem; }
.tile b { display: block; font-size: 1.6rem; line-height: 1.2; font-weight: 600; }
.tile span { display: block; font-size: .85rem; color: var(--faint); }
.charts { display: flex; flex-wrap: wrap; gap: 1.25rem 2rem; align-items: flex-start; }
figure { margin: 0; max-width: 100%; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { padding: .22rem .7rem .22rem 0; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
th { font-weight: 600; color: var(--faint); }
th:first-child, td:first-child, .text { text-align: left; }
table.facts th { vertical-align: top; padding-right: 1.5rem; }
table.facts td { text-align: left; white-space: pre-wrap; overflow-wrap: anywhere; }
.code, code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .85em; }
code { overflow-wrap: anywhere; white-space: pre-wrap; }
svg { vertical-align: middle; }
svg.chart, svg.map { max-width: 100%; height: auto; display: block; }
svg text { font-family: inherit; fill: var(--ink); }
.tick { font-size: 11px; } svg text.tick { fill: var(--faint); } .label { font-size: 12px; }
.grid { stroke: var(--rule); } .axis { stroke: var(--faint); }
.line { fill: none; stroke: var(--accent); stroke-width: 2; }
.guide, .mark { fill: none; stroke: var(--faint); stroke-dasharray: 4 3; }
.dot { fill: var(--accent); fill-opacity: .75; }
.bar { fill: var(--accent); } .bar.pale { fill-opacity: .35; } .track { fill: var(--track); }
.whisker { fill: none; stroke: var(--ink); }
.cell { fill: var(--accent); } .cell.right { fill: var(--good); }
.frame { fill: none; stroke: var(--rule); } .swatch { stroke: var(--rule); }
.gain { fill: var(--good); stroke: var(--good); } .loss { fill: var(--bad); stroke: var(--bad); }
.even { fill: var(--faint); stroke: var(--faint); }
.shots { display: grid; grid-template-columns: repeat(5, 1fr); gap: .4rem; margin: .4rem 0 0; }
.shots img { width: 100%; height: auto; display: block; border-radius: 3px; }
.shots figcaption { font-size: .8rem; text-align: center; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .9rem 0 0; font-size: .85rem; }
@media (max-width: 620px) { .shots, .tiles { grid-template-columns: repeat(2, 1fr); } }
@media print {
  :root {
    color-scheme: light;
    --paper: #fff; --ink: #000; --faint: #4a545d; --rule: #ccd2d8; --card: #f5f7f9;
    --accent: #2563a8; --good: #1a7f4b; --bad: #b3261e; --track: #e6eaee;
  }
  @page { margin: 14mm; }
  body { padding: 0; font-size: 10.5pt; max-width: none; }
  .tile { border: 1px solid var(--rule); }
  h2, h3, section > p { break-after: avoid; }
  figure, tr, .tile, .shots, svg { break-inside: avoid; }
  .wide { overflow: visible; }
}
"""
