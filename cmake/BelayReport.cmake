# What a report carries: its page, and Chart.js as Debian ships it (libjs-chart.js), compressed here.
set(BELAY_SOURCES_report "")
set(REPORT_FOLDER ${CMAKE_SOURCE_DIR}/src/report)
file(GLOB REPORT_PARTS CONFIGURE_DEPENDS
  ${REPORT_FOLDER}/*.html ${REPORT_FOLDER}/*.css ${REPORT_FOLDER}/*.js)
if(REPORT_PARTS)
  find_file(BELAY_CHART_JS chart.min.js PATHS /usr/share/javascript/chart.js
    NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
  if(NOT BELAY_CHART_JS)
    message(FATAL_ERROR "Chart.js is missing: install libjs-chart.js, or set BELAY_CHART_JS to a "
      "chart.min.js of version 3.9.")
  endif()
  set(CHART_JS_PACKED ${BELAY_GENERATED}/chart.min.js.zst)
  file(SIZE ${BELAY_CHART_JS} CHART_JS_BYTES)
  file(ARCHIVE_CREATE OUTPUT ${CHART_JS_PACKED} PATHS ${BELAY_CHART_JS} FORMAT raw
    COMPRESSION Zstd COMPRESSION_LEVEL 9)
  set(BELAY_SOURCES_report ${BELAY_GENERATED}/embedded_report.S)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/embedded_report.S.in ${BELAY_SOURCES_report} @ONLY)
  set_source_files_properties(${BELAY_SOURCES_report} PROPERTIES
    LANGUAGE ASM OBJECT_DEPENDS "${REPORT_PARTS};${BELAY_CHART_JS}")
endif()
