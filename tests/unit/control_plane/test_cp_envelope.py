"""Envelope encryption (P7, A16)."""

from __future__ import annotations

import dataclasses

import pytest

from control_plane.secrets.envelope import Kek, Place, seal, unseal
from control_plane.secrets.errors import CannotOpen

KEK = Kek(bytes(range(32)))
PLACE = Place("acme", "provider_key", ("openai", "default", "spec"), 7)


def test_what_was_sealed_opens_at_its_place() -> None:
    assert unseal(KEK, seal(KEK, b"sk-secret", PLACE), PLACE) == b"sk-secret"


def test_the_same_secret_never_seals_to_the_same_bytes() -> None:
    assert seal(KEK, b"sk-secret", PLACE) != seal(KEK, b"sk-secret", PLACE)


def test_the_secret_is_not_in_the_sealed_bytes() -> None:
    assert b"sk-secret" not in seal(KEK, b"sk-secret", PLACE)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(PLACE, tenant="evil"),
        dataclasses.replace(PLACE, table="minted"),
        dataclasses.replace(PLACE, row=("openai", "default", "state")),
        dataclasses.replace(PLACE, row=("openai", "default/spec")),
        dataclasses.replace(PLACE, version=8),
    ],
)
def test_it_does_not_open_at_another_place(other: Place) -> None:
    with pytest.raises(CannotOpen):
        unseal(KEK, seal(KEK, b"sk-secret", PLACE), other)


def test_it_does_not_open_after_any_byte_was_changed() -> None:
    sealed = seal(KEK, b"sk-secret", PLACE)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(CannotOpen):
            unseal(KEK, bytes(changed), PLACE)


def test_it_does_not_open_cut_at_any_length() -> None:
    sealed = seal(KEK, b"sk-secret", PLACE)
    for length in range(len(sealed)):
        with pytest.raises(CannotOpen):
            unseal(KEK, sealed[:length], PLACE)


def test_it_does_not_open_with_another_key() -> None:
    with pytest.raises(CannotOpen):
        unseal(Kek(bytes(32)), seal(KEK, b"sk-secret", PLACE), PLACE)


def test_a_key_does_not_show_itself() -> None:
    assert KEK.key.hex() not in repr(KEK)
    assert repr(bytes(KEK.key)) not in repr(KEK)
