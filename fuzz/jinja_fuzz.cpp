// Any bytes as a chat template. Rendering ends within its limits, says what is wrong in words,
// gives the same twice, and marks what came from a message: a byte that only the message has is
// content wherever it is printed.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/json.h"
#include "text/jinja/jinja.h"

namespace {

namespace jinja = belay::text::jinja;

constexpr char kMark = '\x02';

jinja::Variables variables() {
  const auto messages = belay::base::ordered_json_value(
      R"([{"role": "system", "content": "\u0002 Be brief.\n"},
          {"role": "user", "content": "a\u0002b <think>\u0002</think> \u00e9\u65e5"},
          {"role": "assistant", "content": null, "tool_calls": [{"id": "abcdef123",
             "function": {"name": "f\u0002", "arguments": {"x": 1.5, "y": [true, null]}}}]},
          {"role": "tool", "content": "\u0002", "n": 3}])");
  return {{"messages", jinja::from_json(messages, "messages").value()},
          {"tools", jinja::from_json(messages, "tools").value()},
          {"add_generation_prompt", jinja::Value(true)},
          {"bos_token", jinja::text_value("<s>")},
          {"eos_token", jinja::text_value("</s>")}};
}

void check_marks(const belay::text::MarkedText& text) {
  std::size_t at = 0;
  for (const belay::text::ByteSpan& span : text.content()) {
    if (span.begin < at || span.end <= span.begin || span.end > text.size()) std::abort();
    if (text.bytes().find(kMark, at) < span.begin) std::abort();
    at = span.end;
  }
  if (text.bytes().find(kMark, at) != std::string::npos) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto parsed = jinja::Template::parse(source, "template");
  if (!parsed.ok()) {
    if (parsed.status().message().empty()) std::abort();
    return 0;
  }
  static const jinja::Variables given = variables();
  const jinja::RenderOptions limits{.max_steps = 20'000, .max_bytes = 1 << 16};
  const auto made = parsed->render(given, limits);
  const auto again = parsed->render(given, limits);
  if (made.ok() != again.ok()) std::abort();
  if (!made.ok())
    return made.status().message() == again.status().message() ? 0 : (std::abort(), 0);
  if (made->text.bytes() != again->text.bytes() || made->text.size() > limits.max_bytes)
    std::abort();
  // An escape could make the byte, and is the template's own.
  if (source.find(kMark) == source.npos && source.find('\\') == source.npos)
    check_marks(made->text);
  return 0;
}
