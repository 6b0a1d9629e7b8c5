"""F4: whatever comes as a snapshot, a proxy stays on its last good one, says why, and takes the next good.

First a played control plane and a real proxy, then a real control plane and played proxies.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from headgate.v1 import config_pb2
from tests.faults.control_planes import OwnControlPlane, Watch
from tests.faults.played import PlayedControlPlane
from tests.faults.scale import FULL, times
from tests.faults.system import OwnProxy, System, call, get, metric, wait_until
from tests.integration.control_plane.replica import make
from tests.unit.proxy.entries import key, model, provider, route, update

API_KEY = "a secret of this test"
BOUND_SECONDS = 2.0
ROUNDS = times(1, 10)
REFUSED_VERSIONS = times(3, 30)
QUIET_SECONDS = 3.0 if FULL else 0.5
# More than a proxy takes as one update, and as one message.
TOO_MANY_MESSAGES = 1_030
TOO_MANY_BYTES = 17 * 2**20

# As the product does it, but without asking what it means.
DELETED_BY_HAND = """
WITH head AS (UPDATE config_head SET revision = revision + 1 RETURNING revision),
  made AS (INSERT INTO revision SELECT revision, now(), 'x', 'x' FROM head RETURNING revision),
  gone AS (DELETE FROM resource WHERE kind = 'provider' AND name = 'played')
