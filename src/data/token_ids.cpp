#include "data/token_ids.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace belay::data {
namespace {

using base::JsonReader;
using base::Result;
using base::Status;

constexpr base::JsonLimits kLimits{.max_bytes = std::uint64_t{64} << 20, .max_depth = 2};

Result<std::vector<std::int32_t>> document_of(const JsonReader& reader,
                                              const TokenIdLimits& limits) {
  const nlohmann::json& node = reader.node();
  if (node.is_array() && node.empty()) {
    return reader.error(base::Code::kCorrupt, "", "holds no ids", "at least one");
  }
  if (node.is_array() && node.size() > static_cast<std::size_t>(limits.longest)) {
    return base::unsupported({.where = reader.error(base::Code::kCorrupt, "", "").detail().where,
                              .what = "is longer than the model's max_position_embeddings",
                              .seen = std::to_string(node.size()) + " ids",
                              .allowed = "at most " + std::to_string(limits.longest),
                              .next = "split it"});
  }
  BELAY_ASSIGN_OR_RETURN(const std::vector<std::int64_t> wide,
                         reader.ints(0, limits.vocab_size - 1, node.size()));
  return std::vector<std::int32_t>(wide.begin(), wide.end());
}

}  // namespace

Result<TokenIds> parse_token_ids(std::string_view text, const std::string& file,
                                 const TokenIdLimits& limits) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader root, base::parse_json(text, file, kLimits));
  const nlohmann::json& node = root.node();
  TokenIds ids;
  ids.one = !node.is_array() || node.empty() || !node.front().is_array();
  if (ids.one) {
    BELAY_ASSIGN_OR_RETURN(ids.documents.emplace_back(), document_of(root, limits));
    return ids;
  }
  for (std::size_t d = 0; d < node.size(); ++d) {
    const JsonReader document(std::make_shared<const nlohmann::json>(node[d]), file,
                              "[" + std::to_string(d) + "]");
    BELAY_ASSIGN_OR_RETURN(ids.documents.emplace_back(), document_of(document, limits));
  }
  return ids;
}

Result<TokenIds> read_token_ids(base::Env& env, const std::string& path,
                                const TokenIdLimits& limits) {
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kLimits.max_bytes));
  return parse_token_ids(text, path, limits);
}

}  // namespace belay::data
