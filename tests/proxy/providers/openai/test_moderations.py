"""Moderations: forwarded as they are, where they are free."""

import orjson
import pytest

from proxy.errors import Dialect, Malformed, UnpricedFeature
from proxy.providers.endpoints import Route
from proxy.providers.openai import moderations
from proxy.providers.targets import OPENAI, Target


def read(**fields):
    return moderations.read_request(Route(moderations.MODERATIONS), orjson.dumps({"input": "hi"} | fields), {})


def test_they_cost_nothing_and_the_model_is_named():
    request = read(input=["a", "b"])
    outgoing = moderations.prepare(request, OPENAI.target(request.model, Dialect.OPENAI))
    assert not request.endpoint.priced
    assert orjson.loads(outgoing.send()) == {"input": ["a", "b"], "model": "omni-moderation-latest"}
    assert (outgoing.bound(0).input_tokens, outgoing.bound(0).output_tokens) == (0, 0)


def test_images_pass_since_they_are_free_too():
    parts = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    assert read(input=parts, model="omni-moderation-latest").body["input"] == parts


def test_another_provider_may_bill_them():
    with pytest.raises(UnpricedFeature):
        moderations.prepare(read(), Target("acme", "omni-moderation-latest"))


@pytest.mark.parametrize("fields", [{"input": None}, {"input": []}, {"model": 5}])
def test_what_cannot_be_read_is_malformed(fields):
    with pytest.raises(Malformed):
        read(**fields)


def test_a_field_that_could_move_the_price_is_refused():
    with pytest.raises(UnpricedFeature):
        read(service_tier="priority")