INSERT INTO change SELECT revision, 0, 'default', 'provider', 'played', 'pruned' FROM made
"""

APP = key("app", secret=API_KEY, allow=["*"])
SLOW = (provider("played", kind="sandbox"), model("slow", "played"))


def odd_kind() -> config_pb2.ConfigEntry:
    entry = provider("odd", kind="openai")
    entry.provider.spec.kind = "telepathy"
    return entry


def credential_without_digest() -> config_pb2.ConfigEntry:
    entry = key("short")
    entry.key.credentials[0].sha256 = b"too short"
    return entry


# What is wrong, and what the nack names. Each comes with a model that must not become known.
BAD: dict[str, tuple[list[config_pb2.ConfigEntry], str]] = {
    "an unknown kind of provider": ([odd_kind()], "provider/default/odd"),
    "a credential that is none": ([credential_without_digest()], "key/default/short"),
    "an entry of an unknown kind": ([config_pb2.ConfigEntry()], ""),
    "a provider key that no header can hold": (
        [provider("split", secrets={"default": "sk\r\nx: y"})],
        "provider/default/split",
    ),
    "a route to a model that is not there": ([route("lost", "nowhere")], "route/default/lost"),
    "a secret that opens two keys": ([key("second", secret=API_KEY)], "key/default/second"),
    "a name twice": ([model("twin", "played"), model("twin", "played")], "model/default/twin"),
}


class Served:
    """A real proxy below a played control plane, on a good version; numbers the versions."""

    def __init__(self, control_plane: PlayedControlPlane, proxy: OwnProxy) -> None:
        self.control_plane, self.proxy = control_plane, proxy
        self.revision = 1

    def next_revision(self) -> int:
        self.revision += 1
        return self.revision

    def is_on(self, revision: int, *models: str) -> None:
        """It serves that version, all of it and nothing else."""
        assert metric(self.proxy.ops, "headgate_config_version") == revision
        status, body = get(f"{self.proxy.base_url}/models", API_KEY)
        assert status == 200
        assert {one["id"] for one in json.loads(body)["data"]} >= {"slow", *models}
        assert b'"bad"' not in body
        assert call(self.proxy.base_url, API_KEY, "slow")[0] == 200
        assert get(f"{self.proxy.ops}/readyz")[0] == 200

    def takes_the_next(self) -> int:
        """A delta against the last good one, within two seconds."""
        good = self.last_good
        revision = self.next_revision()
        sent = time.monotonic()
        self.control_plane.send(update(revision, model(f"m{revision}", "played"), base=good))
        self.control_plane.wait_for_ack(revision)
        assert not FULL or time.monotonic() - sent <= BOUND_SECONDS
        self.is_on(revision, f"m{revision}")
        return revision

    @property
    def last_good(self) -> int:
        return self.control_plane.told.acks[-1].version.revision


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("served")
    with PlayedControlPlane(folder, API_KEY) as control_plane:
        control_plane.welcome = [update(1, APP, *SLOW)]
        with OwnProxy(control_plane, "served", workers=request.param) as proxy:
            control_plane.wait_for_ack(1)
            yield Served(control_plane, proxy)


@pytest.mark.parametrize("as_delta", [False, True], ids=["whole", "delta"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_update_is_refused_by_name_and_the_last_good_one_is_served(
    served: Served, name: str, as_delta: bool
) -> None:
    entries, resource = BAD[name]
    for _ in range(ROUNDS):
        good, refused = served.last_good, served.next_revision()
        number = len(served.control_plane.told.nacks) + 1
        rest = [model("bad", "played"), *entries]
        bad = update(refused, *rest, base=good) if as_delta else update(refused, APP, *SLOW, *rest)
        sent = time.monotonic()
        served.control_plane.send(bad)
        nack = served.control_plane.wait_for_nack(number)
        assert not FULL or time.monotonic() - sent <= BOUND_SECONDS
        assert (nack.version.revision, nack.nonce, nack.resource) == (refused, bad.nonce, resource)
        assert nack.reason
        served.is_on(good)
        served.takes_the_next()


def test_a_delta_against_another_version_and_an_older_version_are_refused(served: Served) -> None:
    good = served.takes_the_next()
    for bad in (update(good + 5, model("bad", "played"), base=good + 4), update(good - 1, APP, *SLOW)):
        number = len(served.control_plane.told.nacks) + 1
        served.control_plane.send(bad)
        assert served.control_plane.wait_for_nack(number).nonce == bad.nonce
        served.is_on(good)
    served.takes_the_next()


def test_an_update_of_too_many_messages_is_refused_once_and_none_of_it_is_served(served: Served) -> None:
    """Nor its end by itself, which looks like an update of a single message."""
    good, refused = served.takes_the_next(), served.next_revision()
    number = len(served.control_plane.told.nacks) + 1
    messages = [update(refused, model("bad", "played"), nonce="endless", last=False)]
    messages += [update(refused, nonce="endless", last=False) for _ in range(TOO_MANY_MESSAGES)]
    messages += [update(refused, APP, *SLOW, nonce="endless")]
    served.control_plane.send(*messages)
    assert "more than 1024 messages" in served.control_plane.wait_for_nack(number).reason
    served.takes_the_next()
    assert len(served.control_plane.told.nacks) == number
    assert refused not in {ack.version.revision for ack in served.control_plane.told.acks}
    assert good < served.last_good


def test_a_message_larger_than_a_proxy_takes_costs_the_stream_and_not_the_config(served: Served) -> None:
    good = served.takes_the_next()
    came = len(served.control_plane.told.hellos)
    filler = "x" * TOO_MANY_BYTES
    served.control_plane.welcome = []
    served.control_plane.send(update(served.next_revision(), model("bad", "played"), nonce=filler))
    wait_until(lambda: len(served.control_plane.told.hellos) > came)
    assert served.control_plane.told.hellos[-1][1].version.revision == good
    served.is_on(good)
    served.takes_the_next()


def test_half_an_update_is_void_when_its_stream_breaks(served: Served) -> None:
    good = served.takes_the_next()
    came = len(served.control_plane.told.hellos)
    revision = served.next_revision()
    half = update(revision, model("bad", "played"), base=good, last=False)
    served.control_plane.welcome = []
    served.control_plane.send(half)
    served.control_plane.end_stream()
    wait_until(lambda: len(served.control_plane.told.hellos) > came)
    assert served.control_plane.told.hellos[-1][1].version.revision == good
    rest = update(revision, model(f"m{revision}", "played"), base=good, nonce=half.nonce)
    served.control_plane.send(rest)
    served.control_plane.wait_for_ack(revision)
    served.is_on(revision, f"m{revision}")


def test_a_proxy_that_reconnects_says_what_it_refused_until_it_has_taken_another(served: Served) -> None:
    good, refused = served.takes_the_next(), served.next_revision()
    number = len(served.control_plane.told.nacks) + 1
    served.control_plane.welcome = []
    served.control_plane.send(update(refused, odd_kind(), base=good))
    nack = served.control_plane.wait_for_nack(number)
    assert nack.resource == "provider/default/odd"
    assert reconnected(served).refused == nack
    misplaced = update(good - 1, APP, *SLOW)  # nothing is wrong with what is in it
    served.control_plane.send(misplaced)
    assert served.control_plane.wait_for_nack(number + 1).nonce == misplaced.nonce
    assert reconnected(served).refused == nack
    served.takes_the_next()
    assert not reconnected(served).HasField("refused")


def reconnected(served: Served) -> config_pb2.ProxyHello:
    """The proxy's hello after its stream was ended."""
    came = len(served.control_plane.told.hellos)
    served.control_plane.end_stream()
    wait_until(lambda: len(served.control_plane.told.hellos) > came)
    return served.control_plane.told.hellos[-1][1]


