"""Config updates: applied all or nothing, never backwards, and what is refused changes nothing (P2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.v1 import config_pb2, policy_pb2
from proxy.config.compile import ConfigRefused, entry_name
from proxy.config.holder import MAX_MESSAGES, ConfigHolder
from proxy.config.model import Snapshot, Version
from tests.unit.proxy import entries

P = entries.provider("p", secrets={"main": "sk-1"})
M = entries.model("m", "p")
R = entries.route("r", {"fallback": ["m", {"weighted": [{"use": "m", "weight": 2}]}]})
K = entries.key("k", allow=["*"])
ALL = (P, M, R, K)


def served() -> ConfigHolder:
    holder = ConfigHolder()
    assert holder.receive(entries.update(5, *ALL))
    return holder


def state(holder: ConfigHolder) -> tuple[Snapshot | None, dict[tuple[str, str, str], bytes]]:
    return holder.snapshot, {name: entry.SerializeToString() for name, entry in holder.entries.items()}


def test_a_snapshot_is_compiled_and_served() -> None:
    holder = served()
    snapshot = holder.current()
    assert snapshot is not None
    assert snapshot.version == Version(1, 5)
    assert [t.label for t in snapshot.routes["default"]["r"].node.targets()] == ["p/m", "p/m"]
    (credential,) = snapshot.credentials.values()
    assert (credential.key.name, credential.key.allow) == ("k", ("*",))
    assert snapshot.providers["default"]["p"].keys[0].secret.text == "sk-1"


def test_listeners_hear_of_every_snapshot_once() -> None:
    holder = ConfigHolder()
    heard: list[Version] = []
    holder.listeners.append(lambda snapshot: heard.append(snapshot.version))
    holder.receive(entries.update(5, *ALL))
    holder.receive(entries.update(6, entries.key("k2"), base=5))
    assert heard == [Version(1, 5), Version(1, 6)]


def mangled(
    change: Callable[[config_pb2.ConfigEntry], object], entry: config_pb2.ConfigEntry
) -> config_pb2.ConfigEntry:
    copy = config_pb2.ConfigEntry()
    copy.CopyFrom(entry)
    change(copy)
    return copy


REFUSALS = {
    "an unknown provider kind": (
        mangled(lambda e: setattr(e.provider.spec, "kind", "martian"), P),
        "provider/default/p",
        "martian",
    ),
    "a secret that cannot stand in a header": (
        entries.provider("p", secrets={"main": "sk-1\r\nx-evil: 1"}),
        "provider/default/p",
        "header",
    ),
    "a secret that is not text": (
        mangled(lambda e: setattr(e.provider.secrets[0], "value", b"\xff\xfe"), P),
        "provider/default/p",
        "cannot stand in a header",
    ),
    "a discount that is no number": (
        mangled(lambda e: setattr(e.model.spec, "discount", "half"), M),
        "model/default/m",
        "",
    ),
    "a route to nowhere": (entries.route("r", "gone"), "route/default/r", "gone"),
    "a route over a planned node": (
        mangled(lambda e: e.route.policy.CopyFrom(policy_pb2.Policy(experiment="e")), R),
        "route/default/r",
        "experiment",
    ),
    "a route without a policy": (
        mangled(lambda e: e.route.ClearField("policy"), R),
        "route/default/r",
        "nothing",
    ),
    "a credential without its hash": (
        mangled(lambda e: setattr(e.key.credentials[0], "sha256", b"short"), K),
        "key/default/k",
        "SHA-256",
    ),
    "two keys with one secret": (
        entries.key("twin", secret="secret of k"),
        "key/default/twin",
        "another key",
    ),
    "an entry of no known kind": (config_pb2.ConfigEntry(), "", "does not know"),
}


@pytest.mark.parametrize("delta", [False, True], ids=["snapshot", "delta"])
@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_refused_leaves_what_is_served(case: str, delta: bool) -> None:
    bad, resource, reason = REFUSALS[case]
    holder = served()
    before = state(holder)
    good = entries.key("new")
    name = bad.WhichOneof("entry")
    others = [entry for entry in ALL if name is None or entry_name(entry) != entry_name(bad)]
    sent = entries.update(6, good, bad, base=5) if delta else entries.update(6, *others, good, bad)
    with pytest.raises(ConfigRefused) as refused:
        holder.receive(sent)
    assert refused.value.resource == resource
    assert reason in refused.value.reason
    assert state(holder) == before
    # And the next good one applies.
    assert holder.receive(entries.update(7, good, base=5))
    assert holder.version == Version(1, 7)


def test_a_refused_update_leaves_no_trace_in_the_compiler() -> None:
    holder = served()
    before = holder.snapshot
    assert before is not None
    key = before.providers["default"]["p"].keys[0]
    other = entries.provider("p", secrets={"main": "sk-2"})
    with pytest.raises(ConfigRefused):
        holder.receive(entries.update(6, other, entries.route("r", "gone"), base=5))
    holder.receive(entries.update(7, entries.key("new"), base=5))
    after = holder.snapshot
    assert after is not None
    assert after.providers["default"]["p"].keys[0] is key


@pytest.mark.parametrize(("epoch", "revision"), [(1, 4), (0, 9)])
def test_a_version_never_goes_backwards(epoch: int, revision: int) -> None:
    holder = served()
    before = state(holder)
    with pytest.raises(ConfigRefused, match="older"):
        holder.receive(entries.update(revision, epoch=epoch))
    assert state(holder) == before


def test_a_restored_database_begins_a_new_epoch() -> None:
    holder = served()
    assert holder.receive(entries.update(1, P, epoch=2))
    assert holder.version == Version(2, 1)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=12))
def test_the_version_served_only_grows(versions: list[tuple[int, int]]) -> None:
    holder = ConfigHolder()
    highest = (-1, -1)
    for epoch, revision in versions:
        if (epoch, revision) >= highest:
            assert holder.receive(entries.update(revision, epoch=epoch))
            highest = (epoch, revision)
        else:
            with pytest.raises(ConfigRefused):
                holder.receive(entries.update(revision, epoch=epoch))
        assert holder.version == Version(*highest)


def test_a_delta_changes_what_it_names_and_nothing_else() -> None:
    holder = served()
    holder.receive(entries.update(6, entries.key("k2"), base=5, removals=[("route", "default", "r")]))
    assert set(holder.entries) == {
        ("provider", "default", "p"),
        ("model", "default", "m"),
        ("key", "default", "k"),
        ("key", "default", "k2"),
    }
    assert holder.snapshot is not None
    assert "r" not in holder.snapshot.routes.get("default", {})


@pytest.mark.parametrize("base", [4, 6])
def test_a_delta_against_another_version_is_refused(base: int) -> None:
    holder = served()
    before = state(holder)
    with pytest.raises(ConfigRefused, match="delta"):
        holder.receive(entries.update(7, base=base))
    assert state(holder) == before


def test_a_delta_without_anything_served_is_refused() -> None:
    with pytest.raises(ConfigRefused, match="delta"):
        ConfigHolder().receive(entries.update(7, base=6))


def test_a_removal_that_leaves_a_route_dangling_is_refused() -> None:
    holder = served()
    with pytest.raises(ConfigRefused, match="route/default/r"):
        holder.receive(entries.update(6, base=5, removals=[("model", "default", "m")]))
    assert holder.version == Version(1, 5)


def test_a_whole_snapshot_forgets_what_it_does_not_name() -> None:
    holder = served()
    holder.receive(entries.update(6, P))
    assert set(holder.entries) == {("provider", "default", "p")}


# Updates in several messages.


def chunks(revision: int, nonce: str = "") -> list[config_pb2.ConfigUpdate]:
    last = len(ALL) - 1
    return [entries.update(revision, e, last=i == last, nonce=nonce) for i, e in enumerate(ALL)]


def test_an_update_applies_when_its_last_message_is_there() -> None:
    holder = ConfigHolder()
    messages = chunks(5)
    assert [holder.receive(message) for message in messages[:-1]] == [False] * (len(messages) - 1)
    assert holder.snapshot is None
    assert holder.receive(messages[-1])
    assert set(holder.entries) == {entry_name(entry) for entry in ALL}


def test_the_messages_of_two_updates_do_not_mix() -> None:
    holder = ConfigHolder()
    first, second = chunks(5, "a"), chunks(6, "b")
    holder.receive(first[0])
    holder.receive(second[-2])
    with pytest.raises(ConfigRefused):  # without its own beginning it is a route to nowhere
        holder.receive(second[-1])
    assert holder.snapshot is None
    assert [holder.receive(message) for message in second][-1]
    assert holder.version == Version(1, 6)


def test_half_an_update_is_void_when_the_stream_breaks() -> None:
    holder = ConfigHolder()
    messages = chunks(5, "same")
    holder.receive(messages[0])
    holder.forget_partial()
    for message in messages[1:]:
        holder.receive(message)
    assert entry_name(ALL[0]) not in holder.entries


def test_an_entry_that_stands_twice_in_one_update_is_refused() -> None:
    holder = ConfigHolder()
    holder.receive(entries.update(5, P, last=False))
    with pytest.raises(ConfigRefused, match="twice"):
        holder.receive(entries.update(5, P))


def test_an_endless_update_is_cut_off() -> None:
    holder = ConfigHolder()
    messages = [entries.update(5, last=False)] * MAX_MESSAGES
    assert not any(holder.receive(message) for message in messages)
    with pytest.raises(ConfigRefused, match=str(MAX_MESSAGES)):
        holder.receive(messages[0])


# What lives longer than a snapshot.


def test_a_resting_provider_key_rests_on_unless_its_secret_changed() -> None:
    holder = served()
    assert holder.snapshot is not None
    holder.snapshot.providers["default"]["p"].keys[0].cooling_until = 7.0
    holder.receive(entries.update(6, entries.key("k2"), base=5))
    assert holder.snapshot.providers["default"]["p"].keys[0].cooling_until == 7.0
    holder.receive(entries.update(7, entries.provider("p", secrets={"main": "sk-2"}), base=6))
    assert holder.snapshot.providers["default"]["p"].keys[0].cooling_until == 0.0


def test_what_a_key_resolved_is_not_carried_into_the_next_snapshot() -> None:
    holder = served()
    assert holder.snapshot is not None
    (before,) = holder.snapshot.credentials.values()
    before.key.resolved["r"] = holder.snapshot.routes["default"]["r"]
    holder.receive(entries.update(6, entries.model("m", "p", upstream_model="other"), base=5))
    (after,) = holder.snapshot.credentials.values()
    assert after.key.name == "k"
    assert after.key.resolved == {}


def test_a_model_whose_provider_is_not_sent_here_is_no_target() -> None:
    holder = ConfigHolder()
    holder.receive(
        entries.update(
            5, P, M, entries.model("far", "elsewhere"), entries.route("r", {"fallback": ["far", "m"]})
        )
    )
    assert holder.snapshot is not None
    assert [t.label for t in holder.snapshot.routes["default"]["r"].node.targets()] == ["p/m"]
    assert "far" not in holder.snapshot.models["default"]


def test_a_disabled_tenant_is_known_as_such() -> None:
    holder = ConfigHolder()
    holder.receive(entries.update(5, entries.tenant("acme", disabled=True), entries.tenant("other")))
    assert holder.snapshot is not None
    assert holder.snapshot.disabled_tenants == {"acme"}


def test_what_is_served_can_be_handed_on_whole() -> None:
    holder = served()
    other = ConfigHolder()
    for message in holder.whole():
        other.receive(config_pb2.ConfigUpdate.FromString(message.SerializeToString()))
    assert other.version == holder.version
    assert state(other)[1] == state(holder)[1]
    assert ConfigHolder().whole() == []
