#include "base/unpack.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>

#include <vector>

#include "base/status.h"

namespace belay::base {
namespace {

constexpr std::size_t kInputBytes = std::size_t{1} << 16;
constexpr std::uint64_t kMostMemory = std::uint64_t{512} << 20;

/// Packed bytes in, bytes out; each call moves at least one byte of either, or says why it cannot.
class Codec {
 public:
  struct Moved {
    std::size_t consumed = 0, produced = 0;
    bool complete = false;  // what was read so far may be the whole file
  };
  virtual ~Codec() = default;
  /// `last`: no bytes follow `in`.
  virtual Result<Moved> move(std::span<const std::byte> in, std::span<std::byte> out,
                             bool last) = 0;
};

Status broken(std::string_view format, std::string_view detail) {
  return corrupt({.what = "is not valid " + std::string(format),
                  .seen = std::string(detail),
                  .next = "copy or pack it again"});
}

Status too_much_memory(std::string_view format) {
  return resource_exhausted({.what = "needs too much memory to unpack " + std::string(format),
                             .allowed = "at most 512 MiB",
                             .next = "unpack it with its own program"});
}

class Gzip final : public Codec {
 public:
  Gzip() { ready_ = inflateInit2(&stream_, 16 + MAX_WBITS) == Z_OK; }
  ~Gzip() override { inflateEnd(&stream_); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  Result<Moved> move(std::span<const std::byte> in, std::span<std::byte> out, bool) override {
    if (!ready_) return too_much_memory("gzip data");
    if (ended_ && !in.empty()) {  // a further member
      inflateReset(&stream_);
      ended_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(out.size(), 1u << 30));
    const std::size_t room = stream_.avail_out;
    const int code = ended_ ? Z_BUF_ERROR : inflate(&stream_, Z_NO_FLUSH);
    if (code == Z_MEM_ERROR) return too_much_memory("gzip data");
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      return broken("gzip data", stream_.msg == nullptr ? "" : stream_.msg);
    }
    ended_ = ended_ || code == Z_STREAM_END;
    return Moved{in.size() - stream_.avail_in, room - stream_.avail_out, ended_};
  }

 private:
  z_stream stream_{};
  bool ready_ = false, ended_ = false;
};

class Xz final : public Codec {
 public:
  Xz() { ready_ = lzma_stream_decoder(&stream_, kMostMemory, LZMA_CONCATENATED) == LZMA_OK; }
  ~Xz() override { lzma_end(&stream_); }
  Xz(const Xz&) = delete;
  Xz& operator=(const Xz&) = delete;

  Result<Moved> move(std::span<const std::byte> in, std::span<std::byte> out, bool last) override {
    if (!ready_) return too_much_memory("xz data");
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream_.avail_out = out.size();
    const lzma_ret code =
        ended_ ? LZMA_BUF_ERROR : lzma_code(&stream_, last ? LZMA_FINISH : LZMA_RUN);
    switch (code) {
      case LZMA_OK:
      case LZMA_BUF_ERROR: break;
      case LZMA_STREAM_END: ended_ = true; break;
      case LZMA_MEM_ERROR:
      case LZMA_MEMLIMIT_ERROR: return too_much_memory("xz data");
      case LZMA_FORMAT_ERROR: return broken("xz data", "other bytes than xz begins with");
      default: return broken("xz data", "a checksum or a field that does not match");
    }
    return Moved{in.size() - stream_.avail_in, out.size() - stream_.avail_out, ended_};
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ready_ = false, ended_ = false;
};

class Zstd final : public Codec {
 public:
  Zstd() : stream_(ZSTD_createDStream()) {}
  ~Zstd() override { ZSTD_freeDStream(stream_); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;

  Result<Moved> move(std::span<const std::byte> in, std::span<std::byte> out, bool) override {
    if (stream_ == nullptr) return too_much_memory("zstd data");
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    if (!in.empty() || !complete_) {
      const std::size_t left = ZSTD_decompressStream(stream_, &to, &from);
      if (ZSTD_isError(left) != 0) {
        const std::string_view why = ZSTD_getErrorName(left);
        // The window of `zstd --long=28` and above.
        if (why.find("memory") != std::string_view::npos) return too_much_memory("zstd data");
        return broken("zstd data", why);
      }
      complete_ = left == 0;
    }
    return Moved{from.pos, to.pos, complete_};
  }

 private:
  ZSTD_DStream* stream_;
  bool complete_ = false;
};

class Unpacked final : public ReadableFile {
 public:
  Unpacked(std::unique_ptr<ReadableFile> file, std::unique_ptr<Codec> codec, std::string name)
      : file_(std::move(file)),
        codec_(std::move(codec)),
        name_(std::move(name)),
        input_(kInputBytes) {}

  Result<std::size_t> read(std::span<std::byte> out) override {
    if (out.empty()) return std::size_t{0};
    while (true) {
      if (begin_ == end_ && !last_) BELAY_RETURN_IF_ERROR(refill());
      auto moved = codec_->move(std::span(input_).subspan(begin_, end_ - begin_), out, last_);
      if (!moved.ok()) return moved.status().within(name_);
      begin_ += moved->consumed;
      if (moved->produced > 0) return moved->produced;
      if (moved->consumed > 0 || !last_) continue;
      if (moved->complete && begin_ == end_) return std::size_t{0};
      return corrupt({.where = name_,
                      .what = "ends in the middle of its packed data",
                      .next = "copy or pack it again"});
    }
  }

 private:
  Status refill() {
    BELAY_ASSIGN_OR_RETURN(const std::size_t n, file_->read(input_));
    begin_ = 0;
    end_ = n;
    last_ = n == 0;
    return {};
  }

  std::unique_ptr<ReadableFile> file_;
  std::unique_ptr<Codec> codec_;
  std::string name_;
  std::vector<std::byte> input_;
  std::size_t begin_ = 0, end_ = 0;
  bool last_ = false;
};

struct Ending {
  std::string_view text;
  Compression compression;
};
constexpr Ending kEndings[] = {
    {".gz", Compression::kGzip}, {".xz", Compression::kXz}, {".zst", Compression::kZstd}};

}  // namespace

Compression compression_of(std::string_view name) {
  for (const Ending& ending : kEndings) {
    if (name.ends_with(ending.text)) return ending.compression;
  }
  return Compression::kNone;
}

std::string_view unpacked_name(std::string_view name) {
  for (const Ending& ending : kEndings) {
    if (name.ends_with(ending.text)) name.remove_suffix(ending.text.size());
  }
  return name;
}

std::unique_ptr<ReadableFile> unpack(std::unique_ptr<ReadableFile> file, Compression compression,
                                     std::string name) {
  std::unique_ptr<Codec> codec;
  switch (compression) {
    case Compression::kNone: return file;
    case Compression::kGzip: codec = std::make_unique<Gzip>(); break;
    case Compression::kXz: codec = std::make_unique<Xz>(); break;
    case Compression::kZstd: codec = std::make_unique<Zstd>(); break;
  }
  return std::make_unique<Unpacked>(std::move(file), std::move(codec), std::move(name));
}

}  // namespace belay::base
