#include "cli/chat_view.h"

namespace belay::cli {
namespace {

constexpr std::string_view kDim = "\x1b[2m", kPlain = "\x1b[0m";

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  return std::string(text.substr(0, text.find_last_not_of(kBlank) + 1));
}

}  // namespace

AnswerView::AnswerView(Write write, bool terminal, bool begins_inside)
    : write_(std::move(write)), terminal_(terminal), stream_(begins_inside) {}

void AnswerView::show(const std::vector<text::ThinkingStream::Piece>& pieces) {
  for (const auto& piece : pieces) {
    (piece.thinking ? thinking_ : text_) += piece.text;
    if (!write_ || (piece.thinking && !terminal_)) continue;
    if (piece.thinking != dim_) write_(piece.thinking ? kDim : "\x1b[0m\n\n");
    dim_ = piece.thinking;
    write_(piece.text);
  }
}

void AnswerView::push(std::string_view token_bytes) { show(stream_.push(utf8_.push(token_bytes))); }

void AnswerView::finish() {
  show(stream_.push(utf8_.finish()));
  show(stream_.finish());
  if (dim_ && write_) write_(kPlain);
  dim_ = false;
}

std::string AnswerView::text() const { return trimmed(text_); }
std::string AnswerView::thinking() const { return trimmed(thinking_); }

}  // namespace belay::cli
