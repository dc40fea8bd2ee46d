# Packages: a .deb for each component if ATLS_DEBIAN is on, else a .tar.gz of all. src/packaging/release.sh makes both, reproducibly.
set(CPACK_PACKAGE_NAME libatls)
set(CPACK_PACKAGE_VENDOR "the libatls authors")
set(CPACK_STRIP_FILES ON)
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_CURRENT_SOURCE_DIR}/LICENSE)
string(REGEX REPLACE "-unknown" "" ATLS_MACHINE "${ATLS_TRIPLE}")
set(CPACK_PACKAGE_FILE_NAME "libatls-${PROJECT_VERSION}-${ATLS_MACHINE}")
set(CPACK_ATLS_TRIPLE ${ATLS_TRIPLE})
set(CPACK_COMPONENTS_ALL library development)
if(TARGET atls_tool)
  list(APPEND CPACK_COMPONENTS_ALL tool)
endif()

# install(FILES) does not strip as install(TARGETS) does.
find_program(ATLS_STRIP NAMES ${CMAKE_STRIP} strip)
foreach(PAIR "library;${ATLS_SONAME};--strip-unneeded" "development;libatls.a;--strip-debug --enable-deterministic-archives")
  list(GET PAIR 0 COMPONENT)
  list(GET PAIR 1 NAME)
  list(GET PAIR 2 FLAGS)
  install(CODE "
    if(CMAKE_INSTALL_DO_STRIP AND NOT \"${ATLS_STRIP}\" STREQUAL \"\")
      set(LIBRARY \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/${NAME}\")
      separate_arguments(FLAGS UNIX_COMMAND \"${FLAGS} --remove-section=.comment --remove-section=.note\")
      execute_process(COMMAND \"${ATLS_STRIP}\" \${FLAGS} \"\${LIBRARY}\" COMMAND_ERROR_IS_FATAL ANY)
    endif()" COMPONENT ${COMPONENT})
endforeach()

if(NOT ATLS_DEBIAN)
  set(CPACK_GENERATOR TGZ)
  set(CPACK_POST_BUILD_SCRIPTS ${CMAKE_CURRENT_SOURCE_DIR}/src/packaging/tar-finish.cmake)
  include(CPack)
  return()
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SOURCE libatls)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${ATLS_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(ATLS_DEB_CPU_x86_64 amd64)
set(ATLS_DEB_CPU_aarch64 arm64)
set(ATLS_DEB_CPU_x86 i386)
set(ATLS_DEB_CPU_arm armhf)
set(ATLS_DEB_CPU_riscv64 riscv64)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE "${ATLS_DEB_CPU_${ATLS_RUST_CPU}}")
if(NOT CPACK_DEBIAN_PACKAGE_ARCHITECTURE)
  message(FATAL_ERROR "Debian's name of the architecture ${ATLS_RUST_CPU} is not known here.")
endif()

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME ${ATLS_DEB_LIBRARY})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "attested TLS: prove that a server runs inside a TEE
A client opens a TLS 1.3 connection, asks the server for hardware evidence
that is bound to this very session, judges it under a policy, and only then
sends data.

This package has the shared library.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME ${ATLS_DEB_DEVELOPMENT})
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${ATLS_DEB_LIBRARY} (= ${PROJECT_VERSION})")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "attested TLS: files for development
A client opens a TLS 1.3 connection, asks the server for hardware evidence
that is bound to this very session, judges it under a policy, and only then
sends data.

This package has the header, the static library, a clang module map, the
files for pkg-config and CMake, and examples.")
set(CPACK_DEBIAN_TOOL_PACKAGE_NAME ${ATLS_DEB_TOOL})
set(CPACK_DEBIAN_TOOL_PACKAGE_SECTION net)
set(CPACK_DEBIAN_TOOL_PACKAGE_DEPENDS "${ATLS_DEB_LIBRARY} (>= ${PROJECT_VERSION})")
set(CPACK_COMPONENT_TOOL_DESCRIPTION "attested TLS: command line tool
The command atls measures a server inside a TEE, writes a policy for it,
gets and posts data under that policy, and verifies stored evidence.")
# The dependencies on other packages. For another architecture there is nobody to ask: what Debian 12 gives the native build.
if(CMAKE_CROSSCOMPILING)
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS "libc6 (>= 2.34), libgcc-s1 (>= 4.2)")
  set(CPACK_DEBIAN_TOOL_PACKAGE_DEPENDS "${CPACK_DEBIAN_TOOL_PACKAGE_DEPENDS}, libc6 (>= 2.34)")
else()
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_TOOL_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${ATLS_LIB_DIR})
endif()
# What CPack 3.25 cannot say is added to each finished package.
set(CPACK_POST_BUILD_SCRIPTS ${CMAKE_CURRENT_SOURCE_DIR}/src/packaging/deb-finish.cmake)
set(CPACK_ATLS_DEB_WORK ${ATLS_DEB_WORK})
set(CPACK_ATLS_DEB_LIBRARY ${ATLS_DEB_LIBRARY})
set(CPACK_ATLS_ABI ${ATLS_ABI})
set(CPACK_ATLS_EPOCH ${ATLS_EPOCH})
include(CPack)
