from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_OK: _ClassVar[Outcome]
    OUTCOME_ERROR: _ClassVar[Outcome]
    OUTCOME_TIMEOUT: _ClassVar[Outcome]
    OUTCOME_CANCELLED: _ClassVar[Outcome]
    OUTCOME_RACE_LOST: _ClassVar[Outcome]
    OUTCOME_UNKNOWN: _ClassVar[Outcome]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    REASON_RATE_LIMITED: _ClassVar[Reason]
    REASON_OVERLOADED: _ClassVar[Reason]
    REASON_UPSTREAM_ERROR: _ClassVar[Reason]
    REASON_INVALID_REQUEST: _ClassVar[Reason]
    REASON_KEY_REJECTED: _ClassVar[Reason]
    REASON_MODEL_NOT_FOUND: _ClassVar[Reason]
    REASON_CONTEXT_LENGTH: _ClassVar[Reason]
    REASON_CONTENT_FILTER: _ClassVar[Reason]
    REASON_CONNECT_FAILED: _ClassVar[Reason]
    REASON_CONNECT_TIMEOUT: _ClassVar[Reason]
    REASON_CONNECTION_RESET: _ClassVar[Reason]
    REASON_FIRST_TOKEN_TIMEOUT: _ClassVar[Reason]
    REASON_IDLE_TIMEOUT: _ClassVar[Reason]
    REASON_TOTAL_TIMEOUT: _ClassVar[Reason]
    REASON_PROTOCOL_ERROR: _ClassVar[Reason]
    REASON_RESPONSE_TOO_LARGE: _ClassVar[Reason]
    REASON_STREAM_CUT: _ClassVar[Reason]
    REASON_STREAM_ERROR: _ClassVar[Reason]
    REASON_CLIENT_LEFT: _ClassVar[Reason]
    REASON_ADDRESS_REFUSED: _ClassVar[Reason]
    REASON_PROXY_RESTART: _ClassVar[Reason]
    REASON_KEYS_COOLING_DOWN: _ClassVar[Reason]
    REASON_RACE_LOST: _ClassVar[Reason]
    REASON_OTHER_ANSWER: _ClassVar[Reason]

class CacheResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CACHE_RESULT_UNSPECIFIED: _ClassVar[CacheResult]
    CACHE_RESULT_OFF: _ClassVar[CacheResult]
    CACHE_RESULT_MISS: _ClassVar[CacheResult]
    CACHE_RESULT_HIT: _ClassVar[CacheResult]
    CACHE_RESULT_SEMANTIC_HIT: _ClassVar[CacheResult]

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    PURPOSE_JUDGE: _ClassVar[Purpose]
    PURPOSE_SHADOW: _ClassVar[Purpose]

class ScoreSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCORE_SOURCE_UNSPECIFIED: _ClassVar[ScoreSource]
    SCORE_SOURCE_JUDGE: _ClassVar[ScoreSource]
    SCORE_SOURCE_CHECK: _ClassVar[ScoreSource]
    SCORE_SOURCE_FEEDBACK: _ClassVar[ScoreSource]

