// Token ids from a JSON file that somebody else wrote: an array of ids, or an array of such arrays
// (documents).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"

namespace belay::data {

struct TokenIds {
  std::vector<std::vector<std::int32_t>> documents;  // none of them empty
  bool one = false;                                  // the file held a plain array of ids
};

struct TokenIdLimits {
  std::int64_t vocab_size = 0;  // ids are below it
  std::int64_t longest = 0;     // ids of a document
};

/// `file` is what messages call the text.
base::Result<TokenIds> parse_token_ids(std::string_view text, const std::string& file,
                                       const TokenIdLimits& limits);
base::Result<TokenIds> read_token_ids(base::Env& env, const std::string& path,
                                      const TokenIdLimits& limits);

}  // namespace belay::data
