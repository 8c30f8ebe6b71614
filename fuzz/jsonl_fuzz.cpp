// Any bytes as a file of text: the first one says in which form (JSON lines or documents), packed
// how, and in how large pieces it is read. Records must be those of the file, and a text that is
// taken is UTF-8.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/unpack.h"
#include "data/json_lines.h"
#include "data/records.h"
#include "text/unicode.h"

namespace {

using belay::base::Compression;
using belay::base::ReadableFile;
using belay::base::Result;
using belay::data::Form;

constexpr std::uint64_t kMostUnpacked = std::uint64_t{1} << 20;

class Trickle final : public ReadableFile {
 public:
  Trickle(std::string_view text, std::size_t step) : text_(text), step_(step) {}
  Result<std::size_t> read(std::span<std::byte> out) override {
    const std::size_t n = std::min({out.size(), step_, text_.size()});
    if (n > 0) std::memcpy(out.data(), text_.data(), n);
    text_.remove_prefix(n);
    return n;
  }

 private:
  std::string_view text_;
  std::size_t step_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto compression = static_cast<Compression>(data[0] & 3);
  const Form form = (data[0] & 4) != 0 ? Form::kJsonLines : Form::kText;
  const std::size_t step = std::size_t{1} << (data[0] >> 4);
  belay::data::RecordReader reader(
      belay::base::unpack(std::make_unique<Trickle>(text, step), compression, "f"), form, "f");
  std::uint64_t end = 0;
  while (end < kMostUnpacked) {
    const auto next = reader.next();
    if (!next.ok()) {
      if (next.status().detail().where.rfind("f", 0) != 0) std::abort();
      return 0;
    }
    if (!*next) return 0;
    const belay::data::Record& record = **next;
    if (record.begin < end) std::abort();
    end = record.begin + record.bytes.size();
    if (compression == Compression::kNone &&
        text.substr(record.begin, record.bytes.size()) != record.bytes) {
      std::abort();
    }
    if (form == Form::kText) {
      (void)belay::text::valid_utf8_prefix(record.bytes);
      continue;
    }
    const auto line = belay::data::text_of_line(record.bytes, "f:1", "text");
    if (line.ok() && belay::text::valid_utf8_prefix(*line) < line->size()) std::abort();
    if (!line.ok() && line.status().detail().where.rfind("f:1", 0) != 0) std::abort();
  }
  return 0;
}
