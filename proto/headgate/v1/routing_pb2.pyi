import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headgate.v1 import config_pb2 as _config_pb2
from headgate.v1 import resources_pb2 as _resources_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExplainRouteRequest(_message.Message):
    __slots__ = ("tenant", "model", "region", "key", "task", "user", "session", "metadata", "stream", "input_tokens", "max_tokens", "needs", "wants_json", "max_cost_usd")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    NEEDS_FIELD_NUMBER: _ClassVar[int]
    WANTS_JSON_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_USD_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    model: str
    region: str
    key: str
    task: str
    user: str
    session: str
    metadata: _containers.ScalarMap[str, str]
    stream: bool
    input_tokens: int
    max_tokens: int
    needs: _containers.RepeatedScalarFieldContainer[str]
    wants_json: bool
    max_cost_usd: str
    def __init__(self, tenant: _Optional[str] = ..., model: _Optional[str] = ..., region: _Optional[str] = ..., key: _Optional[str] = ..., task: _Optional[str] = ..., user: _Optional[str] = ..., session: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., stream: _Optional[bool] = ..., input_tokens: _Optional[int] = ..., max_tokens: _Optional[int] = ..., needs: _Optional[_Iterable[str]] = ..., wants_json: _Optional[bool] = ..., max_cost_usd: _Optional[str] = ...) -> None: ...

class ExplainRouteResponse(_message.Message):
    __slots__ = ("chosen", "route", "region", "candidates")
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    chosen: str
    route: str
    region: str
    candidates: _containers.RepeatedCompositeFieldContainer[ExplainedCandidate]
    def __init__(self, chosen: _Optional[str] = ..., route: _Optional[str] = ..., region: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[ExplainedCandidate, _Mapping]]] = ...) -> None: ...

class ExplainedCandidate(_message.Message):
    __slots__ = ("model", "provider", "upstream_model", "place", "reason", "share", "expected_cost_usd", "expected_output_tokens", "first_token_ms", "total_ms", "quality", "health")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_MODEL_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_COST_USD_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_MS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MS_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    model: str
    provider: str
    upstream_model: str
    place: int
    reason: str
    share: float
    expected_cost_usd: str
    expected_output_tokens: float
    first_token_ms: int
    total_ms: int
    quality: float
    health: str
    def __init__(self, model: _Optional[str] = ..., provider: _Optional[str] = ..., upstream_model: _Optional[str] = ..., place: _Optional[int] = ..., reason: _Optional[str] = ..., share: _Optional[float] = ..., expected_cost_usd: _Optional[str] = ..., expected_output_tokens: _Optional[float] = ..., first_token_ms: _Optional[int] = ..., total_ms: _Optional[int] = ..., quality: _Optional[float] = ..., health: _Optional[str] = ...) -> None: ...

class ListStandingsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListStandingsResponse(_message.Message):
    __slots__ = ("proxies", "next_page_token")
    PROXIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    proxies: _containers.RepeatedCompositeFieldContainer[ProxyStandings]
    next_page_token: str
    def __init__(self, proxies: _Optional[_Iterable[_Union[ProxyStandings, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ProxyStandings(_message.Message):
    __slots__ = ("proxy", "region", "reported_at", "standings")
    PROXY_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    REPORTED_AT_FIELD_NUMBER: _ClassVar[int]
    STANDINGS_FIELD_NUMBER: _ClassVar[int]
    proxy: str
    region: str
    reported_at: _timestamp_pb2.Timestamp
    standings: _config_pb2.Standings
    def __init__(self, proxy: _Optional[str] = ..., region: _Optional[str] = ..., reported_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., standings: _Optional[_Union[_config_pb2.Standings, _Mapping]] = ...) -> None: ...

class ReplayRequest(_message.Message):
    __slots__ = ("tenant", "resources", "to")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    resources: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Resource]
    to: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., resources: _Optional[_Iterable[_Union[_resources_pb2.Resource, _Mapping]]] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class ReplayResponse(_message.Message):
    __slots__ = ("done", "total", "report")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    report: ReplayReport
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ..., report: _Optional[_Union[ReplayReport, _Mapping]] = ...) -> None: ...

class ReplayReport(_message.Message):
    __slots__ = ("recorded", "replayed", "calls", "attempts", "one_in", "moved", "unmeasured", "models", "skipped", "nobody", "assumptions")
    class NobodyEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ONE_IN_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    UNMEASURED_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    NOBODY_FIELD_NUMBER: _ClassVar[int]
    ASSUMPTIONS_FIELD_NUMBER: _ClassVar[int]
    recorded: ReplayAccount
    replayed: ReplayAccount
    calls: int
    attempts: int
    one_in: int
    moved: int
    unmeasured: int
    models: _containers.RepeatedCompositeFieldContainer[ReplayModel]
    skipped: _containers.RepeatedCompositeFieldContainer[ReplaySkipped]
    nobody: _containers.ScalarMap[str, int]
    assumptions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, recorded: _Optional[_Union[ReplayAccount, _Mapping]] = ..., replayed: _Optional[_Union[ReplayAccount, _Mapping]] = ..., calls: _Optional[int] = ..., attempts: _Optional[int] = ..., one_in: _Optional[int] = ..., moved: _Optional[int] = ..., unmeasured: _Optional[int] = ..., models: _Optional[_Iterable[_Union[ReplayModel, _Mapping]]] = ..., skipped: _Optional[_Iterable[_Union[ReplaySkipped, _Mapping]]] = ..., nobody: _Optional[_Mapping[str, int]] = ..., assumptions: _Optional[_Iterable[str]] = ...) -> None: ...

class ReplayAccount(_message.Message):
    __slots__ = ("cost_usd", "unpriced", "failed", "p50_ms", "p95_ms", "first_token_p50_ms", "first_token_p95_ms")
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    UNPRICED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    P50_MS_FIELD_NUMBER: _ClassVar[int]
    P95_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_P50_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_P95_MS_FIELD_NUMBER: _ClassVar[int]
    cost_usd: str
    unpriced: int
    failed: float
    p50_ms: int
    p95_ms: int
    first_token_p50_ms: int
    first_token_p95_ms: int
    def __init__(self, cost_usd: _Optional[str] = ..., unpriced: _Optional[int] = ..., failed: _Optional[float] = ..., p50_ms: _Optional[int] = ..., p95_ms: _Optional[int] = ..., first_token_p50_ms: _Optional[int] = ..., first_token_p95_ms: _Optional[int] = ...) -> None: ...

class ReplayModel(_message.Message):
    __slots__ = ("model", "recorded_calls", "replayed_calls", "recorded_cost_usd", "replayed_cost_usd")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RECORDED_CALLS_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_CALLS_FIELD_NUMBER: _ClassVar[int]
    RECORDED_COST_USD_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_COST_USD_FIELD_NUMBER: _ClassVar[int]
    model: str
    recorded_calls: int
    replayed_calls: int
    recorded_cost_usd: str
    replayed_cost_usd: str
    def __init__(self, model: _Optional[str] = ..., recorded_calls: _Optional[int] = ..., replayed_calls: _Optional[int] = ..., recorded_cost_usd: _Optional[str] = ..., replayed_cost_usd: _Optional[str] = ...) -> None: ...

class ReplaySkipped(_message.Message):
    __slots__ = ("name", "why", "calls")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    name: str
    why: str
    calls: int
    def __init__(self, name: _Optional[str] = ..., why: _Optional[str] = ..., calls: _Optional[int] = ...) -> None: ...
