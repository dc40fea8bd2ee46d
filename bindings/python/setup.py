"""Builds a wheel that carries libatls and its declarations. It finds the installed library by ATLS_PREFIX, or else by pkg-config.

cffi's ABI mode: the wheel has no code that is compiled for one Python, so that one wheel serves every Python on a platform, and building
it needs no C compiler. What ABI mode gives up is the compiler's check of the declarations; they are the header's own, from the same
installation as the library, and each function that the package calls is looked up in both.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cffi import FFI
from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from atls_header import declarations, functions  # noqa: E402

CARRIED = "libatls.so.0.1"


def installed() -> tuple[Path, Path]:
    """The header and the shared library."""
    prefix = os.environ.get("ATLS_PREFIX")
    if prefix:
        include, libraries = Path(prefix, "include"), Path(prefix, "lib")
    else:
        ask = ["pkg-config", "--variable=includedir", "atls"]
        try:
            include = Path(subprocess.check_output(ask, text=True).strip())
            libraries = Path(subprocess.check_output(["pkg-config", "--variable=libdir", "atls"], text=True).strip())
        except (OSError, subprocess.CalledProcessError):
            raise SystemExit("libatls is not installed: set ATLS_PREFIX to its prefix, or PKG_CONFIG_PATH") from None
    header, library = include / "atls.h", libraries / CARRIED
    for file in (header, library):
        if not file.is_file():
            raise SystemExit(f"{file} is missing (from {'ATLS_PREFIX' if prefix else 'pkg-config'})")
    return header, library


def used(package: Path) -> set[str]:
    """The functions of the library that the package's files name."""
    return {name for file in package.glob("*.py") for name in re.findall(r"\blib\.(atls_\w+)", file.read_text())}


class Build(build_py):
    """Adds the library and what cffi makes of the header to the package."""

    def run(self) -> None:
        super().run()
        header, library = installed()
        target = Path(self.build_lib, "atls")
        text = declarations(header.read_text())
        given = ".".join(re.findall(r"^#define ATLS_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", text, re.MULTILINE))
        if given != self.distribution.get_version():
            raise SystemExit(f"{header} is of version {given}, and this package of {self.distribution.get_version()}")
        carried = ctypes.CDLL(str(library))
        for name in sorted(used(target)):
            if name not in functions(text):
                raise SystemExit(f"{header} does not declare {name}")
            if not hasattr(carried, name):
                raise SystemExit(f"{library} does not export {name}")
        ffi = FFI()
        ffi.cdef(text)
        ffi.set_source("atls._cffi", None)
        ffi.emit_python_code(str(target / "_cffi.py"))
        shutil.copyfile(library, target / CARRIED)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        made = [str(Path(self.build_lib, "atls", name)) for name in ("_cffi.py", CARRIED)]
        return [*super().get_outputs(include_bytecode), *made]


class Wheel(bdist_wheel):
    """For every Python 3, but for one platform."""

    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", super().get_tag()[2])


class Platform(Distribution):
    """Of one platform, although nothing is compiled here."""

    def has_ext_modules(self) -> bool:
        return True


setup(cmdclass={"build_py": Build, "bdist_wheel": Wheel}, distclass=Platform)
