# A static library belay_<folder> for each folder of src/ that has sources; belay_all links them all.
# Floors and the exceptions on a floor are read from tools/layers.txt, the file that check_layers reads.

add_library(belay_common INTERFACE)
target_include_directories(belay_common INTERFACE ${CMAKE_SOURCE_DIR}/src ${BELAY_GENERATED})
target_link_libraries(belay_common INTERFACE belay_flags ${BELAY_COMMON_LIBRARIES})

if(BELAY_PCH)
  file(WRITE ${BELAY_GENERATED}/pch.cpp "")
  add_library(belay_pch STATIC ${BELAY_GENERATED}/pch.cpp)
  target_link_libraries(belay_pch PRIVATE belay_common)
  # GCC loads all of a precompiled header for every source, two of them wait for each other's pages, and
  # what few sources use costs all; clang loads what is used.
  target_precompile_headers(belay_pch PRIVATE
    <algorithm> <array> <atomic> <cmath> <cstdint> <cstring> <functional> <map> <memory> <optional>
    <span> <string> <string_view> <utility> <variant> <vector> <fmt/format.h>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_precompile_headers(belay_pch PRIVATE <nlohmann/json.hpp>)
  endif()
endif()

# Clang 16 dies of the AVX-512-BF16 kernels and, with sanitizers, spends minutes on the AVX-512 ones. GCC
# compiles them in a clang build too; both compilers' sanitizers call the same runtime.
function(belay_simd_by_gcc library isa sources options)
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    set(object ${CMAKE_BINARY_DIR}/simd/${name}_${isa}.o)
    add_custom_command(OUTPUT ${object} DEPENDS ${source} DEPFILE ${object}.d VERBATIM
      COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} g++ -std=c++20 -g1 -ffp-contract=off ${BELAY_BASE_ARCH}
        ${BELAY_SANITIZE_FLAGS} ${options} -I${CMAKE_SOURCE_DIR}/src -I${BELAY_GENERATED}
        -MD -MF ${object}.d -c ${source} -o ${object})
    target_sources(${library} PRIVATE ${object})
  endforeach()
endfunction()

