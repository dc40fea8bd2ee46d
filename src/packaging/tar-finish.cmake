# Run by CPack on its archive: the same files again, sorted, with all times set to SOURCE_DATE_EPOCH if that is set.
if("$ENV{SOURCE_DATE_EPOCH}" STREQUAL "")
  return()
endif()
foreach(ARCHIVE ${CPACK_PACKAGE_FILES})
  set(FIX "${ARCHIVE}.fix")
  file(REMOVE_RECURSE "${FIX}")
  file(MAKE_DIRECTORY "${FIX}")
  execute_process(COMMAND tar -xzf "${ARCHIVE}" -C "${FIX}" COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$ENV{SOURCE_DATE_EPOCH} --format=ustar -cf - -C "${FIX}" .
    COMMAND gzip -9n OUTPUT_FILE "${ARCHIVE}" COMMAND_ERROR_IS_FATAL ANY)
  file(REMOVE_RECURSE "${FIX}")
endforeach()
