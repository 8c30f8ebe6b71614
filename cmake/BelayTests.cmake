# tests/*_test.cpp (and the helpers beside them) make one program, belay_tests.
file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*_test.cpp)
file(GLOB helpers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*.cpp)
list(REMOVE_ITEM helpers ${tests})
find_package(GTest)  # `./run` builds without it; tools/build configures again once it is there
if(tests AND GTest_FOUND)
  enable_testing()
  add_executable(belay_tests ${tests} ${helpers})
  target_include_directories(belay_tests PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(belay_tests PRIVATE
    belay_all GTest::gmock GTest::gtest GTest::gtest_main)
  target_compile_definitions(belay_tests PRIVATE
    BELAY_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data" BELAY_PROGRAM="$<TARGET_FILE_DIR:belay_tests>/belay")
  target_compile_options(belay_tests PRIVATE -O1)  # a third less time to compile than -O3
  # The product is checked, not its tests, whose expectations take longer to instrument than all of it.
  # What the product does to a test's buffers on the heap is still seen.
  if(BELAY_SANITIZE MATCHES address)
    target_compile_options(belay_tests PRIVATE -fno-sanitize=all)
  endif()
  if(TARGET belay)
    add_dependencies(belay_tests belay)
  endif()
  if(BELAY_PCH)
    target_precompile_headers(belay_tests PRIVATE
      <algorithm> <array> <cmath> <cstdint> <memory> <optional> <span> <string> <string_view> <vector>
      <fmt/format.h> <gmock/gmock.h> <gtest/gtest.h>)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
      target_precompile_headers(belay_tests PRIVATE <nlohmann/json.hpp>)
    endif()
  endif()
  include(GoogleTest)
  gtest_discover_tests(belay_tests DISCOVERY_MODE PRE_TEST)
endif()