class Remark(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REMARK_UNSPECIFIED: _ClassVar[Remark]
    REMARK_GOOD: _ClassVar[Remark]
    REMARK_INCORRECT: _ClassVar[Remark]
    REMARK_INCOMPLETE: _ClassVar[Remark]
    REMARK_IRRELEVANT: _ClassVar[Remark]
    REMARK_UNSUPPORTED: _ClassVar[Remark]
    REMARK_UNCLEAR: _ClassVar[Remark]
    REMARK_WRONG_FORMAT: _ClassVar[Remark]
    REMARK_WRONG_LENGTH: _ClassVar[Remark]
    REMARK_UNSAFE: _ClassVar[Remark]
    REMARK_REFUSED: _ClassVar[Remark]
    REMARK_OTHER: _ClassVar[Remark]

class Unscored(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNSCORED_UNSPECIFIED: _ClassVar[Unscored]
    UNSCORED_NO_ANSWER: _ClassVar[Unscored]
    UNSCORED_JUDGE_FAILED: _ClassVar[Unscored]
    UNSCORED_JUDGE_TIMEOUT: _ClassVar[Unscored]
    UNSCORED_NONSENSE: _ClassVar[Unscored]
    UNSCORED_OVER_BUDGET: _ClassVar[Unscored]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_OK: Outcome
OUTCOME_ERROR: Outcome
OUTCOME_TIMEOUT: Outcome
OUTCOME_CANCELLED: Outcome
OUTCOME_RACE_LOST: Outcome
OUTCOME_UNKNOWN: Outcome
REASON_UNSPECIFIED: Reason
REASON_RATE_LIMITED: Reason
REASON_OVERLOADED: Reason
REASON_UPSTREAM_ERROR: Reason
REASON_INVALID_REQUEST: Reason
REASON_KEY_REJECTED: Reason
REASON_MODEL_NOT_FOUND: Reason
REASON_CONTEXT_LENGTH: Reason
REASON_CONTENT_FILTER: Reason
REASON_CONNECT_FAILED: Reason
REASON_CONNECT_TIMEOUT: Reason
REASON_CONNECTION_RESET: Reason
REASON_FIRST_TOKEN_TIMEOUT: Reason
REASON_IDLE_TIMEOUT: Reason
REASON_TOTAL_TIMEOUT: Reason
REASON_PROTOCOL_ERROR: Reason
REASON_RESPONSE_TOO_LARGE: Reason
REASON_STREAM_CUT: Reason
REASON_STREAM_ERROR: Reason
REASON_CLIENT_LEFT: Reason
REASON_ADDRESS_REFUSED: Reason
REASON_PROXY_RESTART: Reason
REASON_KEYS_COOLING_DOWN: Reason
REASON_RACE_LOST: Reason
REASON_OTHER_ANSWER: Reason
CACHE_RESULT_UNSPECIFIED: CacheResult
CACHE_RESULT_OFF: CacheResult
CACHE_RESULT_MISS: CacheResult
CACHE_RESULT_HIT: CacheResult
CACHE_RESULT_SEMANTIC_HIT: CacheResult
PURPOSE_UNSPECIFIED: Purpose
PURPOSE_JUDGE: Purpose
PURPOSE_SHADOW: Purpose
SCORE_SOURCE_UNSPECIFIED: ScoreSource
SCORE_SOURCE_JUDGE: ScoreSource
SCORE_SOURCE_CHECK: ScoreSource
SCORE_SOURCE_FEEDBACK: ScoreSource
REMARK_UNSPECIFIED: Remark
REMARK_GOOD: Remark
REMARK_INCORRECT: Remark
REMARK_INCOMPLETE: Remark
REMARK_IRRELEVANT: Remark
REMARK_UNSUPPORTED: Remark
REMARK_UNCLEAR: Remark
REMARK_WRONG_FORMAT: Remark
REMARK_WRONG_LENGTH: Remark
REMARK_UNSAFE: Remark
REMARK_REFUSED: Remark
REMARK_OTHER: Remark
UNSCORED_UNSPECIFIED: Unscored
UNSCORED_NO_ANSWER: Unscored
UNSCORED_JUDGE_FAILED: Unscored
UNSCORED_JUDGE_TIMEOUT: Unscored
UNSCORED_NONSENSE: Unscored
UNSCORED_OVER_BUDGET: Unscored

class ReportRequest(_message.Message):
    __slots__ = ("hello", "batch")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    hello: UsageHello
    batch: UsageBatch
    def __init__(self, hello: _Optional[_Union[UsageHello, _Mapping]] = ..., batch: _Optional[_Union[UsageBatch, _Mapping]] = ...) -> None: ...

class UsageHello(_message.Message):
    __slots__ = ("proxy", "region")
    PROXY_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    proxy: str
    region: str
    def __init__(self, proxy: _Optional[str] = ..., region: _Optional[str] = ...) -> None: ...

class UsageBatch(_message.Message):
    __slots__ = ("sequence", "records", "scores")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    records: _containers.RepeatedScalarFieldContainer[bytes]
    scores: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, sequence: _Optional[int] = ..., records: _Optional[_Iterable[bytes]] = ..., scores: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ReportResponse(_message.Message):
    __slots__ = ("acked_sequence", "inserted", "repeated_records", "quarantined")
    ACKED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    INSERTED_FIELD_NUMBER: _ClassVar[int]
    REPEATED_RECORDS_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    acked_sequence: int
    inserted: int
    repeated_records: int
    quarantined: int
    def __init__(self, acked_sequence: _Optional[int] = ..., inserted: _Optional[int] = ..., repeated_records: _Optional[int] = ..., quarantined: _Optional[int] = ...) -> None: ...

class UsageRecord(_message.Message):
    __slots__ = ("id", "request_id", "attempt_number", "tenant", "key", "route", "model", "provider", "upstream_model", "provider_key", "region", "user", "session", "task", "metadata", "operation", "stream", "outcome", "reason", "status", "upstream_request_id", "final", "client_status", "started_ms", "latency_ms", "first_token_ms", "request_latency_ms", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "audio_input_tokens", "output_tokens", "reasoning_tokens", "audio_output_tokens", "estimated", "cost_picousd", "price_version", "service_tier", "cache", "experiment", "variant", "variant_by_request", "outside_variant", "purpose")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_KEY_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_STATUS_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_MS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_5M_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_1H_TOKENS_FIELD_NUMBER: _ClassVar[int]
    AUDIO_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    AUDIO_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    COST_PICOUSD_FIELD_NUMBER: _ClassVar[int]
    PRICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SERVICE_TIER_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    VARIANT_BY_REQUEST_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_VARIANT_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    request_id: bytes
    attempt_number: int
    tenant: str
    key: str
    route: str
    model: str
    provider: str
    upstream_model: str
    provider_key: str
    region: str
    user: str
    session: str
    task: str
    metadata: _containers.ScalarMap[str, str]
    operation: str
    stream: bool
    outcome: Outcome
    reason: Reason
    status: int
    upstream_request_id: str
    final: bool
    client_status: int
    started_ms: int
    latency_ms: int
    first_token_ms: int
    request_latency_ms: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    audio_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    audio_output_tokens: int
    estimated: bool
    cost_picousd: int
    price_version: str
    service_tier: str
    cache: CacheResult
    experiment: str
    variant: str
    variant_by_request: bool
    outside_variant: bool
    purpose: Purpose
    def __init__(self, id: _Optional[bytes] = ..., request_id: _Optional[bytes] = ..., attempt_number: _Optional[int] = ..., tenant: _Optional[str] = ..., key: _Optional[str] = ..., route: _Optional[str] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., upstream_model: _Optional[str] = ..., provider_key: _Optional[str] = ..., region: _Optional[str] = ..., user: _Optional[str] = ..., session: _Optional[str] = ..., task: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., operation: _Optional[str] = ..., stream: _Optional[bool] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[_Union[Reason, str]] = ..., status: _Optional[int] = ..., upstream_request_id: _Optional[str] = ..., final: _Optional[bool] = ..., client_status: _Optional[int] = ..., started_ms: _Optional[int] = ..., latency_ms: _Optional[int] = ..., first_token_ms: _Optional[int] = ..., request_latency_ms: _Optional[int] = ..., input_tokens: _Optional[int] = ..., cache_read_tokens: _Optional[int] = ..., cache_write_5m_tokens: _Optional[int] = ..., cache_write_1h_tokens: _Optional[int] = ..., audio_input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., reasoning_tokens: _Optional[int] = ..., audio_output_tokens: _Optional[int] = ..., estimated: _Optional[bool] = ..., cost_picousd: _Optional[int] = ..., price_version: _Optional[str] = ..., service_tier: _Optional[str] = ..., cache: _Optional[_Union[CacheResult, str]] = ..., experiment: _Optional[str] = ..., variant: _Optional[str] = ..., variant_by_request: _Optional[bool] = ..., outside_variant: _Optional[bool] = ..., purpose: _Optional[_Union[Purpose, str]] = ...) -> None: ...

class ScoreRecord(_message.Message):
    __slots__ = ("id", "request_id", "tenant", "source", "name", "rubric", "value", "remark", "unscored", "versus", "changed", "model", "task", "unit")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RUBRIC_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REMARK_FIELD_NUMBER: _ClassVar[int]
    UNSCORED_FIELD_NUMBER: _ClassVar[int]
    VERSUS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    request_id: bytes
    tenant: str
    source: ScoreSource
    name: str
    rubric: str
    value: float
    remark: Remark
    unscored: Unscored
    versus: str
    changed: bool
    model: str
    task: str
    unit: str
    def __init__(self, id: _Optional[bytes] = ..., request_id: _Optional[bytes] = ..., tenant: _Optional[str] = ..., source: _Optional[_Union[ScoreSource, str]] = ..., name: _Optional[str] = ..., rubric: _Optional[str] = ..., value: _Optional[float] = ..., remark: _Optional[_Union[Remark, str]] = ..., unscored: _Optional[_Union[Unscored, str]] = ..., versus: _Optional[str] = ..., changed: _Optional[bool] = ..., model: _Optional[str] = ..., task: _Optional[str] = ..., unit: _Optional[str] = ...) -> None: ...
