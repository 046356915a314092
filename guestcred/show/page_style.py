"""How the page looks: system fonts, light and dark, from a phone to paper; in ASCII."""

from __future__ import annotations

STYLE = """
:root {
  --paper: #fbfaf7; --card: #ffffff; --ink: #1c2024; --soft: #555c64; --rule: #e2dfd8; --lane: #e6e3dc;
  --passed: #1d6494; --lost: #b23a0b; --rescued: #00714f;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #15181b; --card: #1c2024; --ink: #e7e9eb; --soft: #a4acb4; --rule: #31373d; --lane: #2a3036;
    --passed: #7cbdea; --lost: #ff9a70; --rescued: #58d0a6;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 78rem; padding: 2.5rem clamp(1rem, 4vw, 3rem) 3rem;
  background: var(--paper); color: var(--ink); font: 1rem/1.55 var(--sans); overflow-wrap: anywhere;
}
h1 { margin: .35rem 0 1.25rem; font-size: clamp(1.6rem, 1.1rem + 2.2vw, 2.5rem); line-height: 1.15; letter-spacing: -.02em; text-wrap: balance; }
h2 { margin: 0 0 1.25rem; font-size: 1.15rem; line-height: 1.3; }
h3 { margin: 0 0 .25rem; font-size: 1rem; line-height: 1.4; }
p { margin: .5rem 0 0; max-width: 48rem; }
ol, ul { margin: 0; padding: 0; list-style: none; }
small { font-size: .8125rem; color: var(--soft); }
.unseen { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; white-space: nowrap; }
code { font: .875em/1.45 var(--mono); unicode-bidi: isolate; }
a { color: inherit; text-decoration: underline dotted var(--soft); text-underline-offset: .45em; }
a:hover { text-decoration-style: solid; }
:focus-visible { outline: 3px solid var(--passed); outline-offset: 3px; border-radius: 3px; }
section { margin-top: 3.25rem; }
footer { margin-top: 3.25rem; padding-top: 1rem; border-top: 1px solid var(--rule); font-size: .8125rem; color: var(--soft); }

.icon { width: 1.1em; height: 1.1em; flex: none; vertical-align: -.2em; overflow: visible; }
.symbols { position: absolute; }
.mark { color: var(--passed); }
.mark.lost, .mark.changed { color: var(--lost); }
.mark.rescued { color: var(--rescued); }
.mark.absent, .mark.unknown { color: var(--soft); }
.full { fill: currentColor; }
.stroke { stroke: currentColor; stroke-width: 3; stroke-linecap: round; fill: none; }
.thin { stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; fill: none; }
.paper { fill: var(--behind, var(--paper)); }

.verdict { display: flex; gap: .5rem; align-items: center; margin: 0; color: var(--soft); }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 2.25rem; margin: 0; font-size: .875rem; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; }

.row { display: grid; grid-template-columns: 13.5rem minmax(24rem, 1fr) 17rem; column-gap: 1.25rem; align-items: start; }
.head { font-size: .875rem; line-height: 1.3; padding-bottom: .5rem; }
.lanes { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); text-align: center; }
.lanes b { font-weight: 600; white-space: nowrap; }
.lanes small { display: block; font-size: .75rem; }
.ways > li { border-top: 1px solid var(--rule); }
.name { padding: .55rem 0; line-height: 1.35; }
.name > * { display: block; }
.name small { margin-top: .1rem; }
.row.lost > .name > small { color: var(--lost); }
.row.rescued > .name > small { color: var(--rescued); }
.track { display: block; width: 100%; overflow: visible; }
.lane { stroke: var(--lane); }
.way { stroke: var(--passed); stroke-width: 2.5; stroke-linecap: round; }
.bundle .way { stroke-width: 6; }
.bundle .way.rescue { stroke-width: 4; stroke-dasharray: .5 8; }
.way.lost { stroke: var(--lost); }
.way.rescued, .way.rescue { stroke: var(--rescued); }
.way.rescue { stroke-dasharray: 1 6; }
.way.faint { stroke: var(--soft); stroke-width: 1.75; stroke-dasharray: .5 5; }
.word { fill: var(--soft); font: .75rem var(--sans); text-anchor: middle; }
.word.lost, .word.changed { fill: var(--lost); font-weight: 600; }
.word.rescued { fill: var(--rescued); font-weight: 600; }
.units li { display: grid; grid-template-columns: auto minmax(0, 1fr); column-gap: .5rem; height: 40px; padding-top: 4px; align-content: start; line-height: 18px; }
.units li > * { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; line-height: 18px; }
.units .icon { overflow: visible; height: 18px; }
.units code { font-size: .8125rem; }
.units small { grid-column: 2; }
.legend { display: flex; flex-wrap: wrap; gap: .35rem 1.5rem; padding-top: .9rem; border-top: 1px solid var(--rule); font-size: .8125rem; color: var(--soft); }
.legend .icon { margin-right: .4rem; }

summary { cursor: pointer; }
.ways summary { list-style: none; }
.ways summary::-webkit-details-marker { display: none; }
.ways summary b::before { content: "\\25B8"; display: inline-block; width: 1em; color: var(--soft); }
.ways details[open] > summary b::before { content: "\\25BE"; }
/* beside the lines, so that these stay under their lanes */
.ways details > ol { margin-left: -.8rem; padding-left: calc(.8rem - 3px); border-left: 3px solid var(--rule); }

.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(30rem, 100%), 1fr)); gap: 1rem; }
.wide { grid-column: 1 / -1; }
.card { --behind: var(--card); padding: 1.1rem 1.35rem 1.25rem; background: var(--card); border: 1px solid var(--rule); border-left: 4px solid var(--soft); border-radius: 6px; }
.card.lost { border-left-color: var(--lost); }
.card.rescued { border-left-color: var(--rescued); }
.card:target { outline: 2px solid var(--passed); }
.card h3 { display: flex; flex-wrap: wrap; gap: .15rem .6rem; align-items: center; }
.card h3 > * { min-width: 0; }
.said { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); column-gap: 2.5rem; }
.said > :only-child { grid-column: 1 / -1; }
.fix { margin-top: .6rem; }
h4 { margin: .5rem 0 0; font-size: .875rem; font-weight: 400; line-height: 1.6; color: var(--soft); }
.steps { margin-bottom: .75rem; font-size: .875rem; line-height: 1.45; }
.steps li { display: grid; grid-template-columns: auto 5.25rem minmax(0, 1fr); column-gap: .6rem; align-items: baseline; padding: .12rem 0; }
.steps .more { display: block; }
.steps b { font-weight: 600; }
.steps .lost b { color: var(--lost); }
.steps .rescued b { color: var(--rescued); }
.steps span { color: var(--soft); }

table { width: 100%; border-collapse: collapse; table-layout: fixed; font-size: .8125rem; line-height: 1.4; }
caption { text-align: left; color: var(--soft); padding: .75rem 0 .5rem; }
th, td { padding: .45rem .5rem .45rem 0; text-align: left; vertical-align: top; border-top: 1px solid var(--rule); }
thead th { border-top: 0; color: var(--soft); font-weight: 600; }
thead th:nth-child(1), thead th:nth-child(2) { width: 13%; }
thead th:nth-child(9) { width: 8.6%; }
thead th:last-child { width: 20%; }
tbody th { font-weight: 400; }
details > summary { padding: .5rem 0; }
.ways details > summary { padding: 0; }

@media screen and (max-width: 70rem) {
  .row, .said { grid-template-columns: minmax(0, 1fr); }
  .head > span { display: none; }
  .lanes { font-size: .8125rem; }
  .lanes small { display: none; }
  .ways > li { padding: .35rem 0 .5rem; }
  .name { padding: .4rem 0 .1rem; }
  .units { padding-left: .25rem; }
  .units li { height: auto; padding: .15rem 0; }
  .units li > * { white-space: normal; overflow: visible; line-height: 1.4; }
  table, tbody, tr, th, td, caption { display: block; }
  thead { display: none; }
  tr { padding: .75rem 0; border-top: 1px solid var(--rule); display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .25rem 1rem; }
  th, td { border: 0; padding: 0; }
  tbody th, td:nth-child(2), td:last-child { grid-column: 1 / -1; }
  td.none { display: none; }
  td::before { content: attr(data-label) " "; color: var(--soft); }
}
@media screen and (max-width: 30rem) {
  .lanes { font-size: .75rem; grid-template-columns: repeat(12, minmax(0, 1fr)); }
  .lanes span:nth-child(1) { grid-area: 2 / 1 / 3 / 5; text-align: left; }
  .lanes span:nth-child(2) { grid-area: 1 / 2 / 2 / 6; }
  .lanes span:nth-child(3) { grid-area: 2 / 4 / 3 / 8; }
  .lanes span:nth-child(4) { grid-area: 1 / 6 / 2 / 10; }
  .lanes span:nth-child(5) { grid-area: 2 / 8 / 3 / 12; }
  .lanes span:nth-child(6) { grid-area: 1 / 9 / 2 / 13; text-align: right; }
  .head { padding: .6rem 0; }
  .steps li { grid-template-columns: auto minmax(0, 1fr); }
  .steps span { grid-column: 2; }
}
@media print {
  @page { margin: 14mm 12mm; }
  html { font-size: 72%; }
  body { max-width: none; padding: 0; background: none; line-height: 1.4; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  section { margin-top: 2rem; }
  h2 { margin-bottom: .75rem; break-after: avoid; }
  .row { grid-template-columns: 11.5rem minmax(0, 1fr) 16rem; column-gap: .75rem; }
  .lanes small { display: none; }
  .ways > li, .card, tr { break-inside: avoid; }
  .cards { gap: .5rem; grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .card { padding: .6rem .9rem .7rem; }
  a { text-decoration: none; }
  .ways details > ol { margin: 0; padding: 0; border: 0; }
  th, td { padding: .25rem .3rem .25rem 0; }
  thead th { font-size: .75rem; }
  footer { margin-top: 1.5rem; }
}
@media (forced-colors: active) {
  .full { fill: CanvasText; }
  .stroke, .thin, .way { stroke: CanvasText; }
  .paper { fill: Canvas; }
}
"""
