# base/version.h in the build folder: the project's version and, where git can tell, the commit. Written
# at every build, but only when it changed.
set(BELAY_GENERATED ${CMAKE_BINARY_DIR}/generated)
set(version_command
  ${CMAKE_COMMAND} -DVERSION=${PROJECT_VERSION} -DSOURCE=${CMAKE_SOURCE_DIR}
  -DOUTPUT=${BELAY_GENERATED}/base/version.h -P ${CMAKE_SOURCE_DIR}/cmake/write_version.cmake)
execute_process(COMMAND ${version_command})
add_custom_target(belay_version COMMAND ${version_command}
                  BYPRODUCTS ${BELAY_GENERATED}/base/version.h VERBATIM)
