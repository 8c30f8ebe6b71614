# The embedded corpus: the compressed files of corpus/ become read-only data of the program.
set(BELAY_CORPUS_SOURCES "")
if(EXISTS ${CMAKE_SOURCE_DIR}/corpus/books.txt.zst)
  set(CORPUS_TRAIN ${CMAKE_SOURCE_DIR}/corpus/books.txt.zst)
  set(CORPUS_VALID ${CMAKE_SOURCE_DIR}/corpus/books_valid.txt.zst)
  set(BELAY_CORPUS_SOURCES ${CMAKE_BINARY_DIR}/generated/embedded_corpus.S)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/embedded_corpus.S.in ${BELAY_CORPUS_SOURCES} @ONLY)
  set_source_files_properties(${BELAY_CORPUS_SOURCES} PROPERTIES
    LANGUAGE ASM OBJECT_DEPENDS "${CORPUS_TRAIN};${CORPUS_VALID}")
endif()
