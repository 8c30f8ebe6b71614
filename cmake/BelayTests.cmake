# tests/*_test.cpp (and the helpers beside them) make one program, belay_tests.
file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*_test.cpp)
file(GLOB helpers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*.cpp)
list(REMOVE_ITEM helpers ${tests})
set(BELAY_TESTS_OF "" CACHE STRING "Preset whose compiled tests are linked here too, instead of compiling them")

function(belay_compile_tests)
  add_library(belay_test_objects OBJECT ${ARGN})
  target_include_directories(belay_test_objects PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(belay_test_objects PRIVATE belay_all GTest::gmock GTest::gtest)
  target_compile_definitions(belay_test_objects PRIVATE BELAY_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data")
  target_compile_options(belay_test_objects PRIVATE -O1)  # a third less time to compile than -O3
  if(BELAY_PCH)
    target_precompile_headers(belay_test_objects PRIVATE
      <algorithm> <array> <cmath> <cstdint> <memory> <optional> <span> <string> <string_view> <vector>
      <fmt/format.h> <gmock/gmock.h> <gtest/gtest.h>)
  endif()
endfunction()

# The product is sanitized, not its tests, whose expectations take longer to compile than all of it. What the
# product does to a test's buffers on the heap is still seen.
function(belay_take_tests result)
  set(objects "")
  foreach(source IN LISTS ARGN)
    get_filename_component(name ${source} NAME)
    list(APPEND objects
      ${CMAKE_SOURCE_DIR}/build/${BELAY_TESTS_OF}/CMakeFiles/belay_test_objects.dir/tests/${name}.o)
  endforeach()
  add_custom_target(belay_test_objects BYPRODUCTS ${objects}
    COMMAND ${CMAKE_SOURCE_DIR}/tools/build ${BELAY_TESTS_OF} belay_test_objects)
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  set(${result} ${objects} PARENT_SCOPE)
endfunction()

find_package(GTest)  # `./run` builds without it; tools/build configures again once it is there
if(tests AND GTest_FOUND)
  enable_testing()
  if(BELAY_TESTS_OF)
    belay_take_tests(objects ${tests} ${helpers})
  else()
    belay_compile_tests(${tests} ${helpers})
    set(objects $<TARGET_OBJECTS:belay_test_objects>)
  endif()
  add_executable(belay_tests ${objects})
  if(BELAY_TESTS_OF)
    # First the product: of an inline function that both have, the linker keeps the sanitized copy.
    target_link_options(belay_tests PRIVATE
      LINKER:--whole-archive ${BELAY_LIBRARY_FILES} LINKER:--no-whole-archive)
  endif()
  set_target_properties(belay_tests PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(belay_tests PRIVATE
    belay_all GTest::gmock GTest::gtest GTest::gtest_main)
  if(TARGET belay)
    add_dependencies(belay_tests belay)
  endif()
  include(GoogleTest)
  gtest_discover_tests(belay_tests DISCOVERY_MODE PRE_TEST)
endif()
