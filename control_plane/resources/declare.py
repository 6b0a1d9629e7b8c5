"""From messages of a request to Declared values: names resolved, secrets taken out, each spec checked.

After this, no message holds a secret: what is rendered, stored and compared has key names only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from google.protobuf.message import Message

from control_plane.resources.errors import BadSpecs, ResourceNotFound, SpecProblem
from control_plane.resources.model import Declared, Ref, make_ref
from control_plane.resources.validate import spec_problems
from control_plane.tokens.errors import NotAllowed
from control_plane.tokens.model import Principal
from headgate.rules.credentials import Secret
from headgate.rules.errors import Problem, path_text
from headgate.rules.names import KINDS
from headgate.rules.spec import planned_problems, render
from headgate.v1 import resources_pb2

MAX_RESOURCES = 50_000
MAX_SPEC_BYTES = 256 * 1024
# Further ones would only repeat themselves, and an answer's trailing metadata is bounded.
MAX_PROBLEMS = 100


def declare_all(resources: Sequence[resources_pb2.Resource], caller: Principal) -> list[Declared]:
    """Raises BadSpecs with all that is wrong; ResourceNotFound for a tenant that the caller cannot see."""
    if len(resources) > MAX_RESOURCES:
        raise BadSpecs([SpecProblem("", -1, "resources", f"more than {MAX_RESOURCES} in one request")])
    declared: list[Declared] = []
    problems: list[SpecProblem] = []
    seen: dict[Ref, int] = {}
    for index, resource in enumerate(resources):
        kind = resource.WhichOneof("spec")
        if kind is None:
            problems.append(SpecProblem("", index, "", f"is no resource: needs one of {', '.join(KINDS)}"))
            continue
        spec = getattr(resource, kind)
        ref = _ref_of(kind, spec, caller)
        found = list(_problems(kind, spec))
        if ref in seen:
            found.append(Problem(("name",), f"the same as resource {seen[ref]} of this request"))
        seen.setdefault(ref, index)
        if found:
            problems.extend(SpecProblem(str(ref), index, path_text(p.path), p.message) for p in found)
        else:
            declared.append(_declare(ref, index, spec))
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise BadSpecs(problems[:MAX_PROBLEMS])
    return declared


def _ref_of(kind: str, spec: Message, caller: Principal) -> Ref:
    name: str = spec.name  # type: ignore[attr-defined]
    if kind == "tenant":
        if caller.tenant is not None:
            if name != caller.tenant:
                raise ResourceNotFound("tenant", "", name)
            raise NotAllowed("editor of all tenants")
        return make_ref(kind, "", name)
    ref = make_ref(kind, spec.tenant or caller.tenant or "", name)  # type: ignore[attr-defined]
    if not caller.sees(ref.tenant):
        # The same answer whether or not that tenant exists.
        raise ResourceNotFound("tenant", "", ref.tenant)
    return ref


def _problems(kind: str, spec: Message) -> list[Problem]:
    if spec.ByteSize() > MAX_SPEC_BYTES:
        return [Problem((), f"larger than {MAX_SPEC_BYTES // 1024} KiB")]
    return list(planned_problems(spec)) or list(spec_problems(kind, spec))


def _declare(ref: Ref, index: int, original: Message) -> Declared:
    spec = type(original)()
    spec.CopyFrom(original)
    values: dict[str, Secret | None] = {}
    if ref.kind != "tenant":
        spec.tenant = ref.tenant  # type: ignore[attr-defined]
    if isinstance(spec, resources_pb2.Provider):
        values = _take_keys(ref, index, spec)
    if isinstance(spec, resources_pb2.Key):
        spec.sha256 = spec.sha256.lower()
    # Through JSON once, so that it compares with what comes back from the database.
    rendered = json.loads(json.dumps(render(spec)))
    return Declared(ref, index, spec, rendered, values)


def _take_keys(ref: Ref, index: int, spec: resources_pb2.Provider) -> dict[str, Secret | None]:
    """Names the keys (`default` if there is one, else `key-1` …) and takes their values out."""
    values: dict[str, Secret | None] = {}
    names: set[str] = set()
    for number, key in enumerate(spec.keys):
        key.name = key.name or ("default" if len(spec.keys) == 1 else f"key-{number + 1}")
        if key.name in names:
            path = f"keys[{number}].name"
            raise BadSpecs([SpecProblem(str(ref), index, path, f"{key.name!r} stands here twice")])
        if not key.file:
            values[key.name] = Secret(key.value) if key.value else None
        names.add(key.name)
        key.ClearField("value")
    return values
