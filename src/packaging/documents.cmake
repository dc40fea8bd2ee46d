# Licences, notices of others' work, the changelog and the examples. Debian wants them in a folder of each package's name.
set(ATLS_MAINTAINER "The libatls authors <libatls@packages.invalid>" CACHE STRING "Maintainer of the Debian packages: name <address>")
set(ATLS_DEB_LIBRARY "libatls${ATLS_ABI}")
set(ATLS_DEB_DEVELOPMENT "libatls-dev")
set(ATLS_DEB_TOOL "atls-tools")
file(GLOB ATLS_EXAMPLES CONFIGURE_DEPENDS examples-c/*.c examples-c/*.h)

if(NOT ATLS_DEBIAN)
  install(FILES LICENSE src/packaging/third-party.txt DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT library)
  install(FILES README.md CHANGELOG.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT development)
  install(FILES ${ATLS_EXAMPLES} examples-c/CMakeLists.txt DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT development)
  return()
endif()

# Nothing there is looked for beside the program.
set(CMAKE_SKIP_INSTALL_RPATH ON)

# The time of the last change, so that the same source gives the same bytes.
set(ATLS_EPOCH "$ENV{SOURCE_DATE_EPOCH}")
if(ATLS_EPOCH STREQUAL "")
  execute_process(COMMAND git log -1 --format=%ct WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
    OUTPUT_VARIABLE ATLS_EPOCH OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT ATLS_EPOCH MATCHES "^[0-9]+$")
  message(FATAL_ERROR "SOURCE_DATE_EPOCH is '${ATLS_EPOCH}', and git knows no time of the last commit: set it to seconds since 1970.")
endif()
execute_process(COMMAND date -u -R -d @${ATLS_EPOCH} OUTPUT_VARIABLE ATLS_DATE OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

set(ATLS_DEB_WORK ${CMAKE_CURRENT_BINARY_DIR}/debian)
configure_file(src/packaging/debian/changelog.in ${ATLS_DEB_WORK}/changelog @ONLY)
configure_file(CHANGELOG.md ${ATLS_DEB_WORK}/CHANGELOG.md COPYONLY)
configure_file(README.md ${ATLS_DEB_WORK}/README.md COPYONLY)
foreach(TEXT changelog CHANGELOG.md README.md)
  execute_process(COMMAND gzip -9nf ${ATLS_DEB_WORK}/${TEXT} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
foreach(COMPONENT library development tool)
  string(TOUPPER ${COMPONENT} UPPER)
  set(FOLDER ${CMAKE_INSTALL_DATAROOTDIR}/doc/${ATLS_DEB_${UPPER}})
  install(FILES src/packaging/debian/copyright ${ATLS_DEB_WORK}/changelog.gz DESTINATION ${FOLDER} COMPONENT ${COMPONENT})
endforeach()
set(FOLDER ${CMAKE_INSTALL_DATAROOTDIR}/doc/${ATLS_DEB_DEVELOPMENT})
install(FILES ${ATLS_DEB_WORK}/README.md.gz ${ATLS_DEB_WORK}/CHANGELOG.md.gz DESTINATION ${FOLDER} COMPONENT development)
install(FILES ${ATLS_EXAMPLES} examples-c/CMakeLists.txt DESTINATION ${FOLDER}/examples COMPONENT development)

# For dpkg-shlibdeps: a program depends on the version that it was linked with, which surely has all that it calls.
file(STRINGS tests/symbols.txt ATLS_SYMBOLS)
set(ATLS_SYMBOLS_TEXT "${ATLS_SONAME} ${ATLS_DEB_LIBRARY} #MINVER#\n")
foreach(SYMBOL ${ATLS_SYMBOLS})
  string(APPEND ATLS_SYMBOLS_TEXT " ${SYMBOL}@Base ${PROJECT_VERSION}\n")
endforeach()
file(WRITE ${ATLS_DEB_WORK}/symbols "${ATLS_SYMBOLS_TEXT}")
