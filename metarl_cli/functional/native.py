"""Loops in C, compiled when they are first needed and kept for later runs; optional.

Where there is no C compiler, or whatever else is missing, callers do the same with torch: nothing
is said, and `kernels` tells for the record which it was.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shlex
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

COMPILER_S = 120.0  # that a compiler may take
# What torch uses of the processor is what the loops may use, or they would not run elsewhere.
OF_PROCESSOR = {
    "AVX2": ["-mavx2", "-mfma"],
    "AVX512": ["-mavx512f", "-mavx2", "-mfma", "-mprefer-vector-width=512"],
}
THREADS: tuple[list[str], ...] = (
    ["-fopenmp"],
    [],
)  # a compiler without OpenMP makes loops of one thread

_wanted = True
_loaded: set[str] = set()


def use_native(wanted: bool) -> None:
    """Say whether loops in C are wanted, for the rest of the process."""
    global _wanted
    _wanted = wanted


def kernels() -> str:
    """Return what computes where there is a loop in C, so far as any has been asked for."""
    return f"native ({_processor()})" if _wanted and _loaded else "torch"


def native_library(source: Path) -> ctypes.CDLL | None:
    """Return the compiled functions of a C file; None: not wanted, or not possible here."""
    library = _library_once(source) if _wanted else None
    if library is not None:
        _loaded.add(source.name)
    return library


def compile_and_load(source: Path) -> ctypes.CDLL | None:
    """Do so afresh; what has been compiled before is taken from the cache."""
    if sys.platform == "win32":
        return None
    for threads in THREADS:
        with contextlib.suppress(OSError, RuntimeError, ValueError, subprocess.SubprocessError):
            return ctypes.CDLL(str(_compiled(source, [*_flags(), *threads])))
    return None


def cache_folder() -> Path:
    """Return the user's own folder for what has been compiled, where nobody else may write.

    Raises:
        OSError: there is none, or somebody else can write there.
        RuntimeError: the user has no home.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not folder.is_absolute():
        folder = Path.home() / ".cache"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("metarl", "native"):
        folder /= name
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        _require_own(folder, stat.S_IFDIR)
    return folder


_library_once = functools.cache(compile_and_load)


def _flags() -> list[str]:
    return ["-O3", "-std=gnu11", "-fPIC", "-shared", *OF_PROCESSOR.get(_processor(), [])]


def _processor() -> str:
    return torch.backends.cpu.get_cpu_capability()


def _compiled(source: Path, flags: list[str]) -> Path:
    """Return the library made of a source with these flags, from the cache if it is there."""
    code, compiler = source.read_bytes(), shlex.split(os.environ.get("CC", "") or "cc")
    made_of = [code, repr([compiler, flags, platform.system(), platform.machine()]).encode()]
    name = f"{source.stem}-{hashlib.sha256(b'|'.join(made_of)).hexdigest()[:32]}.so"
    path = cache_folder() / name
    if not path.exists():
        descriptor, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".unfinished")
        os.close(descriptor)
        try:
            command = [*compiler, *flags, "-o", unfinished, str(source)]
            subprocess.run(
                command,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=COMPILER_S,
            )
            os.chmod(unfinished, 0o700)
            os.replace(unfinished, path)  # several processes may have made the same
        finally:
            Path(unfinished).unlink(missing_ok=True)
    _require_own(path, stat.S_IFREG)
    return path


def _require_own(path: Path, kind: int) -> None:
    """Refuse what others have put there or could change, links included."""
    status = path.lstat()
    foreign = status.st_uid != os.geteuid() or status.st_mode & 0o022
    if foreign or stat.S_IFMT(status.st_mode) != kind:
        raise PermissionError(f"{path} is not the user's own")
