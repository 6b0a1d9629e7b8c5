"""The contract: stubs are current, and the protos keep the style that buf's rules would check."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from tests.unit.repository.tree import REPOSITORY

PROTO = REPOSITORY / "proto"
SOURCES = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("headgate/v1/*.proto"))
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")
METHOD_OF_SERVICE, SERVICE_OF_FILE = 2, 6


def protoc(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", *arguments, *SOURCES],
        cwd=PROTO,
        check=True,
        timeout=60,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> list[descriptor_pb2.FileDescriptorProto]:
    """The parsed protos, comments included."""
    out = tmp_path_factory.mktemp("proto") / "set"
    protoc(f"--descriptor_set_out={out}", "--include_source_info")
    return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def generated(folder: Path) -> dict[str, str]:
    stubs = (path for pattern in GENERATED for path in (folder / "headgate" / "v1").glob(pattern))
    return {path.name: path.read_text("utf-8") for path in stubs}


def test_the_stubs_are_current(tmp_path: Path) -> None:
    """`make proto` writes them."""
    protoc(f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", f"--grpc_python_out={tmp_path}")
    fresh, committed = generated(tmp_path), generated(PROTO)
    assert len(fresh) == 3 * len(SOURCES)
    assert sorted(name for name in fresh.keys() | committed if fresh.get(name) != committed.get(name)) == []


def test_every_file_is_in_the_package_of_its_folder(
    contract: list[descriptor_pb2.FileDescriptorProto],
) -> None:
    assert {file.package for file in contract} == {"headgate.v1"}
    assert {file.syntax for file in contract} == {"proto3"}


def test_enums_start_unspecified_and_their_values_carry_their_name(
    contract: list[descriptor_pb2.FileDescriptorProto],
) -> None:
    wrong = []
    for enum in enums(contract):
        prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper()
        if (enum.value[0].name, enum.value[0].number) != (f"{prefix}_UNSPECIFIED", 0):
            wrong.append(enum.name)
        wrong += [value.name for value in enum.value if not value.name.startswith(f"{prefix}_")]
    assert wrong == []


def test_services_end_in_service_and_each_rpc_has_its_own_request_and_response(
    contract: list[descriptor_pb2.FileDescriptorProto],
) -> None:
    services = [service for file in contract for service in file.service]
    assert {s.name for s in services} == {
        "AdminService",
        "ConfigService",
        "ExperimentService",
        "HistoryService",
        "IdentityService",
        "QuarantineService",
        "RolloutService",
        "RoutingService",
        "SealingService",
        "UsageService",
    }
    assert all(service.name.endswith("Service") for service in services)
    methods = [method for service in services for method in service.method]
    for method in methods:
        assert method.input_type == f".headgate.v1.{method.name}Request"
        assert method.output_type == f".headgate.v1.{method.name}Response"
    assert max(Counter(method.input_type for method in methods).values()) == 1


def test_every_rpc_and_service_says_what_it_does(
    contract: list[descriptor_pb2.FileDescriptorProto],
) -> None:
    silent = []
    for file in contract:
        comments = {tuple(at.path): at.leading_comments.strip() for at in file.source_code_info.location}
        for s, service in enumerate(file.service):
            if not comments.get((SERVICE_OF_FILE, s)):
                silent.append(service.name)
            for m, method in enumerate(service.method):
                if not comments.get((SERVICE_OF_FILE, s, METHOD_OF_SERVICE, m)):
                    silent.append(f"{service.name}.{method.name}")
    assert silent == []


@pytest.mark.parametrize("name", ["admin", "experiments", "routing"])
def test_admin_rpcs_name_their_role(contract: list[descriptor_pb2.FileDescriptorProto], name: str) -> None:
    (admin,) = [file for file in contract if file.name.endswith(f"/{name}.proto")]
    comments = {tuple(at.path): at.leading_comments for at in admin.source_code_info.location}
    silent = [
        method.name
        for m, method in enumerate(admin.service[0].method)
        if not re.search(
            r"Role: (owner|editor|viewer)|No token needed",
            comments.get((SERVICE_OF_FILE, 0, METHOD_OF_SERVICE, m), ""),
        )
    ]
    assert silent == []


def test_lists_paginate(contract: list[descriptor_pb2.FileDescriptorProto]) -> None:
    messages = {message.name: message for file in contract for message in file.message_type}
    wanted = [name for name in messages if re.fullmatch(r"(List|Query)\w+Request", name)]
    assert wanted
    for name in wanted:
        answer = messages[name.replace("Request", "Response")]
        assert {"page_size", "page_token"} <= {field.name for field in messages[name].field}, name
        assert "next_page_token" in {field.name for field in answer.field}, name


def test_no_file_has_grown_to_two_ideas() -> None:
    long = {name: len((PROTO / name).read_text().splitlines()) for name in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > 500} == {}


def enums(contract: list[descriptor_pb2.FileDescriptorProto]) -> list[Any]:
    def below(message: Any) -> list[Any]:
        return [*message.enum_type, *(enum for child in message.nested_type for enum in below(child))]

    found = [enum for file in contract for enum in file.enum_type]
    return found + [enum for file in contract for message in file.message_type for enum in below(message)]
