#include "cli/chat_view.h"
#include "base/trim.h"

namespace belay::cli {
namespace {

constexpr std::string_view kDim = "\x1b[2m", kPlain = "\x1b[0m";

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

std::string AnswerView::text() const { return std::string(base::trimmed(text_)); }
std::string AnswerView::thinking() const { return std::string(base::trimmed(thinking_)); }

}  // namespace belay::cli
