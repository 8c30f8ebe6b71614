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
  # The product is checked, not its tests: UBSan would double their compile time.
  if(BELAY_SANITIZE MATCHES undefined)
    target_compile_options(belay_tests PRIVATE -fno-sanitize=undefined)
  endif()
  if(TARGET belay)
    add_dependencies(belay_tests belay)
  endif()
  if(BELAY_PCH)
    target_precompile_headers(belay_tests PRIVATE
      <algorithm> <array> <cmath> <cstdint> <memory> <optional> <span> <string> <string_view> <vector>
      <fmt/format.h> <nlohmann/json.hpp> <gmock/gmock.h> <gtest/gtest.h>)
  endif()
  include(GoogleTest)
  gtest_discover_tests(belay_tests DISCOVERY_MODE PRE_TEST)
endif()
