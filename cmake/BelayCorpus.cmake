# The embedded corpus: the compressed files of corpus/ become read-only data of the program.
set(BELAY_SOURCES_data "")
if(EXISTS ${CMAKE_SOURCE_DIR}/corpus/books.txt.zst)
  set(CORPUS_TRAIN ${CMAKE_SOURCE_DIR}/corpus/books.txt.zst)
  set(CORPUS_VALID ${CMAKE_SOURCE_DIR}/corpus/books_valid.txt.zst)
  set(BELAY_SOURCES_data ${CMAKE_BINARY_DIR}/generated/embedded_corpus.S)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/embedded_corpus.S.in ${BELAY_SOURCES_data} @ONLY)
  set_source_files_properties(${BELAY_SOURCES_data} PROPERTIES
    LANGUAGE ASM OBJECT_DEPENDS "${CORPUS_TRAIN};${CORPUS_VALID}")
endif()
