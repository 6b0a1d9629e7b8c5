"""Between what people write (a manifest's values) and what programs exchange (proto messages).

Driven by the descriptors and the options in options.proto, so that a new field needs no code here.
The forms: a scalar for a message stands for its `shorthand` field; a list stands for a message whose
only field is the list `of`; times and sizes take units; amounts stay text. `render` is the inverse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from headgate.rules.errors import Path, Problem, path_text, spec_error
from headgate.rules.names import did_you_mean
from headgate.rules.units import format_duration_ns, parse_decimal, parse_duration_ns, parse_size_bytes
from headgate.v1 import options_pb2

M = TypeVar("M", bound=Message)

# The published stubs have two unrelated families of descriptors (pure Python and upb) and cannot
# index options by our extensions; what is used here, both families have.
AnyDescriptor: TypeAlias = Any
AnyField: TypeAlias = Any

# A manifest nests by policies; nothing sensible is deeper.
MAX_DEPTH = 64
# Times beyond this are typing errors, and would not fit a Duration.
MAX_DURATION_NS = 10 * 365 * 86400 * 10**9

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def parse(kind: type[M], value: object, path: Path = ()) -> M:
    """`value` (maps, lists, scalars; numbers may be Decimal) as a message of type `kind`.

    Raises SpecError at the first thing that does not fit, naming the path and the nearest known field.
    """
    message = kind()
    _parse_into(message, value, path, 0)
    return message


def _parse_into(message: Message, value: object, path: Path, depth: int) -> None:
    descriptor = message.DESCRIPTOR
    if depth > MAX_DEPTH:
        raise spec_error(path, f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(message, Duration):
        message.FromNanoseconds(_duration(value, path))
        return
    if descriptor.full_name == "google.protobuf.Struct":
        try:
            ParseDict(_plain(value), message)
        except ParseError:
            raise spec_error(path, f"expected a map, found {_what(value)}") from None
        return
    listed = _list_field(descriptor)
    if listed is not None and isinstance(value, list):
        _parse_list(message, listed, value, path, depth)
        return
    if not isinstance(value, Mapping):
        short = _shorthand(descriptor)
        if short is not None and not isinstance(value, list) and value is not None:
            setattr(message, short.name, _scalar(short, value, path))
            return
        expected = "a list" if listed is not None else "a map"
        raise spec_error(path, f"expected {expected}, found {_what(value)}")
    _parse_map(message, value, path, depth)


def _parse_map(message: Message, value: Mapping[Any, object], path: Path, depth: int) -> None:
    descriptor = message.DESCRIPTOR
    for key, item in value.items():
        field = descriptor.fields_by_name.get(str(key))
        if field is None:
            known = [f.name for f in descriptor.fields]
            raise spec_error((*path, str(key)), f"unknown field {str(key)!r}{did_you_mean(str(key), known)}")
        here = (*path, field.name)
        if item is None:
            raise spec_error(here, "has no value; leave the field out, or give it one")
        if _is_map(field):
            _parse_entries(message, field, item, here)
        elif field.is_repeated:
            if not isinstance(item, list):
                raise spec_error(here, f"expected a list, found {_what(item)}")
            _parse_list(message, field, item, here, depth)
        elif field.message_type is not None:
            child = getattr(message, field.name)
            child.SetInParent()
            _parse_into(child, item, here, depth + 1)
        else:
            setattr(message, field.name, _scalar(field, item, here))
    for oneof in descriptor.oneofs:
        names = [f.name for f in oneof.fields]
        if len(oneof.fields) == 1:
            continue  # a proto3 optional field
        given = [name for name in names if name in value]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise spec_error(path, f"needs exactly one of {', '.join(names)}; found {found}")


def _parse_list(message: Message, field: AnyField, items: list[Any], path: Path, depth: int) -> None:
    target = getattr(message, field.name)
    for index, item in enumerate(items):
        here = (*path, index)
        if field.message_type is not None:
            _parse_into(target.add(), item, here, depth + 1)
        else:
            target.append(_scalar(field, item, here))


def _parse_entries(message: Message, field: AnyField, items: object, path: Path) -> None:
    if not isinstance(items, Mapping):
        raise spec_error(path, f"expected a map, found {_what(items)}")
    value_field = field.message_type.fields_by_name["value"]
    target = getattr(message, field.name)
    for key, item in items.items():
        target[str(key)] = _scalar(value_field, item, (*path, str(key)))


def _scalar(field: AnyField, value: object, path: Path) -> Any:
    form = field.GetOptions().Extensions[options_pb2.format]
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if not isinstance(value, bool):
            raise spec_error(path, f"expected true or false, found {_what(value)}")
        return value
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _text(form, value, path)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        raise spec_error(path, f"expected a number, found {_what(value)}")
    if form == options_pb2.FORMAT_SIZE:
        return _checked(parse_size_bytes, str(value), path)
    if isinstance(value, str):
        raise spec_error(path, f"expected a number, found {_what(value)}")
    if not Decimal(value).is_finite():  # YAML's .inf and .nan
        raise spec_error(path, f"expected a number, found {value}")
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return float(value)
    low, high = _INTEGERS[field.cpp_type]
    if value != int(value) or not low <= value <= high:
        raise spec_error(path, f"expected a whole number from {low} to {high}, found {value}")
    return int(value)


def _text(form: int, value: object, path: Path) -> str:
    if form == options_pb2.FORMAT_DECIMAL:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
            raise spec_error(path, f"expected an amount, found {_what(value)}")
        _checked(parse_decimal, str(value), path)
        return format(Decimal(str(value)), "f")
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal, float)):
        raise spec_error(path, f"expected text, found {_what(value)}")
    return str(value)


def _duration(value: object, path: Path) -> int:
    if isinstance(value, (int, Decimal, float)) and not isinstance(value, bool) and value != 0:
        raise spec_error(path, f"{value} has no unit: write {value}s, {value}ms, {value}m …")
    nanoseconds: int = _checked(parse_duration_ns, "0s" if value == 0 else str(value), path)
    if nanoseconds > MAX_DURATION_NS:
        raise spec_error(path, f"{value} is more than ten years")
    return nanoseconds


def _checked(parse_text: Any, text: str, path: Path) -> Any:
    try:
        return parse_text(text)
    except ValueError as error:
        raise spec_error(path, str(error)) from None


def _plain(value: object) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def _what(value: object) -> str:
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "nothing" if value is None else repr(str(value)[:60])


def _is_map(field: AnyField) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _list_field(descriptor: AnyDescriptor) -> AnyField | None:
    fields = descriptor.fields
    return fields[0] if len(fields) == 1 and fields[0].name == "of" else None


def _shorthand(descriptor: AnyDescriptor) -> AnyField | None:
    for field in descriptor.fields:
        if field.GetOptions().Extensions[options_pb2.shorthand]:
            return field
    return None


def render(message: Message) -> Any:
    """A message as the values a manifest would have: the inverse of `parse`."""
    descriptor = message.DESCRIPTOR
    if isinstance(message, Duration):
        return format_duration_ns(message.ToNanoseconds())
    if descriptor.full_name == "google.protobuf.Struct":
        return MessageToDict(message)
    present = message.ListFields()
    if _list_field(descriptor) is not None:
        return [_rendered(descriptor.fields[0], item) for item in message.of]  # type: ignore[attr-defined]
    short = _shorthand(descriptor)
    if short is not None and [field.name for field, _ in present] == [short.name]:
        return getattr(message, short.name)
    document: dict[str, Any] = {}
    for field, value in present:
        if _is_map(field):
            document[field.name] = {key: value[key] for key in sorted(value)}
        elif field.is_repeated:
            document[field.name] = [_rendered(field, item) for item in value]
        else:
            document[field.name] = _rendered(field, value)
    return document


def _rendered(field: AnyField, value: Any) -> Any:
    if field.message_type is not None:
        return render(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def planned_problems(message: Message, path: Path = ()) -> Iterator[Problem]:
    """Every use of something that is part of the contract but not built yet."""
    descriptor: AnyDescriptor = message.DESCRIPTOR
    if descriptor.GetOptions().Extensions[options_pb2.planned_kind]:
        yield Problem(path, f"{descriptor.name.lower()}s are not supported yet")
        return
    in_list = _list_field(descriptor) is not None
    present: list[tuple[AnyField, Any]] = list(message.ListFields())
    for field, value in present:
        here = path if in_list else (*path, field.name)
        if field.GetOptions().Extensions[options_pb2.planned]:
            yield Problem(here, f"{field.name!r} is not supported yet")
        elif field.message_type is not None and not _is_map(field):
            if field.is_repeated:
                for index, item in enumerate(value):
                    yield from planned_problems(item, (*here, index))
            else:
                yield from planned_problems(value, here)


def differences(old: Any, new: Any, path: Path = ()) -> Iterator[str]:
    """Rendered specs compared: `policy.fallback[0]: a → b`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            yield from differences(old.get(key), new.get(key), (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, (*path, index))
    elif old != new:
        yield f"{path_text(path)}: {_shown(old)} → {_shown(new)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)[:200]
