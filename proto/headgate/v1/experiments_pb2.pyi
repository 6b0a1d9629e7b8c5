import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
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
    __slots__ = ("name", "unit", "to", "confidence", "variants", "share_p_value", "shares_are_off")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    SHARE_P_VALUE_FIELD_NUMBER: _ClassVar[int]
    SHARES_ARE_OFF_FIELD_NUMBER: _ClassVar[int]
    name: str
    unit: str
    to: _timestamp_pb2.Timestamp
    confidence: float
    variants: _containers.RepeatedCompositeFieldContainer[VariantView]
    share_p_value: float
    shares_are_off: bool
    def __init__(self, name: _Optional[str] = ..., unit: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., confidence: _Optional[float] = ..., variants: _Optional[_Iterable[_Union[VariantView, _Mapping]]] = ..., share_p_value: _Optional[float] = ..., shares_are_off: _Optional[bool] = ..., **kwargs) -> None: ...

class VariantView(_message.Message):
    __slots__ = ("name", "share", "units", "calls", "unpriced", "outside", "metrics")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    UNPRICED_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    name: str
    share: float
    units: int
    calls: int
    unpriced: int
    outside: int
    metrics: _containers.RepeatedCompositeFieldContainer[MetricView]
    def __init__(self, name: _Optional[str] = ..., share: _Optional[float] = ..., units: _Optional[int] = ..., calls: _Optional[int] = ..., unpriced: _Optional[int] = ..., outside: _Optional[int] = ..., metrics: _Optional[_Iterable[_Union[MetricView, _Mapping]]] = ...) -> None: ...

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