def test_a_refused_version_is_sent_once_and_the_next_one_to_all(system: System) -> None:
    """A real control plane: one proxy refuses, another takes everything."""
    with OwnControlPlane(system, "refused") as control_plane:
        strict, easy = control_plane.watch("strict"), control_plane.watch("easy")
        try:
            first = control_plane.call("GetStatus").version.revision
            reach(strict, first)
            reach(easy, first)
            sent: list[int] = []
            for number in range(REFUSED_VERSIONS):
                revision = control_plane.apply(make("key", name=f"k{number}"), source=f"s{number}").revision
                bad = whole(strict)
                sent.append(bad.version.revision)
                said = time.monotonic()
                strict.nack(bad, f"key/default/k{number}", "not this one")
                wait_until(partial(says, control_plane, f"key/default/k{number}: not this one"))
                assert not FULL or time.monotonic() - said <= BOUND_SECONDS
                assert accept(easy).version.revision == revision
                assert bad.base.revision == first, "against what it acknowledged last"
            assert strict.is_quiet(QUIET_SECONDS)
            assert len(sent) == len(set(sent)) == REFUSED_VERSIONS
            good = control_plane.apply(make("key", name="good"), source="good").revision
            began = time.monotonic()
            taken = accept(strict)
            assert not FULL or time.monotonic() - began <= BOUND_SECONDS
            assert (taken.version.revision, taken.base.revision) == (good, first)
            assert len(taken.upserts) == REFUSED_VERSIONS + 1
            wait_until(lambda: control_plane.proxies()["strict"].staleness_seconds == 0)
            assert strict.is_quiet(QUIET_SECONDS)
        finally:
            strict.close()
            easy.close()


def test_what_does_not_add_up_is_not_sent_at_all_and_its_mend_is(system: System) -> None:
    """Somebody has deleted a row by hand that a model needs."""
    with OwnControlPlane(system, "held_back") as control_plane:
        before = control_plane.furnish()
        watch = control_plane.watch("any")
        try:
            reach(watch, before)
            with psycopg.connect(control_plane.database_url()) as connection:
                connection.execute(DELETED_BY_HAND.encode())
                connection.execute("SELECT pg_notify('headgate_config', '')")
            unpublished = "headgate_control_plane_unpublished"
            wait_until(lambda: metric(control_plane.ops, unpublished) == 1)
            said = control_plane.call("GetStatus").secrets
            assert said == "inconsistent: model/default/slow needs provider/default/played"
            assert watch.is_quiet(QUIET_SECONDS)
            provider_again = make("provider", name="played", type="sandbox")
            good = control_plane.apply(provider_again, source="mend").revision
            assert good > before + 1
            taken = accept(watch)
            assert (taken.version.revision, taken.base.revision) == (good, before)
            assert metric(control_plane.ops, unpublished) == 0
        finally:
            watch.close()


def says(control_plane: OwnControlPlane, nack: str) -> bool:
    return control_plane.proxies()["strict"].last_nack == nack


def whole(watch: Watch) -> config_pb2.ConfigUpdate:
    """The next update, which is of one message."""
    message = watch.next()
    assert message.last
    return message


def accept(watch: Watch) -> config_pb2.ConfigUpdate:
    message = whole(watch)
    watch.ack(message)
    return message


def reach(watch: Watch, revision: int) -> None:
    """What is published when a stream begins may be older than what was applied last."""
    while accept(watch).version.revision < revision:
        pass
