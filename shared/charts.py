"""Draws charts as SVG that stands in the page itself: in the page's own colours, light and dark, described in words.

Draw off the event loop (a fresh chart takes some 20 ms, the first a second), and keep what was drawn.
"""

from __future__ import annotations

import re
from typing import Any, Final

import altair as alt
import vl_convert
from markupsafe import Markup, escape

# A phone shows it at three quarters of its size, which can still be read.
WIDTH: Final = 480
HEIGHT: Final = 200
# The colours of style.css, by what they are for.
COLOURS: Final = ("var(--chart-1)", "var(--chart-2)", "var(--chart-3)", "var(--chart-4)")
TEXT, QUIET, LINE = "var(--text)", "var(--quiet)", "var(--line)"
_AXIS: Final = {
    **dict.fromkeys(("labelColor", "titleColor"), QUIET),
    **dict.fromkeys(("gridColor", "domainColor", "tickColor"), LINE),
    **dict.fromkeys(("labelFontSize", "titleFontSize"), 12),
    "titleFontWeight": "normal",
}
# How a language writes numbers (d3).
_NUMBERS: Final[dict[str, dict[str, Any]]] = {
    "en": {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["₫", ""]},
    "vi": {"decimal": ",", "thousands": ".", "grouping": [3], "currency": ["", " ₫"]},
}
# What the drawing says of its parts to screen readers, without names for them: the whole is one image to them.
_SPOKEN: Final = re.compile(r'\s(?:role|aria-[a-z]+)="[^"]*"(?=[^<>]*>)')


def svg(chart: alt.TopLevelMixin, description: str, language: str) -> Markup:
    """`chart` as an image that screen readers know by its `description`; a table of its numbers belongs beneath it."""
    config = {
        "background": "transparent",
        "aria": False,
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": _AXIS,
        "text": {"color": TEXT, "fontSize": 12},
        "legend": {"labelColor": TEXT, "titleColor": QUIET, "labelFontSize": 12, "orient": "top", "title": None},
    }
    drawn = vl_convert.vegalite_to_svg(chart.to_dict(validate=False), config=config, format_locale=_NUMBERS[language])
    drawn = _SPOKEN.sub("", drawn).replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1)
    return Markup(drawn)  # from our own chart, whose texts the drawing has escaped
