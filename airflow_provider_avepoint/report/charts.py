"""Draw seats and storage over time as SVG for the page; its texts stay texts, in the reader's font."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from airflow_provider_avepoint.report.formatting import say_number

if TYPE_CHECKING:
    from airflow_provider_avepoint.report.licenses import Measure

#: The size of a chart in points; a phone shows a chart at this size.
WIDTH, HEIGHT = 360, 200
# Okabe and Ito's palette, which most colour-blind readers tell apart; line styles differ as well.
_USED, _BOUGHT = "#0072b2", "#d55e00"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "avepoint",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5b6670",
    "axes.labelcolor": "#1b2126",
    "text.color": "#1b2126",
    "xtick.color": "#3f4a54",
    "ytick.color": "#3f4a54",
    "text.parse_math": False,
}
# The page's own colours: what is drawn follows the page into the dark.
_AS_VARIABLES = {
    _USED: "var(--used)",
    _BOUGHT: "var(--bought)",
    "#5b6670": "var(--soft)",
    "#1b2126": "var(--ink)",
    "#3f4a54": "var(--soft)",
    "#d5dbe1": "var(--line)",
    "#ffffff": "var(--paper)",
}
_COLOR = re.compile("|".join(_AS_VARIABLES))
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_MOST_POINTS = 180
_MOST_MARKERS = 40
_FORECAST_POINTS = 24


def draw(measure: Measure, name: str) -> Markup:
    """Return the contents of a chart's ``<svg>`` element.

    :param measure: the measure, with at least one reading.
    :param name: the prefix of the chart's ids, which must be unique in the page.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72, layout="constrained")
        figure.patch.set_alpha(0)
        axes: Any = figure.subplots()  # matplotlib's types do not allow datetimes
        axes.patch.set_alpha(0)
        _draw_history(axes, measure)
        _draw_forecast(axes, measure)
        _label(axes, measure)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, borderaxespad=0.2, handlelength=1.8)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=_NO_METADATA)
    drawn = text.getvalue()
    body = drawn[drawn.index("<g ") : drawn.rindex("</svg>")]
    # The markup is safe: it holds only numbers, dates and words of this module.
    return Markup(re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", _shorten(body)))  # noqa: S704


def _draw_history(axes: Any, measure: Measure) -> None:
    step = 1 + len(measure.readings) // _MOST_POINTS
    readings = measure.readings[::-step][::-1]
    moments = [reading.at for reading in readings]
    marker = "o" if len(readings) <= _MOST_MARKERS else ""
    axes.plot(
        moments, [each.used for each in readings], color=_USED, marker=marker, markersize=3, label="used"
    )
    if any(reading.bought for reading in readings):
        bought = [reading.bought or float("nan") for reading in readings]
        axes.step(
            [*moments, measure.newest.at + measure.horizon],
            [*bought, bought[-1]],
            where="post",
            color=_BOUGHT,
            linestyle="--",
            label="bought",
        )


def _draw_forecast(axes: Any, measure: Measure) -> None:
    trend = measure.trend
    if trend is None or measure.horizon <= timedelta():
        return
    step = measure.horizon / _FORECAST_POINTS
    moments = [measure.newest.at + step * index for index in range(_FORECAST_POINTS + 1)]
    band = [trend.at(moment) for moment in moments]
    axes.plot(moments, [each.value for each in band], color=_USED, linestyle=":")
    axes.fill_between(
        moments,
        [max(0.0, each.low) for each in band],
        [each.high for each in band],
        facecolor=_USED,
        edgecolor=_USED,
        alpha=0.18,
        linewidth=0.8,
        label="forecast, 95 % band",
    )
    if measure.crossing is not None:
        axes.plot(
            [measure.crossing.expected],
            [measure.newest.bought],
            linestyle="",
            marker="X",
            markersize=10,
            markeredgecolor="white",
            color=_BOUGHT,
        )


def _label(axes: Any, measure: Measure) -> None:
    axes.set_ylabel(measure.unit)
    axes.margins(x=0.01, y=0.12)
    axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))
    axes.grid(axis="y", color="#d5dbe1", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=measure.unit == "seats"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: say_number(value)))
    locator: Any = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]  # matplotlib's
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]  # matplotlib's
    )


def _shorten(svg: str) -> str:
    """Return *svg* without font names, with two decimals, and in the colours of the page."""
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)
    svg = re.sub(r"(\d\.\d\d)\d+", r"\1", svg)
    svg = _COLOR.sub(lambda found: _AS_VARIABLES[found[0]], svg)
    return re.sub(r"\n\s*", "\n", svg)


def describe(measure: Measure) -> str:
    """Describe a chart in words, for readers who cannot see it.

    :param measure: the measure, with at least one reading.
    """
    first, newest = measure.readings[0], measure.newest

    def say(amount: float) -> str:
        return say_number(amount) if measure.unit == measure.name else f"{say_number(amount)} {measure.unit}"

    bought = f"{say(newest.bought)} bought" if newest.bought else "nothing bought, so no limit"
    text = (
        f"{say_number(first.used)} {measure.unit} used on {first.at:%Y-%m-%d}, {say(newest.used)} on "
        f"{newest.at:%Y-%m-%d}; {bought}."
    )
    ahead = measure.forecast.estimate
    if ahead is None:
        return f"{text} No forecast: {measure.forecast.unknown}."
    return (
        f"{text} Forecast for {measure.forecast.until:%Y-%m-%d}: {say(ahead.value)}, 95 % band "
        f"{say(ahead.low)} to {say(ahead.high)}."
    )
