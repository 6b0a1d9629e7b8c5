import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headgate.v1 import resources_pb2 as _resources_pb2
from headgate.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ShowExperimentRequest(_message.Message):
    __slots__ = ("tenant", "name")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., **kwargs) -> None: ...

class ShowExperimentResponse(_message.Message):
    __slots__ = ("name", "unit", "to", "confidence", "variants", "share_p_value", "shares_are_off", "state", "judges_agreement", "background", "decided_by")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    SHARE_P_VALUE_FIELD_NUMBER: _ClassVar[int]
    SHARES_ARE_OFF_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    JUDGES_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    name: str
    unit: str
    to: _timestamp_pb2.Timestamp
    confidence: float
    variants: _containers.RepeatedCompositeFieldContainer[VariantView]
    share_p_value: float
    shares_are_off: bool
    state: _resources_pb2.ExperimentState
    judges_agreement: float
    background: _containers.RepeatedCompositeFieldContainer[BackgroundCost]
    decided_by: str
    def __init__(self, name: _Optional[str] = ..., unit: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., confidence: _Optional[float] = ..., variants: _Optional[_Iterable[_Union[VariantView, _Mapping]]] = ..., share_p_value: _Optional[float] = ..., shares_are_off: _Optional[bool] = ..., state: _Optional[_Union[_resources_pb2.ExperimentState, _Mapping]] = ..., judges_agreement: _Optional[float] = ..., background: _Optional[_Iterable[_Union[BackgroundCost, _Mapping]]] = ..., decided_by: _Optional[str] = ..., **kwargs) -> None: ...

class BackgroundCost(_message.Message):
    __slots__ = ("variant", "cost_picousd")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    COST_PICOUSD_FIELD_NUMBER: _ClassVar[int]
    variant: str
    cost_picousd: int
    def __init__(self, variant: _Optional[str] = ..., cost_picousd: _Optional[int] = ...) -> None: ...

class VariantView(_message.Message):
    __slots__ = ("name", "share", "units", "calls", "unpriced", "outside", "metrics", "shadow", "stopped", "judged", "unscored", "remarks")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    UNPRICED_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    UNSCORED_FIELD_NUMBER: _ClassVar[int]
    REMARKS_FIELD_NUMBER: _ClassVar[int]
    name: str
    share: float
    units: int
    calls: int
    unpriced: int
    outside: int
    metrics: _containers.RepeatedCompositeFieldContainer[MetricView]
    shadow: bool
    stopped: str
    judged: int
    unscored: int
    remarks: _containers.RepeatedCompositeFieldContainer[RemarkCount]
    def __init__(self, name: _Optional[str] = ..., share: _Optional[float] = ..., units: _Optional[int] = ..., calls: _Optional[int] = ..., unpriced: _Optional[int] = ..., outside: _Optional[int] = ..., metrics: _Optional[_Iterable[_Union[MetricView, _Mapping]]] = ..., shadow: _Optional[bool] = ..., stopped: _Optional[str] = ..., judged: _Optional[int] = ..., unscored: _Optional[int] = ..., remarks: _Optional[_Iterable[_Union[RemarkCount, _Mapping]]] = ...) -> None: ...

class RemarkCount(_message.Message):
    __slots__ = ("remark", "count")
    REMARK_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    remark: _usage_pb2.Remark
    count: int
    def __init__(self, remark: _Optional[_Union[_usage_pb2.Remark, str]] = ..., count: _Optional[int] = ...) -> None: ...

class MetricView(_message.Message):
    __slots__ = ("name", "mean", "difference", "half_width", "decided_at_units")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    HALF_WIDTH_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_UNITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    mean: float
    difference: float
    half_width: float
    decided_at_units: int
    def __init__(self, name: _Optional[str] = ..., mean: _Optional[float] = ..., difference: _Optional[float] = ..., half_width: _Optional[float] = ..., decided_at_units: _Optional[int] = ...) -> None: ...

class ExportExperimentRequest(_message.Message):
    __slots__ = ("tenant", "name", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., page_token: _Optional[str] = ..., **kwargs) -> None: ...

class ExportExperimentResponse(_message.Message):
    __slots__ = ("calls", "next_page_token")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[ExportedCall]
    next_page_token: str
    def __init__(self, calls: _Optional[_Iterable[_Union[ExportedCall, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ExportedCall(_message.Message):
    __slots__ = ("request_id", "variant", "unit", "error", "cost_usd", "latency_ms", "first_token_ms", "outside", "quality", "feedback", "success")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_MS_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    variant: str
    unit: str
    error: bool
    cost_usd: float
    latency_ms: float
    first_token_ms: float
    outside: bool
    quality: float
    feedback: float
    success: bool
    def __init__(self, request_id: _Optional[str] = ..., variant: _Optional[str] = ..., unit: _Optional[str] = ..., error: _Optional[bool] = ..., cost_usd: _Optional[float] = ..., latency_ms: _Optional[float] = ..., first_token_ms: _Optional[float] = ..., outside: _Optional[bool] = ..., quality: _Optional[float] = ..., feedback: _Optional[float] = ..., success: _Optional[bool] = ...) -> None: ...

class PromoteExperimentRequest(_message.Message):
    __slots__ = ("tenant", "name", "variant")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    variant: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., variant: _Optional[str] = ...) -> None: ...

class PromoteExperimentResponse(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class StopExperimentRequest(_message.Message):
    __slots__ = ("tenant", "name", "variant")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    variant: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., variant: _Optional[str] = ...) -> None: ...

class StopExperimentResponse(_message.Message):
    __slots__ = ("revision", "winner")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    WINNER_FIELD_NUMBER: _ClassVar[int]
    revision: int
    winner: str
    def __init__(self, revision: _Optional[int] = ..., winner: _Optional[str] = ...) -> None: ...

class StartExperimentRequest(_message.Message):
    __slots__ = ("tenant", "name")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class StartExperimentResponse(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class ListTaskFitRequest(_message.Message):
    __slots__ = ("tenant", "task", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    task: str
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., task: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTaskFitResponse(_message.Message):
    __slots__ = ("fits", "next_page_token")
    FITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    fits: _containers.RepeatedCompositeFieldContainer[TaskFitView]
    next_page_token: str
    def __init__(self, fits: _Optional[_Iterable[_Union[TaskFitView, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TaskFitView(_message.Message):
    __slots__ = ("tenant", "model", "task", "rubric", "quality", "lower", "upper", "units", "answers", "cost_per_success_usd", "latency_ms", "is_evidence")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    RUBRIC_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    COST_PER_SUCCESS_USD_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    IS_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    model: str
    task: str
    rubric: str
    quality: float
    lower: float
    upper: float
    units: float
    answers: int
    cost_per_success_usd: float
    latency_ms: float
    is_evidence: bool
    def __init__(self, tenant: _Optional[str] = ..., model: _Optional[str] = ..., task: _Optional[str] = ..., rubric: _Optional[str] = ..., quality: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ..., units: _Optional[float] = ..., answers: _Optional[int] = ..., cost_per_success_usd: _Optional[float] = ..., latency_ms: _Optional[float] = ..., is_evidence: _Optional[bool] = ...) -> None: ...
