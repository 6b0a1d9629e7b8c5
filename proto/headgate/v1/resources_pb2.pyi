import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headgate.v1 import options_pb2 as _options_pb2
from headgate.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Resource(_message.Message):
    __slots__ = ("tenant", "provider", "model", "route", "key", "limit", "experiment", "guard", "prompt", "transform")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    GUARD_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    provider: Provider
    model: Model
    route: Route
    key: Key
    limit: Limit
    experiment: Experiment
    guard: Guard
    prompt: Prompt
    transform: Transform
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ..., provider: _Optional[_Union[Provider, _Mapping]] = ..., model: _Optional[_Union[Model, _Mapping]] = ..., route: _Optional[_Union[Route, _Mapping]] = ..., key: _Optional[_Union[Key, _Mapping]] = ..., limit: _Optional[_Union[Limit, _Mapping]] = ..., experiment: _Optional[_Union[Experiment, _Mapping]] = ..., guard: _Optional[_Union[Guard, _Mapping]] = ..., prompt: _Optional[_Union[Prompt, _Mapping]] = ..., transform: _Optional[_Union[Transform, _Mapping]] = ...) -> None: ...

class ResourceState(_message.Message):
    __slots__ = ("disabled", "disabled_reason", "provider_keys", "credentials", "experiment")
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    DISABLED_REASON_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_KEYS_FIELD_NUMBER: _ClassVar[int]
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    disabled: bool
    disabled_reason: str
    provider_keys: _containers.RepeatedCompositeFieldContainer[ProviderKeyState]
    credentials: _containers.RepeatedCompositeFieldContainer[CredentialState]
    experiment: ExperimentState
    def __init__(self, disabled: _Optional[bool] = ..., disabled_reason: _Optional[str] = ..., provider_keys: _Optional[_Iterable[_Union[ProviderKeyState, _Mapping]]] = ..., credentials: _Optional[_Iterable[_Union[CredentialState, _Mapping]]] = ..., experiment: _Optional[_Union[ExperimentState, _Mapping]] = ...) -> None: ...

class ExperimentState(_message.Message):
    __slots__ = ("winner", "evidence", "decided_at", "would_win", "stopped")
    WINNER_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    WOULD_WIN_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    winner: str
    evidence: str
    decided_at: _timestamp_pb2.Timestamp
    would_win: str
    stopped: _containers.RepeatedCompositeFieldContainer[StoppedVariant]
    def __init__(self, winner: _Optional[str] = ..., evidence: _Optional[str] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., would_win: _Optional[str] = ..., stopped: _Optional[_Iterable[_Union[StoppedVariant, _Mapping]]] = ...) -> None: ...

class StoppedVariant(_message.Message):
    __slots__ = ("variant", "evidence", "stopped_at")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    STOPPED_AT_FIELD_NUMBER: _ClassVar[int]
    variant: str
    evidence: str
    stopped_at: _timestamp_pb2.Timestamp
    def __init__(self, variant: _Optional[str] = ..., evidence: _Optional[str] = ..., stopped_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ProviderKeyState(_message.Message):
    __slots__ = ("name", "origin", "updated_at")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    name: str
    origin: str
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., origin: _Optional[str] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CredentialState(_message.Message):
    __slots__ = ("public_id", "created_at", "expires_at", "revoked_at")
    PUBLIC_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    public_id: str
    created_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    revoked_at: _timestamp_pb2.Timestamp
    def __init__(self, public_id: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revoked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ResourceView(_message.Message):
    __slots__ = ("resource", "state", "source", "revision", "updated_at")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    resource: Resource
    state: ResourceState
    source: str
    revision: int
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, resource: _Optional[_Union[Resource, _Mapping]] = ..., state: _Optional[_Union[ResourceState, _Mapping]] = ..., source: _Optional[str] = ..., revision: _Optional[int] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Tenant(_message.Message):
    __slots__ = ("name", "residency", "labels", "guards", "max_config_staleness")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RESIDENCY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    GUARDS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONFIG_STALENESS_FIELD_NUMBER: _ClassVar[int]
    name: str
    residency: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.RepeatedScalarFieldContainer[str]
    guards: _containers.RepeatedScalarFieldContainer[str]
    max_config_staleness: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., residency: _Optional[_Iterable[str]] = ..., labels: _Optional[_Iterable[str]] = ..., guards: _Optional[_Iterable[str]] = ..., max_config_staleness: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Provider(_message.Message):
    __slots__ = ("name", "tenant", "kind", "keys", "base_url", "region", "serve_regions", "private_network", "headers", "egress_proxy", "tls", "sandbox", "circuit_failures")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    SERVE_REGIONS_FIELD_NUMBER: _ClassVar[int]
    PRIVATE_NETWORK_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    EGRESS_PROXY_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    CIRCUIT_FAILURES_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    kind: str
    keys: _containers.RepeatedCompositeFieldContainer[ProviderKey]
    base_url: str
    region: str
    serve_regions: _containers.RepeatedScalarFieldContainer[str]
    private_network: bool
    headers: _containers.ScalarMap[str, str]
    egress_proxy: str
    tls: ProviderTls
    sandbox: Sandbox
    circuit_failures: int
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., kind: _Optional[str] = ..., keys: _Optional[_Iterable[_Union[ProviderKey, _Mapping]]] = ..., base_url: _Optional[str] = ..., region: _Optional[str] = ..., serve_regions: _Optional[_Iterable[str]] = ..., private_network: _Optional[bool] = ..., headers: _Optional[_Mapping[str, str]] = ..., egress_proxy: _Optional[str] = ..., tls: _Optional[_Union[ProviderTls, _Mapping]] = ..., sandbox: _Optional[_Union[Sandbox, _Mapping]] = ..., circuit_failures: _Optional[int] = ...) -> None: ...

class ProviderKey(_message.Message):
    __slots__ = ("name", "value", "file")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    file: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., file: _Optional[str] = ...) -> None: ...

