"""The one table: which role each RPC needs. What is not in it cannot be called (P10).

A test walks the descriptors, so that no RPC is without an entry.
"""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.tokens.model import EDITOR, OWNER, PROXY, VIEWER

# No token: health, and the first token against an empty database from loopback.
ANYONE, BOOTSTRAP = "anyone", "bootstrap"
# The request itself is the credential: a join token in it, or the signature of a known key.
CARRIED = "carried"

_ADMIN = "/headgate.v1.AdminService/"
_ROUTING = "/headgate.v1.RoutingService/"
_HISTORY = "/headgate.v1.HistoryService/"
_IDENTITY = "/headgate.v1.IdentityService/"
_SEALING = "/headgate.v1.SealingService/"
_QUARANTINE = "/headgate.v1.QuarantineService/"
_ROLLOUT = "/headgate.v1.RolloutService/"
_EXPERIMENT = "/headgate.v1.ExperimentService/"

ACCESS: Mapping[str, str] = {
    f"{_ADMIN}ApplyResources": EDITOR,
    f"{_ADMIN}GetResource": VIEWER,
    f"{_ADMIN}ListResources": VIEWER,
    f"{_ADMIN}DeleteResource": EDITOR,
    f"{_ADMIN}SetDisabled": EDITOR,
    f"{_ADMIN}CreateKey": EDITOR,
    f"{_ADMIN}RotateKey": EDITOR,
    f"{_ADMIN}RevokeKey": EDITOR,
    f"{_ADMIN}SetProviderKey": EDITOR,
    f"{_ADMIN}RemoveProviderKey": EDITOR,
    f"{_ADMIN}BootstrapToken": BOOTSTRAP,
    f"{_ADMIN}CreateToken": OWNER,
    f"{_ADMIN}RevokeToken": OWNER,
    f"{_ADMIN}ListTokens": OWNER,
    f"{_ADMIN}ListProxies": VIEWER,
    f"{_ADMIN}AwaitRevision": VIEWER,
    f"{_ADMIN}ListRevisions": VIEWER,
    f"{_ADMIN}QueryUsage": VIEWER,
    f"{_ADMIN}ListCalls": VIEWER,
    f"{_ADMIN}GetCall": VIEWER,
    f"{_ADMIN}TailCalls": VIEWER,
    f"{_ADMIN}GetStatus": VIEWER,
    f"{_ROUTING}ExplainRoute": VIEWER,
    f"{_ROUTING}ListStandings": VIEWER,
    f"{_ROUTING}Replay": VIEWER,
    f"{_HISTORY}Rollback": EDITOR,
    f"{_HISTORY}ListChanges": VIEWER,
    f"{_IDENTITY}CreateJoinToken": OWNER,
    f"{_IDENTITY}ListJoinTokens": OWNER,
    f"{_IDENTITY}RevokeJoinToken": OWNER,
    f"{_IDENTITY}Join": CARRIED,
    f"{_IDENTITY}Renew": CARRIED,
    f"{_SEALING}GetSealing": OWNER,
    f"{_SEALING}RotateKek": OWNER,
    f"{_QUARANTINE}ListQuarantined": VIEWER,
    f"{_QUARANTINE}RetryQuarantined": OWNER,
    f"{_QUARANTINE}DismissQuarantined": OWNER,
    f"{_ROLLOUT}StartRollout": EDITOR,
    f"{_ROLLOUT}ListRollouts": VIEWER,
    f"{_ROLLOUT}PromoteRollout": EDITOR,
    f"{_ROLLOUT}HaltRollout": EDITOR,
    f"{_EXPERIMENT}ShowExperiment": VIEWER,
    f"{_EXPERIMENT}ExportExperiment": VIEWER,
    f"{_EXPERIMENT}PromoteExperiment": EDITOR,
    f"{_EXPERIMENT}StopExperiment": EDITOR,
    f"{_EXPERIMENT}StartExperiment": EDITOR,
    f"{_EXPERIMENT}ListTaskFit": VIEWER,
    "/headgate.v1.ConfigService/Watch": PROXY,
    "/headgate.v1.UsageService/Report": PROXY,
    "/grpc.health.v1.Health/Check": ANYONE,
    "/grpc.health.v1.Health/Watch": ANYONE,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": ANYONE,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": ANYONE,
}

# Not for tokens of one tenant: these show what belongs to nobody in particular.
GLOBAL_ONLY = frozenset(
    {
        f"{_ADMIN}ListProxies",
        f"{_IDENTITY}CreateJoinToken",
        f"{_IDENTITY}ListJoinTokens",
        f"{_IDENTITY}RevokeJoinToken",
        f"{_SEALING}GetSealing",
        f"{_ROLLOUT}StartRollout",
        f"{_ROLLOUT}ListRollouts",
        f"{_ROLLOUT}PromoteRollout",
        f"{_ROLLOUT}HaltRollout",
        f"{_QUARANTINE}ListQuarantined",
        f"{_QUARANTINE}RetryQuarantined",
        f"{_QUARANTINE}DismissQuarantined",
        f"{_SEALING}RotateKek",
    }
)
