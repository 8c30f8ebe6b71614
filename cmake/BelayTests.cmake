# tests/*_test.cpp (and the helpers beside them) make one program, belay_tests.
file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*_test.cpp)
file(GLOB helpers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*.cpp)
list(REMOVE_ITEM helpers ${tests})
set(BELAY_TESTS_OF "" CACHE STRING "Preset whose compiled tests are linked here too, instead of compiling them")

function(belay_compile_tests)
  add_library(belay_compiled_tests STATIC ${ARGN})
  target_include_directories(belay_compiled_tests PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(belay_compiled_tests PRIVATE belay_all GTest::gmock GTest::gtest)
  target_compile_definitions(belay_compiled_tests PRIVATE BELAY_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data")
  # A third less time to compile than -O3. Several at a time would save a sixth, and cost it at every edit.
  target_compile_options(belay_compiled_tests PRIVATE -O1)
  if(BELAY_PCH)
    target_precompile_headers(belay_compiled_tests PRIVATE
      <algorithm> <array> <cmath> <cstdint> <memory> <optional> <span> <string> <string_view> <vector>
      <fmt/format.h> <gmock/gmock.h> <gtest/gtest.h>)
  endif()
endfunction()

# The product is sanitized, not its tests, whose expectations take longer to compile than all of it. What the
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
    set(product ${BELAY_LIBRARY_FILES})
  else()
    set(archive $<TARGET_FILE:belay_compiled_tests>)
    belay_compile_tests(${tests} ${helpers})
  endif()
  file(WRITE ${BELAY_GENERATED}/tests.cpp "")
  add_executable(belay_tests ${BELAY_GENERATED}/tests.cpp)
  add_dependencies(belay_tests belay_compiled_tests)
  set_property(TARGET belay_tests APPEND PROPERTY LINK_DEPENDS ${archive})
  # Whole, since nothing names a test. First the product where it is sanitized: of an inline function that both
  # have, the linker keeps the sanitized copy.
  target_link_options(belay_tests PRIVATE
    LINKER:--whole-archive ${product} ${archive} LINKER:--no-whole-archive)
  set_target_properties(belay_tests PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(belay_tests PRIVATE
    belay_all GTest::gmock GTest::gtest GTest::gtest_main)
  if(TARGET belay)
    add_dependencies(belay_tests belay)
  endif()
  include(GoogleTest)
  gtest_discover_tests(belay_tests DISCOVERY_MODE PRE_TEST)
endif()
