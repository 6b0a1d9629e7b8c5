"""The access table against the descriptors (P10)."""

from __future__ import annotations

from control_plane.rpc.access import ACCESS, ANYONE, BOOTSTRAP, CARRIED, GLOBAL_ONLY
from control_plane.rpc.server import SERVICES, method_path
from control_plane.tokens.model import INCLUDES, ROLES
from headgate.v1 import (
    admin_pb2,
    config_pb2,
    experiments_pb2,
    history_pb2,
    identity_pb2,
    policy_pb2,
    quarantine_pb2,
    resources_pb2,
    rollout_pb2,
    routing_pb2,
    sealing_pb2,
    usage_pb2,
)

FILES = (
    admin_pb2,
    config_pb2,
    experiments_pb2,
    history_pb2,
    identity_pb2,
    quarantine_pb2,
    rollout_pb2,
    sealing_pb2,
    policy_pb2,
    resources_pb2,
    routing_pb2,
    usage_pb2,
)


def all_methods() -> set[str]:
    return {
        method_path(method)
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def test_every_rpc_of_the_contract_has_an_entry() -> None:
    assert all_methods() - ACCESS.keys() == set()


def test_no_entry_is_for_an_rpc_that_is_gone() -> None:
    ours = {path for path in ACCESS if path.startswith("/headgate.")}
    assert ours - all_methods() == set()


def test_every_service_of_the_contract_is_registered() -> None:
    assert {method_path(method) for service in SERVICES for method in service.methods} == all_methods()


def test_entries_name_known_roles_only() -> None:
    assert set(ACCESS.values()) <= {*ROLES, ANYONE, BOOTSTRAP, CARRIED}
    assert ACCESS.keys() >= GLOBAL_ONLY


def test_nothing_of_ours_is_open_to_anyone_but_the_bootstrap() -> None:
    open_to_all = {path for path, role in ACCESS.items() if role == ANYONE}
    assert all(path.startswith(("/grpc.health.", "/grpc.reflection.")) for path in open_to_all)
    assert [path for path, role in ACCESS.items() if role == BOOTSTRAP] == [
        "/headgate.v1.AdminService/BootstrapToken"
    ]
    assert [path for path, role in ACCESS.items() if role == CARRIED] == [
        "/headgate.v1.IdentityService/Join",
        "/headgate.v1.IdentityService/Renew",
    ]


def test_a_proxys_role_includes_no_other_and_no_other_includes_it() -> None:
    assert INCLUDES["proxy"] == {"proxy"}
    assert all("proxy" not in included for role, included in INCLUDES.items() if role != "proxy")
