// Reads .gz, .xz and .zst files as what they unpack to, in memory that does not grow with the file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/env.h"

namespace belay::base {

enum class Compression : std::uint8_t { kNone, kGzip, kXz, kZstd };

/// By the end of a file's name.
Compression compression_of(std::string_view name);
/// The name without that end: "a.txt" of "a.txt.gz".
std::string_view unpacked_name(std::string_view name);

/// What the file unpacks to; kNone gives the file back. Several members, streams or frames one
/// after another are read as one. Bytes that do not belong to the format, a file that ends too
/// early and a checksum that does not match are kCorrupt; a file that needs more than 512 MiB to
/// unpack is kResource. `name` is what messages call it.
std::unique_ptr<ReadableFile> unpack(std::unique_ptr<ReadableFile> file, Compression compression,
                                     std::string name);

}  // namespace belay::base
