"""What headers claim: which key says who, which agent it names, and whose provider key stands beside it (W6)."""

import pytest

from agents.callers import OwnKey
from proxy.claims import Claim, read_claim
from proxy.errors import Dialect, KeyMalformed, KeyMissing, Malformed

AGENT_KEY, ORG_KEY = "awx_live_ab12cd34_secret", "awx_org_ab12cd34_secret"
OWN = "sk-proj-0123456789abcdef"


def claim(dialect: Dialect = Dialect.OPENAI, /, **headers: str) -> Claim:
    return read_claim({name.replace("_", "-"): value for name, value in headers.items()}, dialect)


@pytest.mark.parametrize(
    "headers",
    [{"authorization": f"Bearer {AGENT_KEY}"}, {"x_api_key": AGENT_KEY}, {"x_goog_api_key": AGENT_KEY},
     {"authorization": f"bearer  {AGENT_KEY}", "x_api_key": AGENT_KEY}, {"x_awx_key": AGENT_KEY}],
)  # fmt: skip
def test_a_key_is_taken_from_where_each_client_puts_it(headers: dict[str, str]) -> None:
    assert claim(**headers) == Claim(AGENT_KEY)


def test_the_header_beside_an_agents_own_key_names_no_other_caller() -> None:
    assert claim(authorization=f"Bearer {AGENT_KEY}", x_awx_agent_id="writer", x_awx_daily_budget="1") == Claim(
        AGENT_KEY
    )


@pytest.mark.parametrize("key", [ORG_KEY, OWN])
def test_a_key_that_is_no_agents_own_comes_with_the_agent_it_names(key: str) -> None:
    for header in ("x_awx_agent_id", "x_agent_id"):
        named = claim(authorization=f"Bearer {key}", x_awx_daily_budget="2.50", **{header: "Writer.One"})
        assert named == Claim(key, "writer.one", 2_500_000_000_000)
    assert claim(authorization=f"Bearer {key}").agent == ""


def test_both_names_of_the_header_may_say_the_same_and_never_differ() -> None:
    both = {"authorization": f"Bearer {ORG_KEY}", "x_awx_agent_id": "Writer"}
    assert claim(**both, x_agent_id="writer").agent == "writer"
    with pytest.raises(Malformed):
        claim(**both, x_agent_id="reader")


@pytest.mark.parametrize(
    ("header", "value"),
    [("x_awx_agent_id", "no/slash"), ("x_awx_agent_id", "x" * 65), ("x_awx_daily_budget", "-1"),
     ("x_awx_daily_budget", "ten")],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_before_anybody_is_asked(header: str, value: str) -> None:
    with pytest.raises(Malformed) as caught:
        claim(authorization=f"Bearer {ORG_KEY}", **{"x_awx_agent_id": "writer", header: value})
    assert caught.value.param == header.replace("_", "-")


@pytest.mark.parametrize(
    ("dialect", "headers", "provider"),
    [
        (Dialect.OPENAI, {"authorization": f"Bearer {OWN}"}, "openai"),
        (Dialect.ANTHROPIC, {"authorization": f"Bearer {OWN}"}, "anthropic"),
        (Dialect.GEMINI, {"authorization": f"Bearer {OWN}"}, "google"),
        (Dialect.OPENAI, {"x_api_key": OWN}, "anthropic"),
        (Dialect.GEMINI, {"x_goog_api_key": OWN}, "google"),
        (Dialect.ANTHROPIC, {"x_api_key": OWN, "authorization": f"Bearer {OWN}"}, "anthropic"),
        (Dialect.OPENAI, {"authorization": f"Bearer {OWN}", "x_api_key": AGENT_KEY}, "openai"),
    ],
)
def test_a_provider_key_beside_ours_is_meant_for_the_provider_of_its_header(
    dialect: Dialect, headers: dict[str, str], provider: str
) -> None:
    claimed = claim(dialect, x_awx_key=AGENT_KEY, **headers)
    assert (claimed.key, claimed.own_key) == (AGENT_KEY, OwnKey(provider, OWN))
    assert OWN not in repr(claimed)
    assert claimed.digest == Claim(AGENT_KEY).digest


def test_an_organisation_key_may_stand_beside_a_provider_key() -> None:
    claimed = claim(x_awx_key=ORG_KEY, authorization=f"Bearer {OWN}", x_awx_agent_id="writer")
    assert claimed == Claim(ORG_KEY, "writer", None, OwnKey("openai", OWN))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Basic {AGENT_KEY}"},
        {"authorization": f"Bearer {AGENT_KEY}", "x_api_key": OWN},
        {"authorization": f"Bearer {OWN}", "x_goog_api_key": "AIza-another"},
        {"x_awx_key": OWN},
        {"x_awx_key": OWN, "authorization": f"Bearer {AGENT_KEY}"},
        {"x_awx_key": AGENT_KEY, "authorization": f"Bearer {OWN}", "x_api_key": "sk-ant-another"},
    ],
)
def test_two_keys_of_one_kind_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(KeyMalformed):
        claim(**headers)


@pytest.mark.parametrize("pasted", [ORG_KEY, f"Bearer {ORG_KEY}", f"'{ORG_KEY}'", "awx_test_other"])
def test_none_of_our_keys_is_ever_taken_for_a_providers(pasted: str) -> None:
    """W11: it would leave for the provider."""
    with pytest.raises(KeyMalformed):
        claim(x_awx_key=AGENT_KEY, x_api_key=pasted)


def test_no_key_at_all_is_said_to_be_missing() -> None:
    for headers in ({}, {"authorization": "Bearer "}, {"x_awx_key": "", "x_api_key": ""}):
        with pytest.raises(KeyMissing):
            claim(**headers)


def test_an_agent_cannot_be_written_into_the_key_of_another_claim() -> None:
    assert Claim(ORG_KEY, "a").digest not in {
        Claim(f"{ORG_KEY}a").digest,
        Claim(ORG_KEY).digest,
        Claim(ORG_KEY, "b").digest,
    }
