# tests/*_test.cpp (and the helpers beside them) make one program, belay_tests.
file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*_test.cpp)
file(GLOB helpers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*.cpp)
list(REMOVE_ITEM helpers ${tests})
set(BELAY_TESTS_OF "" CACHE STRING "Preset whose compiled tests are linked here too, instead of compiling them")

function(belay_compile_tests)
  add_library(belay_compiled_tests STATIC ${ARGN})
  target_include_directories(belay_compiled_tests PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  # The product's headers, not its libraries: an archive does not wait for them.
  target_link_libraries(belay_compiled_tests PRIVATE belay_common GTest::gmock GTest::gtest)
  add_dependencies(belay_compiled_tests belay_version)
  target_compile_definitions(belay_compiled_tests PRIVATE BELAY_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data")
  if(BELAY_PCH)
    target_precompile_headers(belay_compiled_tests PRIVATE
      <algorithm> <array> <cmath> <cstdint> <memory> <optional> <span> <string> <string_view> <vector>
      <fmt/format.h> <gmock/gmock.h> <gtest/gtest.h>)
  endif()
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(belay_compiled_tests PRIVATE -O1)  # a third less time to compile than -O3
    return()
  endif()
  # Clang without optimization takes a third of GCC's time. The precompiled header is of one level, so the few
  # sources that compute for long go without.
  set(long_computing
    ops_run.cpp ops_table.cpp ops_test.cpp exactness_test.cpp checkpoint_test.cpp near_duplicates_test.cpp)
  list(TRANSFORM long_computing PREPEND ${CMAKE_SOURCE_DIR}/tests/)
  set_source_files_properties(${long_computing} PROPERTIES COMPILE_OPTIONS -O1 SKIP_PRECOMPILE_HEADERS ON)
  if(BELAY_PCH)
    target_precompile_headers(belay_compiled_tests PRIVATE <nlohmann/json.hpp>)
  endif()
endfunction()

# Tests are not sanitized: their expectations would take longer to compile than all of the product. What the
# product does to a test's buffers on the heap is still seen.
function(belay_take_tests archive)
  add_custom_target(belay_compiled_tests BYPRODUCTS ${archive}
    COMMAND ${CMAKE_SOURCE_DIR}/tools/build ${BELAY_TESTS_OF} belay_compiled_tests)
endfunction()

find_package(GTest)  # `./run` builds without it; tools/build configures again once it is there
if(tests AND GTest_FOUND)
  enable_testing()
  if(BELAY_TESTS_OF)
    set(archive ${CMAKE_SOURCE_DIR}/build/${BELAY_TESTS_OF}/libbelay_compiled_tests.a)
    belay_take_tests(${archive})
  else()
    set(archive $<TARGET_FILE:belay_compiled_tests>)
    belay_compile_tests(${tests} ${helpers})
  endif()
  file(WRITE ${BELAY_GENERATED}/tests.cpp "")
  add_executable(belay_tests ${BELAY_GENERATED}/tests.cpp)
  add_dependencies(belay_tests belay_compiled_tests)
  set_property(TARGET belay_tests APPEND PROPERTY LINK_DEPENDS ${archive})
  # Whole, since nothing names a test. The product first: of an inline function that both have, the linker
  # keeps the product's copy, optimized or sanitized as it is.
  target_link_options(belay_tests PRIVATE
    LINKER:--whole-archive ${BELAY_LIBRARY_FILES} ${archive} LINKER:--no-whole-archive)
  set_target_properties(belay_tests PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(belay_tests PRIVATE
    belay_all GTest::gmock GTest::gtest GTest::gtest_main)
  if(TARGET belay)
    add_dependencies(belay_tests belay)
  endif()
  include(GoogleTest)
  gtest_discover_tests(belay_tests DISCOVERY_MODE PRE_TEST)
endif()
