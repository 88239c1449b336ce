"""The style sheet of index.html."""

CSS = """
:root { --ink: #1c2733; --muted: #62707d; --hair: #dfe4e8; --soft: #f5f7f8; --warn: #8a2f14; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.55 Inter, "Source Sans 3", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 3.2rem 1.6rem 2rem; }
h1 { font-size: 2.1rem; line-height: 1.15; letter-spacing: -.015em; margin: 0 0 .5rem; }
h2 { font-size: 1.28rem; letter-spacing: -.01em; margin: 3.2rem 0 .5rem; padding-top: 1.1rem;
  border-top: 1px solid var(--hair); }
h3 { font-size: 1rem; margin: 1.4rem 0 .5rem; }
p, li { max-width: 46rem; }
p { margin: .5rem 0; }
.lead { font-size: 1.1rem; color: var(--muted); margin: 0 0 1.4rem; }
.banner { background: #fdf0ea; border-left: 5px solid var(--warn); color: var(--warn); padding: .8rem 1.1rem;
  margin: 0 0 1.8rem; font-weight: 600; max-width: none; }
.short { background: var(--soft); padding: .9rem 1.4rem; margin: 1.4rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .9rem 0;
  font-variant-numeric: tabular-nums; font-size: .94rem; }
th, td { text-align: left; padding: .5rem .9rem .5rem 0; border-bottom: 1px solid var(--hair); vertical-align: top; }
thead th { font-weight: 600; border-bottom: 2px solid var(--ink); vertical-align: bottom; }
tbody th { font-weight: 500; }
tr.of th { padding-left: 1.1rem; color: var(--muted); }
tr.total td, tr.total th { border-bottom: 2px solid var(--ink); font-weight: 600; }
.range { display: block; color: var(--muted); font-size: .84rem; font-weight: 400; }
td.paper, th.paper { color: var(--muted); font-weight: 400; }
figure { margin: 1.2rem 0 0; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { color: var(--muted); font-size: .92rem; margin-top: .6rem; max-width: 46rem; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1.6rem;
  align-items: start; }
.one { max-width: 50rem; }
.panels1 { max-width: 27rem; }
.panels2 { max-width: 54rem; }
.notes { color: var(--muted); font-size: .87rem; padding-left: 1.1rem; }
footer { margin-top: 3.4rem; border-top: 1px solid var(--hair); padding-top: 1rem; color: var(--muted);
  font-size: .82rem; }
footer code { font-size: .78rem; word-break: break-all; }
.duty { color: var(--warn); font-weight: 600; font-size: .95rem; }
@media print { main { padding: 0; max-width: none; } figure, table { break-inside: avoid; } h2 { break-after: avoid; } }
"""
