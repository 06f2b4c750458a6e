"""F8: clients that reset their connections at every event of a 200-event stream, in each dialect, 1,400 in all."""

from pathlib import Path

from tests.proxy.resets_under_load import SHAPES, resets_at_every_event_are_paid_for
from tests.proxy.stage import stage


def test_streams_that_are_read_on_to_their_bills_are_charged_exactly(fresh_database: str, tmp_path: Path) -> None:
    with stage(tmp_path, workers=2) as on:
        assert resets_at_every_event_are_paid_for(on, shapes=SHAPES) == {"usage": 1_000}


def test_streams_that_may_not_be_read_on_are_charged_no_less_than_billed(fresh_database: str, tmp_path: Path) -> None:
    with stage(tmp_path, workers=2, environment={"SHREDDER_PROXY_SECONDS": "drain=0.05"}) as on:
        charged = resets_at_every_event_are_paid_for(on, shapes=("OpenAI", "Anthropic"), exact=False)
        print(charged)
        assert charged.total() == 400
        assert charged["worst_case"] > 0
        assert charged["estimated"] > 0
