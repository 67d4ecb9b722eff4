"""The style sheet of the page around a picture.

Rules of this file: colours come from the picture's variables; everything reflows down to 320 px; nothing moves.
"""

from __future__ import annotations

from sayiir.picture.style import FONTS

PAGE_CSS = f"""
*{{box-sizing:border-box}}
body{{margin:0;background:var(--sy-bg);color:var(--sy-ink);font:15px/1.5 {FONTS}}}
header,main{{max-width:1280px;margin:0 auto;padding:0 24px}}
header{{padding-top:36px;padding-bottom:20px}}
h1{{margin:0;font-size:28px;line-height:1.2;letter-spacing:-.015em;overflow-wrap:anywhere}}
h2{{margin:0 0 14px;font-size:15px;font-weight:600}}
main{{display:grid;gap:20px;padding-bottom:56px;grid-template-columns:minmax(0,1fr)}}
.sy-skip{{position:absolute;left:-999px}}
.sy-skip:focus{{left:16px;top:12px;padding:6px 12px;background:var(--sy-card);color:var(--sy-accent)}}
.sy-over{{display:flex;align-items:center;gap:8px;margin:0 0 6px;color:var(--sy-soft);font-size:14px;
overflow-wrap:anywhere}}
.sy-chips{{display:flex;flex-wrap:wrap;gap:8px;margin:16px 0 0;padding:0;list-style:none}}
.sy-chips .sy-status{{padding:4px 12px 4px 9px;border-radius:99px;background:var(--sy-tint);color:var(--sy-line)}}
.sy-status{{display:inline-flex;align-items:center;gap:6px;font-size:13px;font-weight:500;color:var(--sy-line);
white-space:nowrap}}
.sy-glyph,.sy-kind{{flex:none;fill:none;stroke:var(--sy-line);stroke-width:1.7;stroke-linecap:round;
stroke-linejoin:round}}
.sy-glyph{{width:15px;height:15px}}
.sy-kind{{stroke:var(--sy-soft)}}
.sy-over .sy-kind{{stroke:var(--sy-accent)}}
.sy-panel{{min-width:0;padding:20px;background:var(--sy-card);border:1px solid var(--sy-rim);border-radius:16px}}
.sy-canvas{{overflow:auto;max-height:90vh;margin:0 -20px;border-top:1px solid var(--sy-rim);
border-bottom:1px solid var(--sy-rim);
background:var(--sy-bg)}}
.sy-canvas>svg{{display:block;margin:0 auto;max-width:100%;height:auto}}
:focus-visible{{outline:2px solid var(--sy-accent);outline-offset:2px}}
table{{width:100%;border-collapse:collapse;font-size:14px}}
th,td{{padding:8px 12px 8px 0;border-top:1px solid var(--sy-rim);text-align:left;vertical-align:top;font-weight:400}}
td:last-child{{padding-right:0}}
.sy-facts tr:first-child>*{{border-top:0}}
.sy-facts th{{width:40%;color:var(--sy-soft)}}
.sy-facts td{{overflow-wrap:anywhere;white-space:pre-line}}
.sy-nodes{{margin-top:14px;font-size:14px}}
.sy-nodes table{{margin-top:10px}}
.sy-nodes th .sy-kind{{margin-right:8px;vertical-align:-3px}}
.sy-nodes th,.sy-nodes td{{overflow-wrap:anywhere}}
.sy-scroll{{overflow-x:auto}}
summary{{cursor:pointer;color:var(--sy-accent)}}
thead th{{border-top:0;color:var(--sy-soft);font-size:13px;vertical-align:bottom}}
.sy-gantt th[scope=row]{{display:flex;gap:10px}}
.sy-gantt th .sy-kind{{margin-top:3px}}
.sy-who{{min-width:0}}
.sy-label{{display:block;font-weight:600;overflow-wrap:anywhere}}
.sy-small{{display:block;color:var(--sy-soft);font-size:12.5px;overflow-wrap:anywhere}}
.sy-gantt thead th:nth-child(1){{width:270px}}
.sy-gantt thead th:nth-child(2){{width:150px}}
.sy-gantt thead th:nth-child(4){{width:110px}}
.sy-gantt .sy-took{{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}}
.sy-scale,.sy-lane{{display:block;overflow:visible}}
.sy-scale text{{font-size:11.5px;fill:var(--sy-soft)}}
.sy-tick{{stroke:var(--sy-rim)}}
.sy-bar{{fill:var(--sy-line)}}
.sy-waiting .sy-bar,.sy-awaiting_signal .sy-bar,.sy-paused .sy-bar{{fill:var(--sy-tint);stroke:var(--sy-line);
stroke-width:1.25}}
.sy-error{{margin:4px 0 2px;color:var(--sy-line);font-size:13px;overflow-wrap:anywhere}}
.sy-error summary{{color:inherit}}
.sy-error pre{{margin:6px 0 0;max-height:280px;overflow:auto;font-size:12px;color:var(--sy-ink);white-space:pre-wrap}}
.sy-note{{margin:12px 0 0;color:var(--sy-soft);font-size:13px}}
.sy-hidden{{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}}
@media (min-width:1000px){{
main:has(.sy-facts){{grid-template-columns:minmax(0,1fr) 320px}}
.sy-picture{{grid-column:1;grid-row:1}}
.sy-facts{{align-self:start}}
.sy-time{{grid-column:1/-1}}
}}
@media (max-width:760px){{
header,main{{padding-left:12px;padding-right:12px}}
header{{padding-top:20px}}
h1{{font-size:22px}}
.sy-panel{{padding:14px;border-radius:12px}}
.sy-canvas{{margin:0 -14px}}
.sy-gantt,.sy-gantt tbody,.sy-gantt thead{{display:block}}
.sy-gantt thead th:not(.sy-axis){{display:none}}
.sy-gantt thead th{{display:block;width:auto;padding:0}}
.sy-gantt tbody tr{{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:2px 12px;padding:10px 0;
border-top:1px solid var(--sy-rim)}}
.sy-gantt tbody th,.sy-gantt tbody td{{width:auto;padding:0;border:0}}
.sy-gantt tbody th{{grid-row:span 2}}
.sy-gantt tbody .sy-track{{grid-column:1/-1;grid-row:3}}
}}
@media print{{.sy-canvas{{max-height:none;overflow:visible}}.sy-panel{{break-inside:avoid-page}}}}
"""
