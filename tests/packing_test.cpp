// Rows of packed documents through the training step: each document has the bits that it has alone.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "base/cpu.h"
#include "data/batches.h"
#include "data/dataset.h"
#include "train/dial.h"
#include "train/step.h"

namespace belay {
namespace {

using tensor::DType;

constexpr std::int64_t kContext = 96;

/// Texts of 1 to 150 bytes: several to a row, and longer than one.
data::Dataset texts() {
  std::vector<std::string> documents;
  const std::string text = "It was the best of times, it was the worst of times; ";
  for (const std::size_t n : {5, 1, 40, 150, 64, 2, 65, 33, 17, 96, 7, 128, 3, 90}) {
    std::string document;
    while (document.size() < n) document += text.substr(documents.size()) + std::to_string(n);
    documents.push_back(document.substr(0, n));
  }
  return data::Dataset::of_bytes(documents, {}, "texts");
}

class PackedRows : public testing::TestWithParam<std::tuple<DType, int>> {
 protected:
  struct Rows {
    std::vector<std::int32_t> ids, targets;
    std::vector<std::int64_t> lengths;
  };
  /// log p of every target, and the loss.
  std::pair<std::vector<float>, float> run(const Rows& rows) {
    const auto n = static_cast<std::int64_t>(rows.ids.size());
    train::Step step(ctx_, model_, {.n_tokens = n, .longest = std::min(n, kContext)});
    step.batch().set(rows.ids, rows.targets, rows.lengths);
    const float loss = step.run();
    return {{step.logprobs().begin(), step.logprobs().end()}, loss};
  }
  void expect_each_as_alone(const data::TokenStream& stream) {
    const data::Batches batches(stream, kContext, 3);
    Rows rows;
    batches.fill(1, 5, rows.ids, rows.targets, rows.lengths);
    ASSERT_GT(rows.lengths.size(), 8u);
    const auto [packed, loss] = run(rows);
    double sum = 0;
    std::size_t begin = 0, n_targets = 0;
    for (const std::int64_t length : rows.lengths) {
      const auto n = static_cast<std::size_t>(length);
      const auto cut = [&](const std::vector<std::int32_t>& all) {
        const auto first = all.begin() + static_cast<std::ptrdiff_t>(begin);
        return std::vector<std::int32_t>(first, first + length);
      };
      const auto alone = run({cut(rows.ids), cut(rows.targets), {length}}).first;
      EXPECT_EQ(std::memcmp(alone.data(), packed.data() + begin, n * sizeof(float)), 0)
          << "a document of " << length << " tokens at " << begin;
      for (std::size_t i = begin; i < begin + n; ++i) {
        sum -= static_cast<double>(packed[i]);
        n_targets += rows.targets[i] >= 0 ? 1 : 0;
      }
      begin += n;
    }
    EXPECT_EQ(begin, rows.ids.size());
    EXPECT_NEAR(loss, sum / static_cast<double>(n_targets), 1e-5);
  }

  base::ThreadPool pool_{std::get<1>(GetParam())};
  base::Context ctx_{pool_};
  model::Model model_ = [this] {
    model::Model model(train::config_of_depth(2, 320, kContext), std::get<0>(GetParam()), true,
                       kContext);
    model.initialize(ctx_, 1);
    return model;
  }();
};

TEST_P(PackedRows, HaveTheBitsOfEachDocumentAlone) { expect_each_as_alone(texts().train()); }

TEST_P(PackedRows, SoTheyHaveWhereDocumentsBeginWithEndOfText) {
  const data::Dataset bytes = texts();
  std::vector<std::uint16_t> ids;
  std::vector<store::ShardDocument> documents;
  for (std::int64_t d = 0; d < bytes.train().n_documents(); ++d) {
    documents.push_back({.first_token = ids.size()});
    ids.push_back(256);
    const std::int64_t begin = bytes.train().document_begin(d);
    std::vector<std::int32_t> text(
        static_cast<std::size_t>(bytes.train().document_begin(d + 1) - begin));
    bytes.train().read(begin, text);
    ids.insert(ids.end(), text.begin(), text.end());
  }
  expect_each_as_alone(data::TokenStream({{std::as_bytes(std::span(ids)), 2, documents}}, 256));
}

INSTANTIATE_TEST_SUITE_P(Types, PackedRows,
                         testing::Combine(testing::Values(DType::kF32, DType::kBF16),
                                          testing::Values(1, 3)),
                         [](const auto& p) {
                           return std::string(tensor::dtype_name(std::get<0>(p.param))) + "_" +
                                  std::to_string(std::get<1>(p.param));
                         });

}  // namespace
}  // namespace belay
