from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORMAT_UNSPECIFIED: _ClassVar[Format]
    FORMAT_DECIMAL: _ClassVar[Format]
    FORMAT_SIZE: _ClassVar[Format]
    FORMAT_SECRET: _ClassVar[Format]
    FORMAT_NAME: _ClassVar[Format]
FORMAT_UNSPECIFIED: Format
FORMAT_DECIMAL: Format
FORMAT_SIZE: Format
FORMAT_SECRET: Format
FORMAT_NAME: Format
FORMAT_FIELD_NUMBER: _ClassVar[int]
format: _descriptor.FieldDescriptor
PLANNED_FIELD_NUMBER: _ClassVar[int]
planned: _descriptor.FieldDescriptor
SHORTHAND_FIELD_NUMBER: _ClassVar[int]
shorthand: _descriptor.FieldDescriptor
PLANNED_KIND_FIELD_NUMBER: _ClassVar[int]
planned_kind: _descriptor.FieldDescriptor
