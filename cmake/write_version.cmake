# Usage: cmake -DVERSION= -DSOURCE= -DOUTPUT= -P write_version.cmake
# Git is optional, and a checkout that belongs to another user is read all the same.
set(describe "")
find_program(GIT git)
if(GIT AND EXISTS ${SOURCE}/.git)
  execute_process(
    COMMAND ${GIT} -c safe.directory=* -C ${SOURCE} describe --always --dirty --abbrev=10
    OUTPUT_VARIABLE describe OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(describe)
  set(full "${VERSION}+${describe}")
else()
  set(full "${VERSION}")
endif()
set(text "// Made by the build.
#pragma once

namespace belay::base {

inline constexpr char kVersion[] = \"${VERSION}\";
inline constexpr char kCommit[] = \"${describe}\";       // empty: built outside git
inline constexpr char kFullVersion[] = \"${full}\";

}  // namespace belay::base
")
set(old "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUTPUT} "${text}")
endif()
