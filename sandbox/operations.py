"""The numbers of the host calls, known to both sides of the door: Python as this enumeration, Lua as constants."""

from __future__ import annotations

from enum import IntEnum, auto, unique


@unique
class Operation(IntEnum):
    """What a state may ask of its host. The Lua parts are compiled with these names as constants."""

    LAST_ERROR = 0
    LAST_ERRNO = auto()
    PART = auto()
    # how the script ended
    RETURNED = auto()
    FAILED = auto()
    EXIT = auto()
    # with an audit alone: one of the calls that ask for permissions, together with the script's position
    ASKING = auto()
    # without the native module alone: the mechanism's own calls
    STOPPING = auto()
    OUT_OF_MEMORY = auto()
    MAKE_ROOM = auto()
    # messages and workers
    MESSAGE = auto()
    PEEK = auto()
    SEND = auto()
    HAS_ROOM = auto()
    RECEIVE = auto()
    RECEIVE_MANY = auto()
    DELIVERY = auto()
    STATUS = auto()
    CREATE_PREPARE = auto()
    CREATE = auto()
    RELEASE = auto()
    CANCEL = auto()
    LIMIT = auto()
    TOO_LARGE = auto()
    PLEDGE = auto()
    # functions of the embedding program
    FUNCTION_PREPARE = auto()
    FUNCTION_CALL = auto()
    FUNCTION_REPLY = auto()
    # messages to and from it, where it has submitted the script as a job
    JOB_PREPARE = auto()
    JOB_MESSAGE = auto()
    JOB_PEEK = auto()
    # code
    ALLOW_LOAD = auto()
    TRANSLATE = auto()
    TRANSLATION_HELPERS = auto()
    EXPLAIN = auto()
    READ_SOURCE = auto()
    READABLE = auto()
    # text
    TRANSCODE = auto()
    # the outside
    GETENV = auto()
    RANDOM = auto()
    WRITE = auto()
    FILE_OPEN = auto()
    FILE_READ = auto()
    FILE_WRITE = auto()
    FILE_FLUSH = auto()
    FILE_HOLD_BACK = auto()
    FILE_SEEK = auto()
    FILE_CLOSE = auto()
    FS_LIST = auto()
    FS_TYPE = auto()
    FS_FOLLOW = auto()
    FS_COPY = auto()
    FS_MOVE = auto()
    FS_REMOVE = auto()
    FS_MAKE_DIRECTORY = auto()
    FS_MAKE_LINK = auto()
    FS_TEMPORARY_NAME = auto()


def as_lua() -> bytes:
    """One line of Lua that declares every operation as a compile-time constant."""
    names = ", ".join(f"{operation.name} <const>" for operation in Operation)
    numbers = ", ".join(str(operation.value) for operation in Operation)
    return f"local {names} = {numbers}\n".encode()
