import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headgate.v1 import resources_pb2 as _resources_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CircuitState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CIRCUIT_STATE_UNSPECIFIED: _ClassVar[CircuitState]
    CIRCUIT_STATE_CLOSED: _ClassVar[CircuitState]
    CIRCUIT_STATE_OPEN: _ClassVar[CircuitState]
    CIRCUIT_STATE_HALF_OPEN: _ClassVar[CircuitState]
CIRCUIT_STATE_UNSPECIFIED: CircuitState
CIRCUIT_STATE_CLOSED: CircuitState
CIRCUIT_STATE_OPEN: CircuitState
CIRCUIT_STATE_HALF_OPEN: CircuitState

class Version(_message.Message):
    __slots__ = ("epoch", "revision")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    revision: int
    def __init__(self, epoch: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("hello", "ack", "nack", "status")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    NACK_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    hello: ProxyHello
    ack: ConfigAck
    nack: ConfigNack
    status: ProxyStatus
    def __init__(self, hello: _Optional[_Union[ProxyHello, _Mapping]] = ..., ack: _Optional[_Union[ConfigAck, _Mapping]] = ..., nack: _Optional[_Union[ConfigNack, _Mapping]] = ..., status: _Optional[_Union[ProxyStatus, _Mapping]] = ...) -> None: ...

class ProxyHello(_message.Message):
    __slots__ = ("name", "region", "labels", "software_version", "version", "refused")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    name: str
    region: str
    labels: _containers.ScalarMap[str, str]
    software_version: str
    version: Version
    refused: ConfigNack
    def __init__(self, name: _Optional[str] = ..., region: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., software_version: _Optional[str] = ..., version: _Optional[_Union[Version, _Mapping]] = ..., refused: _Optional[_Union[ConfigNack, _Mapping]] = ...) -> None: ...

class ConfigAck(_message.Message):
    __slots__ = ("nonce", "version")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    nonce: str
    version: Version
    def __init__(self, nonce: _Optional[str] = ..., version: _Optional[_Union[Version, _Mapping]] = ...) -> None: ...

class ConfigNack(_message.Message):
    __slots__ = ("nonce", "version", "resource", "reason")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    nonce: str
    version: Version
    resource: str
    reason: str
    def __init__(self, nonce: _Optional[str] = ..., version: _Optional[_Union[Version, _Mapping]] = ..., resource: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ProxyStatus(_message.Message):
    __slots__ = ("spool_bytes", "usage_lag_seconds", "inflight", "standings")
    SPOOL_BYTES_FIELD_NUMBER: _ClassVar[int]
    USAGE_LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    INFLIGHT_FIELD_NUMBER: _ClassVar[int]
    STANDINGS_FIELD_NUMBER: _ClassVar[int]
    spool_bytes: int
    usage_lag_seconds: float
    inflight: int
    standings: Standings
    def __init__(self, spool_bytes: _Optional[int] = ..., usage_lag_seconds: _Optional[float] = ..., inflight: _Optional[int] = ..., standings: _Optional[_Union[Standings, _Mapping]] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("update", "standings", "spending")
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    STANDINGS_FIELD_NUMBER: _ClassVar[int]
    SPENDING_FIELD_NUMBER: _ClassVar[int]
    update: ConfigUpdate
    standings: Standings
    spending: Spending
    def __init__(self, update: _Optional[_Union[ConfigUpdate, _Mapping]] = ..., standings: _Optional[_Union[Standings, _Mapping]] = ..., spending: _Optional[_Union[Spending, _Mapping]] = ...) -> None: ...

class Spending(_message.Message):
    __slots__ = ("day", "spent")
    DAY_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    day: int
    spent: _containers.RepeatedCompositeFieldContainer[Spent]
    def __init__(self, day: _Optional[int] = ..., spent: _Optional[_Iterable[_Union[Spent, _Mapping]]] = ...) -> None: ...

class Spent(_message.Message):
    __slots__ = ("tenant", "experiment", "variant", "picousd")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    PICOUSD_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    experiment: str
    variant: str
    picousd: int
    def __init__(self, tenant: _Optional[str] = ..., experiment: _Optional[str] = ..., variant: _Optional[str] = ..., picousd: _Optional[int] = ...) -> None: ...

class Standings(_message.Message):
    __slots__ = ("standings", "resting_keys")
    STANDINGS_FIELD_NUMBER: _ClassVar[int]
    RESTING_KEYS_FIELD_NUMBER: _ClassVar[int]
    standings: _containers.RepeatedCompositeFieldContainer[Standing]
    resting_keys: _containers.RepeatedCompositeFieldContainer[RestingKey]
    def __init__(self, standings: _Optional[_Iterable[_Union[Standing, _Mapping]]] = ..., resting_keys: _Optional[_Iterable[_Union[RestingKey, _Mapping]]] = ...) -> None: ...

class Standing(_message.Message):
    __slots__ = ("tenant", "provider", "upstream_model", "circuits", "speeds", "cached_share", "lengths")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_MODEL_FIELD_NUMBER: _ClassVar[int]
    CIRCUITS_FIELD_NUMBER: _ClassVar[int]
    SPEEDS_FIELD_NUMBER: _ClassVar[int]
    CACHED_SHARE_FIELD_NUMBER: _ClassVar[int]
    LENGTHS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    provider: str
    upstream_model: str
    circuits: _containers.RepeatedCompositeFieldContainer[Circuit]
    speeds: _containers.RepeatedCompositeFieldContainer[Speed]
    cached_share: float
    lengths: _containers.RepeatedCompositeFieldContainer[AnswerLength]
    def __init__(self, tenant: _Optional[str] = ..., provider: _Optional[str] = ..., upstream_model: _Optional[str] = ..., circuits: _Optional[_Iterable[_Union[Circuit, _Mapping]]] = ..., speeds: _Optional[_Iterable[_Union[Speed, _Mapping]]] = ..., cached_share: _Optional[float] = ..., lengths: _Optional[_Iterable[_Union[AnswerLength, _Mapping]]] = ...) -> None: ...

class Speed(_message.Message):
    __slots__ = ("streamed", "age_seconds", "first_token_seconds", "seconds_per_token", "slow_seconds", "measurements")
    STREAMED_FIELD_NUMBER: _ClassVar[int]
    AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SLOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEASUREMENTS_FIELD_NUMBER: _ClassVar[int]
    streamed: bool
    age_seconds: float
    first_token_seconds: float
    seconds_per_token: float
    slow_seconds: float
    measurements: int
    def __init__(self, streamed: _Optional[bool] = ..., age_seconds: _Optional[float] = ..., first_token_seconds: _Optional[float] = ..., seconds_per_token: _Optional[float] = ..., slow_seconds: _Optional[float] = ..., measurements: _Optional[int] = ...) -> None: ...

class AnswerLength(_message.Message):
    __slots__ = ("route", "output_tokens", "answers")
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    route: str
    output_tokens: float
    answers: int
    def __init__(self, route: _Optional[str] = ..., output_tokens: _Optional[float] = ..., answers: _Optional[int] = ...) -> None: ...

class Circuit(_message.Message):
    __slots__ = ("key", "state", "open_seconds")
    KEY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OPEN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    key: str
    state: CircuitState
    open_seconds: float
    def __init__(self, key: _Optional[str] = ..., state: _Optional[_Union[CircuitState, str]] = ..., open_seconds: _Optional[float] = ...) -> None: ...

class RestingKey(_message.Message):
    __slots__ = ("tenant", "provider", "key", "seconds", "reason")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    provider: str
    key: str
    seconds: float
    reason: str
    def __init__(self, tenant: _Optional[str] = ..., provider: _Optional[str] = ..., key: _Optional[str] = ..., seconds: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class ConfigUpdate(_message.Message):
    __slots__ = ("version", "nonce", "base", "upserts", "removals", "last")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    UPSERTS_FIELD_NUMBER: _ClassVar[int]
    REMOVALS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    version: Version
    nonce: str
    base: Version
    upserts: _containers.RepeatedCompositeFieldContainer[ConfigEntry]
    removals: _containers.RepeatedCompositeFieldContainer[ConfigName]
    last: bool
    def __init__(self, version: _Optional[_Union[Version, _Mapping]] = ..., nonce: _Optional[str] = ..., base: _Optional[_Union[Version, _Mapping]] = ..., upserts: _Optional[_Iterable[_Union[ConfigEntry, _Mapping]]] = ..., removals: _Optional[_Iterable[_Union[ConfigName, _Mapping]]] = ..., last: _Optional[bool] = ...) -> None: ...

class ConfigName(_message.Message):
    __slots__ = ("kind", "tenant", "name")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    kind: str
    tenant: str
    name: str
    def __init__(self, kind: _Optional[str] = ..., tenant: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class ConfigEntry(_message.Message):
    __slots__ = ("disabled", "tenant", "provider", "model", "route", "key", "experiment")
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    disabled: bool
    tenant: _resources_pb2.Tenant
    provider: ProviderConfig
    model: ModelConfig
    route: _resources_pb2.Route
    key: KeyConfig
    experiment: _resources_pb2.Experiment
    def __init__(self, disabled: _Optional[bool] = ..., tenant: _Optional[_Union[_resources_pb2.Tenant, _Mapping]] = ..., provider: _Optional[_Union[ProviderConfig, _Mapping]] = ..., model: _Optional[_Union[ModelConfig, _Mapping]] = ..., route: _Optional[_Union[_resources_pb2.Route, _Mapping]] = ..., key: _Optional[_Union[KeyConfig, _Mapping]] = ..., experiment: _Optional[_Union[_resources_pb2.Experiment, _Mapping]] = ...) -> None: ...

class ProviderConfig(_message.Message):
    __slots__ = ("spec", "secrets")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    spec: _resources_pb2.Provider
    secrets: _containers.RepeatedCompositeFieldContainer[ProviderSecret]
    def __init__(self, spec: _Optional[_Union[_resources_pb2.Provider, _Mapping]] = ..., secrets: _Optional[_Iterable[_Union[ProviderSecret, _Mapping]]] = ...) -> None: ...

class ProviderSecret(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class ModelConfig(_message.Message):
    __slots__ = ("spec", "prices", "context_window", "fit")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_WINDOW_FIELD_NUMBER: _ClassVar[int]
    FIT_FIELD_NUMBER: _ClassVar[int]
    spec: _resources_pb2.Model
    prices: PriceList
    context_window: int
    fit: _containers.RepeatedCompositeFieldContainer[TaskFit]
    def __init__(self, spec: _Optional[_Union[_resources_pb2.Model, _Mapping]] = ..., prices: _Optional[_Union[PriceList, _Mapping]] = ..., context_window: _Optional[int] = ..., fit: _Optional[_Iterable[_Union[TaskFit, _Mapping]]] = ...) -> None: ...

class TaskFit(_message.Message):
    __slots__ = ("task", "quality", "lower", "upper")
    TASK_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    task: str
    quality: float
    lower: float
    upper: float
    def __init__(self, task: _Optional[str] = ..., quality: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ...) -> None: ...

class KeyConfig(_message.Message):
    __slots__ = ("spec", "credentials")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    spec: _resources_pb2.Key
    credentials: _containers.RepeatedCompositeFieldContainer[Credential]
    def __init__(self, spec: _Optional[_Union[_resources_pb2.Key, _Mapping]] = ..., credentials: _Optional[_Iterable[_Union[Credential, _Mapping]]] = ...) -> None: ...

class Credential(_message.Message):
    __slots__ = ("sha256", "public_id", "expires_at")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    sha256: bytes
    public_id: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, sha256: _Optional[bytes] = ..., public_id: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PriceList(_message.Message):
    __slots__ = ("prices", "version")
    PRICES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    prices: _containers.RepeatedCompositeFieldContainer[Price]
    version: str
    def __init__(self, prices: _Optional[_Iterable[_Union[Price, _Mapping]]] = ..., version: _Optional[str] = ...) -> None: ...

class Price(_message.Message):
    __slots__ = ("from_unix_ms", "service_tier", "above_input_tokens", "day_from_seconds", "day_to_seconds", "input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "audio_input", "audio_output", "request")
    FROM_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_TIER_FIELD_NUMBER: _ClassVar[int]
    ABOVE_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    DAY_FROM_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DAY_TO_SECONDS_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_5M_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_1H_FIELD_NUMBER: _ClassVar[int]
    AUDIO_INPUT_FIELD_NUMBER: _ClassVar[int]
    AUDIO_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    from_unix_ms: int
    service_tier: str
    above_input_tokens: int
    day_from_seconds: int
    day_to_seconds: int
    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    audio_input: int
    audio_output: int
    request: int
    def __init__(self, from_unix_ms: _Optional[int] = ..., service_tier: _Optional[str] = ..., above_input_tokens: _Optional[int] = ..., day_from_seconds: _Optional[int] = ..., day_to_seconds: _Optional[int] = ..., input: _Optional[int] = ..., output: _Optional[int] = ..., cache_read: _Optional[int] = ..., cache_write_5m: _Optional[int] = ..., cache_write_1h: _Optional[int] = ..., audio_input: _Optional[int] = ..., audio_output: _Optional[int] = ..., request: _Optional[int] = ...) -> None: ...
