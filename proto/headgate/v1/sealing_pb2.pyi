from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetSealingRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSealingResponse(_message.Message):
    __slots__ = ("keks",)
    KEKS_FIELD_NUMBER: _ClassVar[int]
    keks: _containers.RepeatedCompositeFieldContainer[KekUse]
    def __init__(self, keks: _Optional[_Iterable[_Union[KekUse, _Mapping]]] = ...) -> None: ...

class KekUse(_message.Message):
    __slots__ = ("id", "secrets", "active", "present")
    ID_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    secrets: int
    active: bool
    present: bool
    def __init__(self, id: _Optional[str] = ..., secrets: _Optional[int] = ..., active: _Optional[bool] = ..., present: _Optional[bool] = ...) -> None: ...

class RotateKekRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RotateKekResponse(_message.Message):
    __slots__ = ("activated", "sealed_anew", "remaining")
    ACTIVATED_FIELD_NUMBER: _ClassVar[int]
    SEALED_ANEW_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    activated: bool
    sealed_anew: int
    remaining: int
    def __init__(self, activated: _Optional[bool] = ..., sealed_anew: _Optional[int] = ..., remaining: _Optional[int] = ...) -> None: ...
