"""The two plots of docs/routing.md: what policies cost against how slow they are, and one region's day."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tests.perf.simulation.days import Result, Setting
from tests.perf.simulation.drawing import Canvas, log_ticks
from tests.perf.simulation.market import REGIONS
from tests.perf.simulation.series import SHOWN_REGION, STEP_SECONDS
from tests.perf.simulation.weather import Incident

# Colours of drawing.py by what a policy strives for.
COLORS = {"cost": 2, "cost at the floor": 2, "speed": 0, "oracle": 3, "": 4}
SHOWN = (("oracle: first token", 3), ("random", 4), ("fastest, first token", 0))
OUTAGES = ("errors", "hangs")


def cost_and_speed(results: Sequence[Result]) -> str:
    canvas = Canvas(860, 520, "Cost and speed of a simulated day")
    rows = [result.figures for result in results]
    x = _logarithmic([row.usd_per_thousand for row in rows], canvas.left, canvas.right)
    y = _logarithmic([row.total_p95 for row in rows], canvas.bottom, canvas.top)
    for tick in log_ticks(*_span([row.usd_per_thousand for row in rows])):
        canvas.grid_x(x(tick), f"{tick:g}")
    for tick in log_ticks(*_span([row.total_p95 for row in rows])):
        canvas.grid_y(y(tick), f"{tick:g} s")
    canvas.axes("USD per 1,000 calls", "p95 of the whole answer")
    for row in rows:
        canvas.dot(x(row.usd_per_thousand), y(row.total_p95), COLORS[row.kind])
    for row in rows:
        canvas.label(x(row.usd_per_thousand), y(row.total_p95), row.name, COLORS[row.kind])
    return canvas.svg()


def one_day(results: Sequence[Result], incidents: Sequence[Incident], setting: Setting) -> str:
    region = REGIONS[SHOWN_REGION]
    canvas = Canvas(860, 440, f"One day in region {region}: p95 of the first token by half hour")
    canvas.top = 80.0
    lines = {result.figures.name: result.series for result in results}
    values = [value for name, _ in SHOWN for value in lines[name] if not math.isnan(value)]
    y = _logarithmic(values, canvas.bottom, canvas.top)
    span = setting.ends - setting.begins

    def x(at: float) -> float:
        return canvas.left + (min(at, setting.ends) - setting.begins) / span * (canvas.right - canvas.left)

    for incident in incidents:
        if incident.region == SHOWN_REGION and incident.what in OUTAGES and incident.begins < setting.ends:
            canvas.band(x(incident.begins), x(incident.ends) - x(incident.begins), 1)
    hours = int(span // 3600)
    for hour in range(0, hours + 1, max(1, hours // 8)):
        canvas.grid_x(x(setting.begins + hour * 3600), f"{setting.begins / 3600 + hour:02.0f}:00")
    for tick in log_ticks(*_span(values)):
        canvas.grid_y(y(tick), f"{tick:g} s")
    canvas.axes("UTC", "")
    for name, color in SHOWN:
        points = [
            (x((step + 0.5) * STEP_SECONDS), y(value))
            for step, value in enumerate(lines[name])
            if not math.isnan(value)
        ]
        canvas.line(points, color)
    canvas.legend([*SHOWN, ("a provider is down", 1)], 54)
    return canvas.svg()


def _span(values: Sequence[float]) -> tuple[float, float]:
    return min(values) / 1.25, max(values) * 1.25


def _logarithmic(values: Sequence[float], begins: float, ends: float) -> Callable[[float], float]:
    low, high = map(math.log, _span(values))
    return lambda value: begins + (math.log(value) - low) / (high - low) * (ends - begins)
