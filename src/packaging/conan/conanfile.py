# Conan 2 recipe: `conan create src/packaging/conan`, in a checkout. Builds with CMake, which calls the cargo of the machine.
import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rm, rmdir

required_conan_version = ">=2.0"
ROOT = os.path.join("..", "..", "..")


class AtlsConan(ConanFile):
    name = "atls"
    description = "Attested TLS for C: prove that a server runs inside a TEE, then stream from it"
    license = "MIT OR Apache-2.0"
    topics = ("tls", "attestation", "tee", "http")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": True}
    languages = "C"

    def set_version(self):
        manifest = load(self, os.path.join(self.recipe_folder, ROOT, "Cargo.toml"))
        self.version = re.search(r'^version = "([^"]+)"', manifest, re.M).group(1)

    def export_sources(self):
        for pattern in ("Cargo.*", "CMakeLists.txt", "*.md", "LICENSE", ".cargo/*", "include/*", "src/*", "examples-c/*", "tests/*"):
            copy(self, pattern, os.path.join(self.recipe_folder, ROOT), self.export_sources_folder, excludes=("target/*", "*/target/*"))

    def validate(self):
        if self.settings.os not in ("Linux", "Macos"):
            raise ConanInvalidConfiguration(f"libatls is not built for {self.settings.os}")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["ATLS_BUILD_TESTS"] = False
        toolchain.cache_variables["ATLS_BUILD_TOOL"] = False
        toolchain.cache_variables["CMAKE_INSTALL_LIBDIR"] = "lib"
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        # CMake installs both libraries. A linker would take the shared one, whichever is meant.
        for pattern in ("libatls.a",) if self.options.shared else ("libatls*.so*", "libatls*.dylib"):
            rm(self, pattern, os.path.join(self.package_folder, "lib"))
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        copy(self, "third-party.txt", os.path.join(self.source_folder, "src", "packaging"), os.path.join(self.package_folder, "licenses"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "atls")
        self.cpp_info.set_property("cmake_target_name", "atls::atls")
        self.cpp_info.set_property("pkg_config_name", "atls")
        self.cpp_info.libs = ["atls"]
        if not self.options.shared and self.settings.os == "Linux":
            self.cpp_info.system_libs = ["util", "rt", "pthread", "m", "dl"]
