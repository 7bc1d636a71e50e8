"""Host calls of lua/fs.lua and of what changes files in lua/os.lua: what asks for which pledge is decided here."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from .calls import DeniedError, RefusedError, Scalar, decode, encode
from .entries import Entry, allowed_entry, open_for_writing
from .files import Way, allowed_file, checked, naming, resolved
from .open_files import write_all
from .operations import Operation
from .rights import Rights
from .trees import make_directories, names_in, remove_tree

if TYPE_CHECKING:
    from .door import Door

_CHUNK: Final = 1 << 20
"""Bytes that are copied at once. Guessed."""
_TEMPORARY: Final = "/tmp/lua_"  # noqa: S108 - as Lua names them; made with O_EXCL
_TEMPORARY_TRIES: Final = 100
_KINDS: Final = {
    stat.S_IFREG: b"file",
    stat.S_IFDIR: b"directory",
    stat.S_IFLNK: b"link",
    stat.S_IFIFO: b"pipe",
    stat.S_IFSOCK: b"socket",
    stat.S_IFCHR: b"device",
    stat.S_IFBLK: b"device",
}


def _list(door: Door, path: bytes) -> bytes:
    """The names, with a NUL behind each."""

    asked, rights = decode(path), door.rights

    def may_read(real_path: str) -> bool:
        if door.is_ending():  # there may be a million of them
            raise RefusedError("the state is ending")
        return rights.allows(asked, "fs:read", real_path)

    with naming(path):
        names = names_in(rights.about(asked), asked, may_read if rights.rejects("fs:read") else None)
    return b"".join(name + b"\0" for name in names)


def _type(door: Door, path: bytes) -> bytes:
    """The kind of file; behind a `@` where the path is a symbolic link.

    Of a link that leads where nothing is, or where the state may not look, it is told that it is a link.
    """
    name = decode(path)
    with naming(path):
        try:
            with allowed_entry(door.rights.about(name), name, "fs:read") as entry:
                found = entry.status()
                if not stat.S_ISLNK(found.st_mode):
                    return _kind(found)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTDIR):
                raise  # else it may be `/`, `..` or `link/`, which name a place and no entry
            return _kind_at(door, name)
        try:
            return b"@" + _kind_at(door, name)
        except (OSError, DeniedError):
            return b"@link"


def _kind_at(door: Door, path: str) -> bytes:
    with allowed_file(door.rights.about(path), path) as file:
        return _kind(os.fstat(file.descriptor))


def _kind(found: os.stat_result) -> bytes:
    return _KINDS[stat.S_IFMT(found.st_mode)]


def _follow(door: Door, path: bytes) -> bytes:
    name = decode(path)
    with naming(path), allowed_entry(door.rights.about(name), name, "fs:read") as entry:
        entry.status()
        return entry.link()


def _copy(door: Door, source: bytes, target: bytes) -> bool:
    old, new = decode(source), decode(target)
    with naming(source), allowed_file(door.rights.about(old), old) as file:
        descriptor = file.open()
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o777
        with naming(target):
            opened = open_for_writing(door.rights.about(new), new, os.O_WRONLY | os.O_CREAT, mode)
            try:
                if opened.is_new:
                    door.count_entry()
                _copy_content(door, descriptor, opened.descriptor)
            finally:
                os.close(opened.descriptor)
    finally:
        os.close(descriptor)
    return True


def _copy_content(door: Door, source: int, target: int) -> None:
    if os.path.samestat(os.fstat(source), os.fstat(target)):
        raise OSError(errno.EINVAL, "Is the same file")
    os.ftruncate(target, 0)
    while piece := os.read(source, _CHUNK):
        write_all(target, piece[: door.port.claim_output(len(piece))])
        if door.stop.requested:
            raise RefusedError("the state is ending")


def _move(door: Door, source: bytes, target: bytes) -> bool:
    """The error is the target's where it is about both.

    What a state may not read it does not move, wherever to: other states may read elsewhere than this one, and the
    directories of both names may be moved themselves before the change is made.
    """
    rights, asked, asked_new = door.rights, decode(source), decode(target)
    with naming(source), allowed_entry(rights.about(asked), asked, "fs:read", "fs:write") as old:
        found = old.status()
        with naming(target), allowed_entry(rights.about(asked_new), asked_new, "fs:write") as new:
            is_directory = stat.S_ISDIR(found.st_mode)
            if new.is_of_directory and not is_directory:
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            # Another state may put a directory there yet: nothing that is rejected may come along, or be come upon.
            if is_directory or rights.rejects("fs:read") or rights.rejects("fs:write"):
                rights.decide_tree(asked, "fs:read", old.real_path)
                rights.decide_tree(asked, "fs:write", old.real_path)
                rights.decide_tree(asked_new, "fs:write", new.real_path)
            if stat.S_ISLNK(found.st_mode):
                _decide_on_moved_link(rights, old, new)
            os.rename(old.name, new.name, src_dir_fd=old.directory, dst_dir_fd=new.directory)
    return True


def _decide_on_moved_link(rights: Rights, old: Entry, new: Entry) -> None:
    """A relative link leads elsewhere from another directory. It may lead where the state could make one lead."""
    directory = os.path.dirname(new.real_path)
    text = decode(old.link())
    if not text.startswith("/") and directory != os.path.dirname(old.real_path):
        rights.decide_about(text, "fs:write", decode(resolved(checked(os.path.join(directory, text)))))


def _remove(door: Door, path: bytes, recursive: bool) -> bool:
    rights, asked = door.rights, decode(path)
    decide = rights.about(asked)
    with naming(path), allowed_entry(decide, asked, "fs:write") as entry:
        if not stat.S_ISDIR(entry.status().st_mode):
            os.unlink(entry.name, dir_fd=entry.directory)
        elif recursive:
            rights.decide_tree(asked, "fs:write", entry.real_path)
            remove_tree(decide, entry, door.is_ending)
        else:
            os.rmdir(entry.name, dir_fd=entry.directory)
    return True


def _make_directory(door: Door, path: bytes, parents: bool) -> bool:
    asked = decode(path)
    decide = door.rights.about(asked)
    with naming(path):
        if parents:
            make_directories(decide, asked, door.count_entry)
        else:
            with allowed_entry(decide, asked, "fs:write") as entry:
                os.mkdir(entry.name, 0o777, dir_fd=entry.directory)
            door.count_entry()
    return True


def _make_link(door: Door, target: bytes, path: bytes) -> bool:
    """The link holds the real path of its target, so that moving it changes nothing; and that may be written to."""
    rights, asked_target, asked = door.rights, decode(target), decode(path)
    with naming(target):
        name = checked(asked_target)
        real_path = resolved(name)
        Way(rights.about(asked_target), ("fs:write",), name).decide_on(real_path)
    with naming(path), allowed_entry(rights.about(asked), asked, "fs:write") as entry:
        os.symlink(real_path, entry.name, dir_fd=entry.directory)
    door.count_entry()
    return True


def _temporary_name(door: Door) -> bytes:
    """The name of an empty file that nobody else has, and that others can't open."""
    for _ in range(_TEMPORARY_TRIES):
        path = _TEMPORARY + os.urandom(6).hex()
        try:
            opened = open_for_writing(door.rights.about(path), path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        os.close(opened.descriptor)
        door.count_entry()
        return encode(path)
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))


FS_CALLS: Final[Mapping[int, Callable[..., Scalar]]] = {
    Operation.FS_LIST: _list,
    Operation.FS_TYPE: _type,
    Operation.FS_FOLLOW: _follow,
    Operation.FS_COPY: _copy,
    Operation.FS_MOVE: _move,
    Operation.FS_REMOVE: _remove,
    Operation.FS_MAKE_DIRECTORY: _make_directory,
    Operation.FS_MAKE_LINK: _make_link,
    Operation.FS_TEMPORARY_NAME: _temporary_name,
}
