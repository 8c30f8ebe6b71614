// The compressed vectors of tests/data/tokenizer.
#pragma once

#include <zstd.h>

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace belay::test {

inline std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// A file of tests/data/tokenizer, unpacked when its name ends in .zst.
inline std::string vectors(const std::string& name) {
  const std::string bytes = read_all(std::string(BELAY_TEST_DATA) + "/tokenizer/" + name);
  if (!name.ends_with(".zst")) return bytes;
  std::string text;
  std::string piece(ZSTD_DStreamOutSize(), '\0');
  ZSTD_DStream* stream = ZSTD_createDStream();
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  while (in.pos < in.size) {
    ZSTD_outBuffer out{piece.data(), piece.size(), 0};
    if (ZSTD_isError(ZSTD_decompressStream(stream, &out, &in))) break;
    text.append(piece, 0, out.pos);
    if (out.pos == 0 && in.pos == in.size) break;
  }
  ZSTD_freeDStream(stream);
  return text;
}

inline std::vector<std::int32_t> encoded(const text::Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::int32_t> ids;
  tokenizer.encode(text, ids);
  return ids;
}

}  // namespace belay::test
