"""How the report looks: in light and in dark, on screens and on paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--back:#f6f7f9;--card:#ffffff;--ink:#1b2430;--soft:#67717f;
--line:#e3e7ec;--good:#12855d;--bad:#c62f2f;--open:#a86a00;--reads:#7fb0f5;--writes:#2f6fde;
--p50:#2f6fde;--p99:#b04ad0;--fault:#d9622b;--down:#c62f2f;--paused:#d99a1c;
--c0:#4c78d0;--c1:#2fa58a;--c2:#e0a33a;--c3:#c9607f;--c4:#7d63c9;--c5:#5aa845;--c6:#3ba3c4;
--c7:#a07c58}
@media (prefers-color-scheme:dark){:root{--back:#0d1117;--card:#151b23;--ink:#e6eaf0;
--soft:#98a2b0;--line:#2a313c;--good:#3ecf9a;--bad:#ff6b6b;--open:#f0b54a;--reads:#31558c;
--writes:#6ea2ff;--p50:#6ea2ff;--p99:#d58cf0;--fault:#f08a55;--down:#ff6b6b;--paused:#f0b54a;
--c0:#6f96e6;--c1:#46bfa2;--c2:#e8b75a;--c3:#e07f9c;--c4:#9a83e0;--c5:#78c463;--c6:#5cbbd8;
--c7:#bf9a74}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
section,header{background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:22px 26px;margin:0 0 18px}
h1{margin:0;font-size:34px;line-height:1.15;letter-spacing:-.02em}
h2{margin:0 0 4px;font-size:18px;letter-spacing:-.01em}
p{margin:6px 0 0;max-width:80ch}
.soft,.about{color:var(--soft)}
.about{margin:0 0 14px;font-size:14px}
header{border-left:8px solid var(--soft)}
header.fine{border-left-color:var(--good)}
header.violation{border-left-color:var(--bad)}
header.undecided{border-left-color:var(--open)}
.fine h1,td.fine{color:var(--good)}
.violation h1,td.violation{color:var(--bad)}
.undecided h1,td.undecided{color:var(--open)}
td.fine,td.violation,td.undecided{font-weight:600}
.eyebrow{margin:0 0 8px;font-size:13px;letter-spacing:.06em;text-transform:uppercase;
color:var(--soft)}
.notice{margin-top:12px;padding:8px 12px;border-radius:8px;background:var(--back);
border:1px solid var(--line)}
dl.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;
margin:20px 0 0}
dl.figures div{background:var(--back);border-radius:10px;padding:10px 14px}
dl.figures dt{font-size:13px;color:var(--soft)}
dl.figures dd{margin:0;font-size:22px;font-weight:600;letter-spacing:-.01em;
font-variant-numeric:tabular-nums}
dl.figures dd small{display:block;font-size:12.5px;font-weight:400;color:var(--soft);
letter-spacing:0}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th{text-align:left;font-weight:600;color:var(--soft);font-size:13px}
th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
.number{text-align:right;white-space:nowrap}
tr.all td{font-weight:600}
.mono,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px}
td.mono{word-break:break-word}
pre{margin:10px 0 0;padding:12px 14px;background:var(--back);border:1px solid var(--line);
border-radius:8px;white-space:pre-wrap;word-break:break-word}
details{margin-top:14px}
summary{cursor:pointer;color:var(--soft)}
.finding{margin-top:22px}
figure{margin:14px 0 0}
ul{margin:8px 0 0;padding-left:20px}
.share{display:inline-block;height:9px;border-radius:3px;background:var(--bad);min-width:2px}
.keys{display:flex;flex-wrap:wrap;gap:6px 18px;margin:0 0 10px;font-size:13px;color:var(--soft)}
.keys i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;
vertical-align:-1px}
.chart{width:100%;height:auto;display:block;font-size:11.5px;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif}
.chart text{fill:var(--ink)}
.chart .quiet{fill:var(--soft);font-size:10.5px}
.chart .name{font-weight:600}
.chart .rule,.chart .tick{stroke:var(--line);stroke-width:1}
.chart .tick{stroke-dasharray:2 4}
.chart .base{stroke:var(--soft);stroke-width:1;opacity:.5}
.chart .band{fill:var(--fault);opacity:.10}
.chart .fault{fill:var(--fault);rx:2px}
.chart .reads{fill:var(--reads)}
.chart .writes{fill:var(--writes)}
.chart .p50,.chart .p99{fill:none;stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}
.chart .p50{stroke:var(--p50)}
.chart .p99{stroke:var(--p99)}
.chart .change{fill:var(--soft)}
.chart .error{fill:var(--bad)}
.chart .running{fill:var(--good);opacity:.35}
.chart .down{fill:var(--down)}
.chart .paused{fill:var(--paused)}
.chart .pointers rect{fill:transparent}
.chart .pointers rect:hover{fill:var(--ink);opacity:.08}
.c0{fill:var(--c0)}.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}
.c4{fill:var(--c4)}.c5{fill:var(--c5)}.c6{fill:var(--c6)}.c7{fill:var(--c7)}
footer{color:var(--soft);font-size:13px;padding:0 4px}
@media (max-width:640px){h1{font-size:26px}section,header{padding:16px}}
@media print{body{background:#fff}section,header{break-inside:avoid;border-color:#ccc}}
"""