class ProviderTls(_message.Message):
    __slots__ = ("ca_file",)
    CA_FILE_FIELD_NUMBER: _ClassVar[int]
    ca_file: str
    def __init__(self, ca_file: _Optional[str] = ...) -> None: ...

class Sandbox(_message.Message):
    __slots__ = ("latency", "tokens_per_second", "error_rate", "error_status", "output_tokens")
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_STATUS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    latency: _duration_pb2.Duration
    tokens_per_second: float
    error_rate: float
    error_status: int
    output_tokens: int
    def __init__(self, latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tokens_per_second: _Optional[float] = ..., error_rate: _Optional[float] = ..., error_status: _Optional[int] = ..., output_tokens: _Optional[int] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "tenant", "provider", "upstream_model", "price", "discount", "context_window", "max_output_tokens", "capabilities", "quality", "dialects")
    class QualityEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_MODEL_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    DISCOUNT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_WINDOW_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    DIALECTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    provider: str
    upstream_model: str
    price: ModelPrice
    discount: str
    context_window: int
    max_output_tokens: int
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    quality: _containers.ScalarMap[str, float]
    dialects: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., provider: _Optional[str] = ..., upstream_model: _Optional[str] = ..., price: _Optional[_Union[ModelPrice, _Mapping]] = ..., discount: _Optional[str] = ..., context_window: _Optional[int] = ..., max_output_tokens: _Optional[int] = ..., capabilities: _Optional[_Iterable[str]] = ..., quality: _Optional[_Mapping[str, float]] = ..., dialects: _Optional[_Iterable[str]] = ...) -> None: ...

class ModelPrice(_message.Message):
    __slots__ = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "audio_input", "audio_output", "request")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_5M_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_1H_FIELD_NUMBER: _ClassVar[int]
    AUDIO_INPUT_FIELD_NUMBER: _ClassVar[int]
    AUDIO_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    input: str
    output: str
    cache_read: str
    cache_write_5m: str
    cache_write_1h: str
    audio_input: str
    audio_output: str
    request: str
    def __init__(self, input: _Optional[str] = ..., output: _Optional[str] = ..., cache_read: _Optional[str] = ..., cache_write_5m: _Optional[str] = ..., cache_write_1h: _Optional[str] = ..., audio_input: _Optional[str] = ..., audio_output: _Optional[str] = ..., request: _Optional[str] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("name", "tenant", "policy", "task", "client_strategies", "retry", "timeouts", "hold", "resume", "cache", "guards", "transforms", "prompt")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    CLIENT_STRATEGIES_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    GUARDS_FIELD_NUMBER: _ClassVar[int]
    TRANSFORMS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    policy: _policy_pb2.Policy
    task: str
    client_strategies: _containers.RepeatedScalarFieldContainer[str]
    retry: Retry
    timeouts: Timeouts
    hold: str
    resume: str
    cache: Cache
    guards: _containers.RepeatedScalarFieldContainer[str]
    transforms: _containers.RepeatedScalarFieldContainer[str]
    prompt: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., policy: _Optional[_Union[_policy_pb2.Policy, _Mapping]] = ..., task: _Optional[str] = ..., client_strategies: _Optional[_Iterable[str]] = ..., retry: _Optional[_Union[Retry, _Mapping]] = ..., timeouts: _Optional[_Union[Timeouts, _Mapping]] = ..., hold: _Optional[str] = ..., resume: _Optional[str] = ..., cache: _Optional[_Union[Cache, _Mapping]] = ..., guards: _Optional[_Iterable[str]] = ..., transforms: _Optional[_Iterable[str]] = ..., prompt: _Optional[str] = ...) -> None: ...

