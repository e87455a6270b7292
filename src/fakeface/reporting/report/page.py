"""The page's HTML and CSS, for Jinja; everything in it that is not marked safe is escaped."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, StrictUndefined

from fakeface.base.files import write_text
from fakeface.reporting.report.sections import Run, headline, sections

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fakeface: report</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --ink: #1d2126; --soft: #5b6570; --paper: #ffffff; --card: #f4f6f8; --line: #d9dee3; --mark: #0b5fa5; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --soft: #a3adb7; --paper: #14171a; --card: #1e2327; --line: #353c43; --mark: #7cb8ee; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main, header, nav { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .6rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p { max-width: 46rem; }
a { color: var(--mark); }
.soft, figcaption { color: var(--soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem; margin: 1.5rem 0; }
.figures div { background: var(--card); border-radius: .6rem; padding: 1rem; }
.figures b { display: block; font-size: 2rem; line-height: 1.1; }
.figures small { color: var(--soft); }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; list-style: none; padding: 0; margin: 1rem 0 0; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; margin-bottom: 1.6rem; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 600; white-space: normal; vertical-align: bottom; }
figure { margin: 1.2rem 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1.2rem; align-items: start; }
.sheet { background: #ffffff; border: 1px solid var(--line); border-radius: .4rem; padding: .5rem; overflow-x: auto; }
.sheet img, .sheet svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
@media (max-width: 40rem) { .sheet img, .sheet svg { min-width: 34rem; } }
figcaption { font-size: .9rem; max-width: 46rem; margin-top: .4rem; }
code, pre { font: .86em ui-monospace, monospace; overflow-wrap: anywhere; }
pre { background: var(--card); padding: .8rem 1rem; border-radius: .4rem; overflow-x: auto; }
td code { white-space: normal; }
summary { cursor: pointer; color: var(--mark); }
footer { height: 4rem; }
</style>
</head>
<body>
<header>
<h1>How well are fake faces found, also those of GANs never seen?</h1>
<p class="soft">Report of one run of fakeface. All figures come from its files in reports/. Fake is the positive class.
<i>Laundered</i> pictures were rescaled and compressed on their way, <i>mild</i> ones compressed, <i>clean</i> ones neither.</p>
<div class="figures">
{% for value, what, range in headline %}<div><b>{{ value }}</b>{{ what }}<br><small>laundered; {{ range }}</small></div>
{% endfor %}</div>
</header>
<nav aria-label="Sections"><ul>
{% for section in sections %}<li><a href="#{{ section.anchor }}">{{ section.title }}</a></li>
{% endfor %}</ul></nav>
<main>
{% macro figure(picture) %}<figure>
<div class="sheet">{% if picture.drawing %}<div role="img" aria-label="{{ picture.alt }}">{{ picture.drawing | safe }}</div>{% else %}<img src="{{ picture.source }}" alt="{{ picture.alt }}">{% endif %}</div>
<figcaption>{{ picture.caption }}</figcaption>
</figure>{% endmacro %}
{% for section in sections %}
<section id="{{ section.anchor }}">
<h2>{{ section.title }}</h2>
{{ section.text | safe }}
{% if section.paired %}<div class="pair">{% endif %}
{% for picture in section.pictures %}{{ figure(picture) }}
{% endfor %}{% if section.paired %}</div>{% endif %}
{% for table in section.tables %}<div class="scroll">{{ table | safe }}</div>
{% endfor %}{% if section.folded %}<details><summary>{{ section.folded | length }} more picture{{ "s" if section.folded | length > 1 }}</summary><div class="pair">
{% for picture in section.folded %}{{ figure(picture) }}
{% endfor %}</div></details>{% endif %}
</section>
{% endfor %}
</main>
<footer></footer>
</body>
</html>
"""


# -------------------------------------------------------------------------------------------------
# The page itself, from the sections and a template.


def render(root: Path) -> str:
    """The page of the run below ``root``.

    Raises:
        ReportError, TableError, BundleError: if a file that it needs is missing or damaged.
    """
    run = Run(root)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    parts = list(sections(run))
    return environment.from_string(TEMPLATE).render(headline=headline(run), sections=parts)


def write_report(root: Path, out: Path) -> None:
    """Write the page, whole or not at all; errors are those of :func:`render`."""
    write_text(out, render(root))
