// Tokenizes texts by all threads, long ones in blocks that threads share. The ids are those of each
// text at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/threads.h"
#include "text/tokenizer.h"

namespace belay::data {

class TextEncoder {
 public:
  /// Both outlive this.
  TextEncoder(base::ThreadPool& threads, const text::Tokenizer& tokenizer)
      : threads_(threads), tokenizer_(tokenizer) {}

  void clear();
  /// The next text; what it points to lives until clear().
  void add(std::string_view text);
  void run();
  std::size_t size() const { return ends_.size(); }
  /// Of text i after run(): end-of-text first where the tokenizer has one. `ids` are replaced.
  void document(std::size_t i, std::vector<std::int32_t>& ids) const;

 private:
  struct Block {
    std::string_view text;
    std::vector<std::int32_t> ids;
  };
  base::ThreadPool& threads_;
  const text::Tokenizer& tokenizer_;
  std::vector<Block> blocks_;
  std::vector<std::size_t>
      ends_;  // the blocks of a text end here and begin where the last one's end
};

}  // namespace belay::data
