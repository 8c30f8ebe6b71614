// Jinja, as far as chat templates use it: an interpreter of our own for templates that nobody
// vouches for. It reads no file and no clock, includes nothing, and ends: its work is counted in
// steps, every text and list has a largest size, nesting is capped. What it prints is, byte for
// byte, what jinja2 prints as Hugging Face's transformers sets it up (docs/generation.md has the
// differences).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/jinja/value.h"
#include "text/marked_text.h"

namespace belay::text::jinja {

struct Program;

struct RenderOptions {
  std::uint64_t max_steps = 4'000'000;            // a long conversation takes 100,000
  std::size_t max_bytes = std::size_t{16} << 20;  // of the result and of every text on the way
  double now_seconds = 0;                         // since 1970 UTC, for strftime_now
};

struct Rendered {
  MarkedText text;
  std::vector<ByteSpan> generated;  // of {% generation %}: what a model was to write
};

using Variables = std::vector<std::pair<std::string, Value>>;

/// Immutable; copies share.
class Template {
 public:
  /// `name` is what messages call the template. kCorrupt names the line of what cannot be read,
  /// kUnsupported what we do not do.
  static base::Result<Template> parse(std::string_view source, std::string name);
  /// Fails where jinja2 would, with the line: kCorrupt; with the message of raise_exception:
  /// kInvalidArgument; at a limit: kResource.
  base::Result<Rendered> render(const Variables& variables, const RenderOptions& options) const;

 private:
  explicit Template(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
  std::shared_ptr<const Program> program_;
};

}  // namespace belay::text::jinja