class Retry(_message.Message):
    __slots__ = ("attempts",)
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    attempts: int
    def __init__(self, attempts: _Optional[int] = ...) -> None: ...

class Timeouts(_message.Message):
    __slots__ = ("connect", "first_token", "idle", "total")
    CONNECT_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_FIELD_NUMBER: _ClassVar[int]
    IDLE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    connect: _duration_pb2.Duration
    first_token: _duration_pb2.Duration
    idle: _duration_pb2.Duration
    total: _duration_pb2.Duration
    def __init__(self, connect: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., first_token: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., idle: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., total: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Cache(_message.Message):
    __slots__ = ("mode", "ttl", "client", "threshold", "embedder")
    MODE_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    EMBEDDER_FIELD_NUMBER: _ClassVar[int]
    mode: str
    ttl: _duration_pb2.Duration
    client: bool
    threshold: float
    embedder: str
    def __init__(self, mode: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., client: _Optional[bool] = ..., threshold: _Optional[float] = ..., embedder: _Optional[str] = ...) -> None: ...

class Key(_message.Message):
    __slots__ = ("name", "tenant", "allow", "passthrough", "guards", "metadata", "expires", "sha256")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ALLOW_FIELD_NUMBER: _ClassVar[int]
    PASSTHROUGH_FIELD_NUMBER: _ClassVar[int]
    GUARDS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    allow: NameList
    passthrough: _containers.RepeatedScalarFieldContainer[str]
    guards: _containers.RepeatedScalarFieldContainer[str]
    metadata: _containers.ScalarMap[str, str]
    expires: _duration_pb2.Duration
    sha256: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., allow: _Optional[_Union[NameList, _Mapping]] = ..., passthrough: _Optional[_Iterable[str]] = ..., guards: _Optional[_Iterable[str]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., expires: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., sha256: _Optional[str] = ...) -> None: ...

class NameList(_message.Message):
    __slots__ = ("of",)
    OF_FIELD_NUMBER: _ClassVar[int]
    of: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, of: _Optional[_Iterable[str]] = ...) -> None: ...

class Limit(_message.Message):
    __slots__ = ("name", "tenant", "scope", "each", "usd", "tokens", "requests", "concurrent", "per", "tz", "action", "unpriced", "on_outage")
    class ScopeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    EACH_FIELD_NUMBER: _ClassVar[int]
    USD_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    CONCURRENT_FIELD_NUMBER: _ClassVar[int]
    PER_FIELD_NUMBER: _ClassVar[int]
    TZ_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    UNPRICED_FIELD_NUMBER: _ClassVar[int]
    ON_OUTAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    scope: _containers.ScalarMap[str, str]
    each: str
    usd: str
    tokens: int
    requests: int
    concurrent: int
    per: str
    tz: str
    action: str
    unpriced: str
    on_outage: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., scope: _Optional[_Mapping[str, str]] = ..., each: _Optional[str] = ..., usd: _Optional[str] = ..., tokens: _Optional[int] = ..., requests: _Optional[int] = ..., concurrent: _Optional[int] = ..., per: _Optional[str] = ..., tz: _Optional[str] = ..., action: _Optional[str] = ..., unpriced: _Optional[str] = ..., on_outage: _Optional[str] = ...) -> None: ...

class Experiment(_message.Message):
    __slots__ = ("name", "tenant", "variants", "unit", "judge", "stop", "guardrails", "namespace", "share")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    JUDGE_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    GUARDRAILS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    variants: _containers.RepeatedCompositeFieldContainer[Variant]
    unit: str
    judge: Judge
    stop: StopRule
    guardrails: Guardrails
    namespace: str
    share: float
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., variants: _Optional[_Iterable[_Union[Variant, _Mapping]]] = ..., unit: _Optional[str] = ..., judge: _Optional[_Union[Judge, _Mapping]] = ..., stop: _Optional[_Union[StopRule, _Mapping]] = ..., guardrails: _Optional[_Union[Guardrails, _Mapping]] = ..., namespace: _Optional[str] = ..., share: _Optional[float] = ...) -> None: ...

class Variant(_message.Message):
    __slots__ = ("name", "use", "weight", "system", "parameters", "shadow", "sample", "max_usd_per_day")
    NAME_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    MAX_USD_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    name: str
    use: _policy_pb2.Policy
    weight: float
    system: str
    parameters: _struct_pb2.Struct
    shadow: bool
    sample: float
    max_usd_per_day: str
    def __init__(self, name: _Optional[str] = ..., use: _Optional[_Union[_policy_pb2.Policy, _Mapping]] = ..., weight: _Optional[float] = ..., system: _Optional[str] = ..., parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., shadow: _Optional[bool] = ..., sample: _Optional[float] = ..., max_usd_per_day: _Optional[str] = ...) -> None: ...