# Compiles src/ops/simd/*.cpp, except dispatch*.cpp, once for each instruction set; AMX, which only replaces
# loops of the set below it, has amx.cpp to itself. The name reaches the source as BELAY_ISA. No precompiled
# header: an inline function of a standard header, compiled for AVX-512 and picked by the linker for all, would
# fault elsewhere (tools/check_isa looks).
function(belay_add_simd library)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/ops/simd/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/dispatch[^/]*\\.cpp$")
  if(NOT sources)
    return()
  endif()
  set(flags_scalar "")
  set(flags_avx2 -mavx2 -mfma -mf16c)
  set(flags_avx512 ${flags_avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq)
  set(flags_avx512bf16 ${flags_avx512} -mavx512bf16 -mavx512vnni)
  set(flags_amx ${flags_avx512bf16} -mamx-tile -mamx-bf16 -mamx-int8)
  set(flags_neon "")
  set(sets_x86 scalar avx2 avx512 avx512bf16 amx)
  set(sets_arm scalar neon)
  set(sets_other scalar)
  set(all_sources ${sources})
  foreach(isa IN LISTS sets_${BELAY_ARCH})
    set(sources ${all_sources})
    if(isa STREQUAL "amx")
      list(FILTER sources INCLUDE REGEX "/amx\\.cpp$")
    else()
      list(FILTER sources EXCLUDE REGEX "/amx\\.cpp$")
    endif()
    # A loop throws nothing; without this a guard object leaves a weak symbol behind.
    # The scalar set's arrays of sixteen, unrolled by -O3, take minutes to compile; sanitized, so do all
    # sets above -O1, and the scalar one above -Og.
    set(options -O3 -fno-exceptions -fno-math-errno -fno-trapping-math ${flags_${isa}} -DBELAY_ISA=${isa})
    if(BELAY_SANITIZE AND isa STREQUAL "scalar")
      list(APPEND options -Og)
    elseif(BELAY_SANITIZE)
      list(APPEND options -O1)
    elseif(isa STREQUAL "scalar")
      list(APPEND options -O2)
    endif()
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
      belay_simd_by_gcc(${library} ${isa} "${sources}" "${options}")
      continue()
    endif()
    add_library(belay_simd_${isa} OBJECT ${sources})
    target_link_libraries(belay_simd_${isa} PRIVATE belay_common)
    # GCC 12's own AVX-512 headers start from a value left undefined on purpose.
    target_compile_options(belay_simd_${isa} PRIVATE
      ${options} -Wno-maybe-uninitialized -Wno-uninitialized)
    target_sources(${library} PRIVATE $<TARGET_OBJECTS:belay_simd_${isa}>)
  endforeach()
endfunction()

function(belay_folder_sources folder result)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/src/cli/main\\.cpp$")
  # Kernels are compiled by belay_add_simd, CUDA by its own rule.
  file(GLOB kernels ${CMAKE_SOURCE_DIR}/src/ops/simd/*.cpp)
  list(FILTER kernels EXCLUDE REGEX "/dispatch[^/]*\\.cpp$")
  list(REMOVE_ITEM sources ${kernels})
  list(FILTER sources EXCLUDE REGEX "/src/ops/cuda/")
  set(${result} "${sources}" PARENT_SCOPE)
endfunction()

# Folders that compute nothing long: their sources, full of JSON and fmt, compile in a quarter less time at
# -O1, and sanitized at -O0 in half of it, though without the precompiled header, which is of another level.
set(BELAY_QUICK_FOLDERS bench climb cli report)
function(belay_compile_quickly library)
  if(BELAY_SANITIZE)
    target_compile_options(${library} PRIVATE -O0)
    set_target_properties(${library} PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)
  else()
    target_compile_options(${library} PRIVATE -O1)
  endif()
endfunction()

add_library(belay_all INTERFACE)
target_link_libraries(belay_all INTERFACE belay_common)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/layers.txt)
file(STRINGS ${CMAKE_SOURCE_DIR}/tools/layers.txt lines REGEX "^[0-9]+ ")
set(below "")      # libraries of the floors under this one
set(this_floor "")
set(floor_now -1)
foreach(line IN LISTS lines)
  string(REGEX MATCH "^([0-9]+) +([a-z_]+) *:? *([a-z_ ]*)$" _ "${line}")
  set(floor ${CMAKE_MATCH_1})
  set(folder ${CMAKE_MATCH_2})
  separate_arguments(beside UNIX_COMMAND "${CMAKE_MATCH_3}")
  if(NOT floor EQUAL floor_now)
    list(APPEND below ${this_floor})
    set(this_floor "")
    set(floor_now ${floor})
  endif()
  belay_folder_sources(${folder} sources)
  list(APPEND sources ${BELAY_SOURCES_${folder}})
  if(NOT sources)
    continue()
  endif()
  set(library belay_${folder})
  add_library(${library} STATIC ${sources})
  add_dependencies(${library} belay_version)
  target_link_libraries(${library} PUBLIC belay_common ${below})
  foreach(other IN LISTS beside)
    if(TARGET belay_${other})
      target_link_libraries(${library} PUBLIC belay_${other})
    endif()
  endforeach()
  target_link_libraries(${library} PUBLIC ${BELAY_LIBRARIES_${folder}})
  target_compile_definitions(${library} PRIVATE ${BELAY_DEFINITIONS_${folder}})
  if(folder STREQUAL "ops")
    belay_add_simd(${library})
  endif()
  if(BELAY_PCH)
    target_precompile_headers(${library} REUSE_FROM belay_pch)
  endif()
  if(folder IN_LIST BELAY_QUICK_FOLDERS)
    belay_compile_quickly(${library})
  endif()
  # Eight sources at a time: what they share (JSON, fmt) is read and instantiated once. So names without a
  # namespace of their own are unique in a folder.
  set_target_properties(${library} PROPERTIES UNITY_BUILD ${BELAY_UNITY} UNITY_BUILD_BATCH_SIZE 8)
  list(APPEND this_floor ${library})
  list(APPEND BELAY_LIBRARY_FILES $<TARGET_FILE:${library}>)
  target_link_libraries(belay_all INTERFACE ${library})
endforeach()
