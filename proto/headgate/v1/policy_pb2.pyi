from headgate.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Policy(_message.Message):
    __slots__ = ("model", "fallback", "weighted", "cheapest", "fastest", "race", "experiment", "cases", "semantic", "route")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    WEIGHTED_FIELD_NUMBER: _ClassVar[int]
    CHEAPEST_FIELD_NUMBER: _ClassVar[int]
    FASTEST_FIELD_NUMBER: _ClassVar[int]
    RACE_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    CASES_FIELD_NUMBER: _ClassVar[int]
    SEMANTIC_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    model: str
    fallback: Fallback
    weighted: Weighted
    cheapest: Cheapest
    fastest: Fastest
    race: Race
    experiment: str
    cases: Cases
    semantic: Semantic
    route: str
    def __init__(self, model: _Optional[str] = ..., fallback: _Optional[_Union[Fallback, _Mapping]] = ..., weighted: _Optional[_Union[Weighted, _Mapping]] = ..., cheapest: _Optional[_Union[Cheapest, _Mapping]] = ..., fastest: _Optional[_Union[Fastest, _Mapping]] = ..., race: _Optional[_Union[Race, _Mapping]] = ..., experiment: _Optional[str] = ..., cases: _Optional[_Union[Cases, _Mapping]] = ..., semantic: _Optional[_Union[Semantic, _Mapping]] = ..., route: _Optional[str] = ...) -> None: ...

class Fallback(_message.Message):
    __slots__ = ("of",)
    OF_FIELD_NUMBER: _ClassVar[int]
    of: _containers.RepeatedCompositeFieldContainer[Policy]
    def __init__(self, of: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ...) -> None: ...

class Weighted(_message.Message):
    __slots__ = ("of",)
    OF_FIELD_NUMBER: _ClassVar[int]
    of: _containers.RepeatedCompositeFieldContainer[WeightedNode]
    def __init__(self, of: _Optional[_Iterable[_Union[WeightedNode, _Mapping]]] = ...) -> None: ...

class WeightedNode(_message.Message):
    __slots__ = ("use", "weight")
    USE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    use: Policy
    weight: float
    def __init__(self, use: _Optional[_Union[Policy, _Mapping]] = ..., weight: _Optional[float] = ...) -> None: ...

class Cheapest(_message.Message):
    __slots__ = ("of", "max_usd_per_call", "min_quality")
    OF_FIELD_NUMBER: _ClassVar[int]
    MAX_USD_PER_CALL_FIELD_NUMBER: _ClassVar[int]
    MIN_QUALITY_FIELD_NUMBER: _ClassVar[int]
    of: _containers.RepeatedCompositeFieldContainer[Policy]
    max_usd_per_call: str
    min_quality: float
    def __init__(self, of: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ..., max_usd_per_call: _Optional[str] = ..., min_quality: _Optional[float] = ...) -> None: ...

class Fastest(_message.Message):
    __slots__ = ("of", "by")
    OF_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    of: _containers.RepeatedCompositeFieldContainer[Policy]
    by: str
    def __init__(self, of: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ..., by: _Optional[str] = ...) -> None: ...

class Race(_message.Message):
    __slots__ = ("of", "width", "max_usd", "stagger")
    OF_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    MAX_USD_FIELD_NUMBER: _ClassVar[int]
    STAGGER_FIELD_NUMBER: _ClassVar[int]
    of: _containers.RepeatedCompositeFieldContainer[Policy]
    width: int
    max_usd: str
    stagger: str
    def __init__(self, of: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ..., width: _Optional[int] = ..., max_usd: _Optional[str] = ..., stagger: _Optional[str] = ...) -> None: ...

class Cases(_message.Message):
    __slots__ = ("of",)
    OF_FIELD_NUMBER: _ClassVar[int]
    of: _containers.RepeatedCompositeFieldContainer[Case]
    def __init__(self, of: _Optional[_Iterable[_Union[Case, _Mapping]]] = ...) -> None: ...

class Case(_message.Message):
    __slots__ = ("when", "use")
    WHEN_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    when: str
    use: Policy
    def __init__(self, when: _Optional[str] = ..., use: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...

class Semantic(_message.Message):
    __slots__ = ("of", "embedder")
    OF_FIELD_NUMBER: _ClassVar[int]
    EMBEDDER_FIELD_NUMBER: _ClassVar[int]
    ELSE_FIELD_NUMBER: _ClassVar[int]
    of: _containers.RepeatedCompositeFieldContainer[SemanticCase]
    embedder: str
    def __init__(self, of: _Optional[_Iterable[_Union[SemanticCase, _Mapping]]] = ..., embedder: _Optional[str] = ..., **kwargs) -> None: ...

class SemanticCase(_message.Message):
    __slots__ = ("about", "use")
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    about: str
    use: Policy
    def __init__(self, about: _Optional[str] = ..., use: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...
