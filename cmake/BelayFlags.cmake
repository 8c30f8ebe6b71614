# Flags of every target, as the interface library belay_flags.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(BELAY_CCACHE ccache)
if(BELAY_CCACHE)
  # The sloppiness is what ccache needs to cache sources that use a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${BELAY_CCACHE})
endif()

add_library(belay_flags INTERFACE)
target_compile_options(belay_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wconversion;-Wshadow;-ffp-contract=off>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # GCC's -Wconversion leaves signs alone in C++; clang's would not.
  target_compile_options(belay_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-sign-conversion;-Wno-psabi>)
else()
  if(BELAY_PCH)
    target_compile_options(belay_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
  endif()
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # Wrong about std::string's operator+ in GCC 12 (bugs 105329 and 105651 of its tracker).
    target_compile_options(belay_flags INTERFACE
      $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict;-Wno-stringop-overflow;-Wno-array-bounds>)
  endif()
endif()
if(BELAY_WERROR)
  target_compile_options(belay_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(BELAY_SANITIZE)
  set(BELAY_SANITIZE_FLAGS
    -fsanitize=${BELAY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(BELAY_SANITIZE MATCHES "address.*undefined")
    # Checks of every access through a pointer that AddressSanitizer makes too; a quarter of the build time.
    list(APPEND BELAY_SANITIZE_FLAGS
      -fno-sanitize=null,vptr,object-size,nonnull-attribute,returns-nonnull-attribute)
  endif()
  target_compile_options(belay_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${BELAY_SANITIZE_FLAGS}>)
  target_link_options(belay_flags INTERFACE ${BELAY_SANITIZE_FLAGS})
  if(BELAY_FUZZ)
    target_compile_options(belay_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link>)
  endif()
endif()

# The instruction set of everything outside ops/simd.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(BELAY_ARCH x86)
  set(BELAY_BASE_ARCH -march=x86-64-v2)
  target_compile_options(belay_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${BELAY_BASE_ARCH}>)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(BELAY_ARCH arm)
else()
  set(BELAY_ARCH other)
endif()
