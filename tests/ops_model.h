// Small trained models of tests/data/models in memory, and token ids to run them on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/rng.h"
#include "model/hf_folder.h"
#include "model/model.h"
#include "ops_table.h"

namespace belay::test {

/// models/<name>, trained. Throws what is wrong with it.
inline std::unique_ptr<model::Model> load_model(base::Context& ctx, const std::string& name,
                                                DType dtype, std::int64_t longest) {
  const std::string folder = std::string(BELAY_TEST_DATA) + "/models/" + name;
  auto loaded = model::load_hf_folder(base::Env::posix(), folder);
  BELAY_CHECK(loaded.ok(), loaded.status().message());
  auto m = std::make_unique<model::Model>(loaded->config, dtype, true, longest);
  m->load(ctx, loaded->weights);
  return m;
}

/// Packed documents of random ids; each token's target is the next id of its document.
struct Documents {
  std::vector<std::int32_t> ids, targets;
  std::vector<std::int64_t> lengths;

  Documents(const std::vector<std::int64_t>& n, std::int64_t vocab, std::uint64_t seed = 5)
      : lengths(n) {
    const base::Rng rng(seed, base::Purpose::kTest);
    for (const std::int64_t length : lengths) {
      for (std::int64_t t = 0; t < length; ++t) {
        const auto id = rng.below(ids.size(), static_cast<std::uint64_t>(vocab));
        ids.push_back(static_cast<std::int32_t>(id));
        if (t > 0) targets.push_back(ids.back());
      }
      targets.push_back(-1);
    }
  }
  std::int64_t n_tokens() const { return static_cast<std::int64_t>(ids.size()); }
  /// Document d alone.
  Documents alone(std::size_t d) const {
    Documents one({}, 1);
    std::int64_t first = 0;
    for (std::size_t i = 0; i < d; ++i) first += lengths[i];
    one.lengths = {lengths[d]};
    one.ids.assign(ids.begin() + first, ids.begin() + first + lengths[d]);
    one.targets.assign(targets.begin() + first, targets.begin() + first + lengths[d]);
    return one;
  }
};

}  // namespace belay::test
