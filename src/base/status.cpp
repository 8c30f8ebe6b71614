#include "base/status.h"

#include <array>

namespace belay::base {

struct Status::Fault {
  Code code;
  Detail detail;
};

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kInvalidArgument: return "invalid argument";
    case Code::kNotFound: return "not found";
    case Code::kCorrupt: return "corrupt";
    case Code::kUnsupported: return "unsupported";
    case Code::kResource: return "resource exhausted";
    case Code::kIo: return "io";
    case Code::kCancelled: return "cancelled";
  }
  return "?";
}

Status::Status(Code code, Detail detail) {
  BELAY_CHECK(code != Code::kOk, "a failure needs a code other than kOk");
  fault_ = std::make_shared<const Fault>(Fault{code, std::move(detail)});
}

Code Status::code() const { return fault_ ? fault_->code : Code::kOk; }

const Detail& Status::detail() const {
  static const Detail kNone;
  return fault_ ? fault_->detail : kNone;
}

std::string Status::message() const {
  if (ok()) return "ok";
  const Detail& d = fault_->detail;
  std::string text = d.where;
  if (!text.empty()) text += ": ";
  text += d.what.empty() ? std::string(code_name(fault_->code)) : d.what;
  if (!d.seen.empty() || !d.allowed.empty()) {
    text += " (";
    if (!d.seen.empty()) text += "seen " + d.seen;
    if (!d.seen.empty() && !d.allowed.empty()) text += "; ";
    if (!d.allowed.empty()) text += "allowed " + d.allowed;
    text += ")";
  }
  if (!d.next.empty()) text += "; " + d.next;
  return text;
}

Status Status::within(std::string_view outer) const {
  if (ok()) return *this;
  Detail detail = fault_->detail;
  detail.where =
      detail.where.empty() ? std::string(outer) : std::string(outer) + ": " + detail.where;
  return {fault_->code, std::move(detail)};
}

std::string printable(std::string_view untrusted, std::size_t max_bytes) {
  static constexpr std::array<char, 17> kHex = {"0123456789abcdef"};
  std::string text = "'";
  for (const char c : untrusted.substr(0, max_bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '\\') {
      text += c;
    } else {
      text += "\\x";
      text += kHex[byte >> 4];
      text += kHex[byte & 15u];
    }
  }
  return text + (untrusted.size() > max_bytes ? "...'" : "'");
}

namespace internal {
void check_failed(const char* file, int line, const char* condition, std::string_view message) {
  throw std::logic_error(std::string(file) + ":" + std::to_string(line) + ": " + condition + ": " +
                         std::string(message));
}
}  // namespace internal

}  // namespace belay::base
