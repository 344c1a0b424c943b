"""What pages of supply show beside the templates: charts, the course of a goal, words for every code."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from services.supply.course import MAX_MONTHS, Course, Point, days_of, is_due
from services.supply.goal_files import load_goals
from services.supply.goals import Baseline, Goal, Step, Target, expected_on
from services.supply.indicators import INDICATORS
from services.supply.pages.chart_data import GoalChart, Milestone, Shares, TimeLine, rounded
from services.supply.pages.charts import goal_chart, shares_chart, time_line
from services.supply.pages.duties import DUTIES
from services.supply.pages.goals import PRESSING, course_rows, dress, kind_of, path
from services.supply.pages.words import TONES, WORDS
from services.supply.places import NAMES
from services.supply.told_api import KINDS
from shared.settings import ROOT

TODAY = date(2026, 11, 24)
CHART = GoalChart(
    actual=(("2026-09-30", 0.61), ("2026-10-31", 0.63)),
    expected=(("2023-12-31", 0.6), ("2030-12-31", 0.8)),
    target=0.8,
    today="2026-11-24",
    kind="share",
    words=("thực tế", "kỳ vọng"),
    described='80 % "at home" <by 2030>',
)


def goal(**more: Any) -> Goal:
    """A goal from 0 at the end of 2023 to 12 at the end of 2030."""
    told: dict[str, Any] = {
        "goal": "g",
        "title": "Twelve products",
        "source": "somewhere",
        "indicator": "transferred_products",
        "scope": "all",
        "baseline": Baseline(on=date(2023, 12, 31), value=Decimal(0)),
        "target": Target(value=Decimal(12), by=date(2030, 12, 31)),
    }
    return Goal(**{**told, **more})


def test_a_course_is_drawn_by_the_ends_of_months_and_today() -> None:
    assert days_of(date(2026, 8, 20), TODAY) == [date(2026, 8, 31), date(2026, 9, 30), date(2026, 10, 31), TODAY]
    assert days_of(None, TODAY) == [TODAY]
    assert days_of(TODAY, TODAY) == [TODAY]
    assert len(days_of(date(1999, 1, 1), TODAY)) == MAX_MONTHS + 1


def test_a_course_is_due_when_a_month_ends_or_something_was_recorded_long_enough_ago() -> None:
    kept = Course(7, None, "2026-11-03")
    assert is_due(None, 1, TODAY, 0, 600)
    assert is_due(kept, 7, date(2026, 12, 1), 0, 600)
    assert not is_due(kept, 7, TODAY, 10_000, 600)
    assert not is_due(kept, 8, TODAY, 599, 600)
    assert is_due(kept, 8, TODAY, 600, 600)


def test_a_path_is_drawn_straight_by_equal_factors_or_in_steps() -> None:
    assert list(path(goal())) == [(date(2023, 12, 31), Decimal(0)), (date(2030, 12, 31), Decimal(12))]
    stepped = goal(trajectory="step", steps=(Step(by=date(2026, 6, 30), value=Decimal(4)),))
    assert (date(2026, 6, 29), Decimal(0)) in list(path(stepped))
    assert (date(2026, 6, 30), Decimal(4)) in list(path(stepped))
    grown = list(path(goal(trajectory="compound", baseline=Baseline(on=date(2023, 12, 31), value=Decimal(3)))))
    assert len(grown) > 12
    assert all(
        value
        == expected_on(goal(trajectory="compound", baseline=Baseline(on=date(2023, 12, 31), value=Decimal(3))), day)
        for day, value in grown
    )


def test_the_numbers_of_a_chart_end_with_today_as_last_evaluated() -> None:
    course = Course(7, None, "2026-11-03", {"g": [Point("2026-10-31", "3"), Point("2026-11-03", "4")]})
    item = {"on": "2026-11-24", "value": "5"}
    rows = course_rows(goal(), course, item)
    assert [(row["on"], row["value"]) for row in rows] == [("2026-11-24", "5"), ("2026-10-31", "3")]
    assert [row["on"] for row in course_rows(goal(), None, item)] == ["2026-11-24"]


@pytest.mark.parametrize(
    "drawn",
    [
        goal_chart(CHART, "en"),
        goal_chart(CHART._replace(actual=()), "vi"),
        shares_chart(Shares((("2026-09-30", 6.0, 4.0), ("2026-10-31", 7.0, 3.0)), ("domestic", "imported"), "x"), "vi"),
        time_line(
            TimeLine((Milestone("<b>", "2026-12-31", None, False),), "2026-11-24", ("due", "met", "late"), "x"), "en"
        ),
    ],
    ids=["goal", "nothing measured", "shares", "milestones"],
)
def test_a_chart_is_an_image_in_the_colours_of_the_page_without_style_of_its_own(drawn: str) -> None:
    assert drawn.startswith('<svg role="img" aria-label="')
    assert "var(--" in drawn
    assert "style=" not in drawn and "<style" not in drawn and "<b>" not in drawn


def test_a_chart_is_told_in_words_and_in_the_numbers_of_the_language() -> None:
    assert 'aria-label="80 % &#34;at home&#34; &lt;by 2030&gt;"' in goal_chart(CHART, "vi")
    assert "thực tế" in goal_chart(CHART, "vi")


def test_a_chart_is_drawn_anew_only_when_it_would_look_different() -> None:
    assert rounded("0.634712") == rounded("0.634698") == 0.635
    assert rounded("1234567") == 1_230_000


def test_values_are_shares_money_or_numbers() -> None:
    assert kind_of("domestic_share_volume", "share", "ddd") == "share"
    assert kind_of("reported:raw_materials_share", "as reported", None) == "share"
    assert kind_of("reported:market_value", "as reported", "usd") == "money"
    assert kind_of("transferred_products", "products", "products") == "number"


def test_there_is_a_word_for_every_code() -> None:
    codes = {*KINDS, *PRESSING, *DUTIES, *NAMES, *INDICATORS, *TONES}
    assert codes - WORDS.keys() == set()


def test_a_goal_is_called_by_its_title_in_the_language_of_the_reader() -> None:
    item: dict[str, Any] = {"title": "Twelve products", "indicator": "transferred_products"}
    dress(item, goal(titles={"vi": "Mười hai sản phẩm"}), "vi")
    assert (item["title"], item["title_language"], item["kind"]) == ("Mười hai sản phẩm", "vi", "number")
    other: dict[str, Any] = {"title": "Twelve products", "indicator": "transferred_products"}
    dress(other, goal(), "vi")
    assert (other["title"], other["title_language"]) == ("Twelve products", "en")


def test_every_goal_in_force_has_a_title_in_vietnamese() -> None:
    assert [goal.goal for goal in load_goals(ROOT / "deploy" / "goals") if not goal.titles.get("vi")] == []