class Judge(_message.Message):
    __slots__ = ("model", "models", "sample", "mode", "rubric", "rubric_name", "max_usd_per_day", "checks", "success")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    RUBRIC_FIELD_NUMBER: _ClassVar[int]
    RUBRIC_NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_USD_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    model: str
    models: _containers.RepeatedScalarFieldContainer[str]
    sample: float
    mode: str
    rubric: str
    rubric_name: str
    max_usd_per_day: str
    checks: _containers.RepeatedCompositeFieldContainer[Check]
    success: float
    def __init__(self, model: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., sample: _Optional[float] = ..., mode: _Optional[str] = ..., rubric: _Optional[str] = ..., rubric_name: _Optional[str] = ..., max_usd_per_day: _Optional[str] = ..., checks: _Optional[_Iterable[_Union[Check, _Mapping]]] = ..., success: _Optional[float] = ...) -> None: ...

class Check(_message.Message):
    __slots__ = ("name", "json", "schema", "regex", "length", "exact", "http")
    NAME_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    REGEX_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    HTTP_FIELD_NUMBER: _ClassVar[int]
    name: str
    json: bool
    schema: _struct_pb2.Struct
    regex: str
    length: LengthCheck
    exact: str
    http: HttpCheck
    def __init__(self, name: _Optional[str] = ..., json: _Optional[bool] = ..., schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., regex: _Optional[str] = ..., length: _Optional[_Union[LengthCheck, _Mapping]] = ..., exact: _Optional[str] = ..., http: _Optional[_Union[HttpCheck, _Mapping]] = ...) -> None: ...

class LengthCheck(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: int
    max: int
    def __init__(self, min: _Optional[int] = ..., max: _Optional[int] = ...) -> None: ...

class HttpCheck(_message.Message):
    __slots__ = ("url", "private_network", "timeout")
    URL_FIELD_NUMBER: _ClassVar[int]
    PRIVATE_NETWORK_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    url: str
    private_network: bool
    timeout: _duration_pb2.Duration
    def __init__(self, url: _Optional[str] = ..., private_network: _Optional[bool] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StopRule(_message.Message):
    __slots__ = ("confidence", "min_samples", "max_samples", "then", "by", "eliminate")
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    MIN_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MAX_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    THEN_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    ELIMINATE_FIELD_NUMBER: _ClassVar[int]
    confidence: float
    min_samples: int
    max_samples: int
    then: str
    by: str
    eliminate: bool
    def __init__(self, confidence: _Optional[float] = ..., min_samples: _Optional[int] = ..., max_samples: _Optional[int] = ..., then: _Optional[str] = ..., by: _Optional[str] = ..., eliminate: _Optional[bool] = ...) -> None: ...

class Guardrails(_message.Message):
    __slots__ = ("error_rate", "cost_ratio", "latency_ratio")
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    COST_RATIO_FIELD_NUMBER: _ClassVar[int]
    LATENCY_RATIO_FIELD_NUMBER: _ClassVar[int]
    error_rate: float
    cost_ratio: float
    latency_ratio: float
    def __init__(self, error_rate: _Optional[float] = ..., cost_ratio: _Optional[float] = ..., latency_ratio: _Optional[float] = ...) -> None: ...

class Guard(_message.Message):
    __slots__ = ("name", "tenant", "on", "rules")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ON_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    on: _containers.RepeatedScalarFieldContainer[str]
    rules: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Struct]
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., on: _Optional[_Iterable[str]] = ..., rules: _Optional[_Iterable[_Union[_struct_pb2.Struct, _Mapping]]] = ...) -> None: ...

class Prompt(_message.Message):
    __slots__ = ("name", "tenant", "messages", "place")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    messages: _containers.RepeatedCompositeFieldContainer[PromptMessage]
    place: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[PromptMessage, _Mapping]]] = ..., place: _Optional[str] = ...) -> None: ...

class PromptMessage(_message.Message):
    __slots__ = ("role", "content")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    role: str
    content: str
    def __init__(self, role: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class Transform(_message.Message):
    __slots__ = ("name", "tenant", "request", "response", "headers", "llm")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    LLM_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    request: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Struct]
    response: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Struct]
    headers: _struct_pb2.Struct
    llm: _struct_pb2.Struct
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., request: _Optional[_Iterable[_Union[_struct_pb2.Struct, _Mapping]]] = ..., response: _Optional[_Iterable[_Union[_struct_pb2.Struct, _Mapping]]] = ..., headers: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., llm: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...
