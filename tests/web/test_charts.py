"""Numbers as shapes, and in words."""

from dripstone.web import charts


def test_a_line_spans_its_box_and_stays_inside() -> None:
    spark = charts.spark([0, 5, 10], "email", "week")
    assert spark.points == "0,20 42,11 84,2"
    assert spark.words == "Emails in each of the last 3 weeks, this one last: 0, 5, 10"


def test_nothing_is_a_flat_line_and_said_so() -> None:
    spark = charts.spark([0, 0], "email", "week")
    assert (spark.points, spark.words, spark.is_flat) == ("0,20 84,20", "None in the last 2 weeks", True)


def test_the_highest_bar_fills_the_room_and_every_number_above_none_is_seen() -> None:
    many, one, none = charts.bars([("Mon", "Monday", 12_400), ("Tue", "Tuesday", 1), ("Wed", "Wednesday", 0)])
    assert (many.height, one.height, none.height) == (50, 2, 1)
    assert [bar.label for bar in (many, one, none)] == ["12k", "1", "0"]
    assert many.y + many.height == one.y + one.height == none.y + none.height


def test_columns_stand_on_the_floor_and_upon_one_another() -> None:
    none, some, most = charts.columns([("09:00", 0, 0), ("09:01", 1, 1), ("09:02", 90, 10)])
    assert (none.height, none.upper) == (0, 0)
    assert (some.height, some.upper) == (2, 2), "what is there is seen"
    assert most.height + most.upper == charts.COLUMNS_HEIGHT - 4
    assert most.y + most.height == charts.COLUMNS_HEIGHT
    assert most.x + most.width < charts.COLUMNS_WIDTH
