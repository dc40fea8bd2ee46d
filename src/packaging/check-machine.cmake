# cmake -DLIBRARY=libatls.so -DSAMPLE=program -P check-machine.cmake: fails unless both are for the same machine. Cargo's own configuration files may
# name another target than the one that was asked for.
if(NOT EXISTS "${SAMPLE}")
  return()
endif()
# ELF: class and byte order, then the machine. Mach-O: magic number and processor.
function(machine RESULT FILE)
  file(READ "${FILE}" HEAD LIMIT 20 HEX)
  string(SUBSTRING "${HEAD}" 0 16 WORDS)
  if(HEAD MATCHES "^7f454c46(....)")
    set(KIND "${CMAKE_MATCH_1}")
    string(SUBSTRING "${HEAD}" 36 4 MACHINE)
    set(WORDS "ELF ${KIND} ${MACHINE}")
  endif()
  set(${RESULT} "${WORDS}" PARENT_SCOPE)
endfunction()
machine(BUILT "${LIBRARY}")
machine(WANTED "${SAMPLE}")
if(NOT BUILT STREQUAL WANTED)
  file(REMOVE "${LIBRARY}")
  message(FATAL_ERROR "cargo has built ${LIBRARY} for another machine (${BUILT}) than the C compiler's (${WANTED}). "
    "Does a cargo configuration file set build.target?")
endif()
