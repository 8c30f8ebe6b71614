#include "model/batch.h"

#include <algorithm>

#include "base/status.h"

namespace belay::model {
namespace {

tensor::View view_of(std::vector<std::int32_t>& v) {
  return {v.data(), {static_cast<std::int64_t>(v.size())}, tensor::DType::kI32};
}

}  // namespace

Batch::Batch(std::int64_t n_tokens)
    : ids(static_cast<std::size_t>(n_tokens)),
      positions(ids.size()),
      docs(ids.size() + 2),
      targets(ids.size(), -1),
      weights(ids.size()) {
  docs[0] = 1;
  docs[2] = static_cast<std::int32_t>(n_tokens);
  for (std::size_t t = 0; t < ids.size(); ++t) positions[t] = static_cast<std::int32_t>(t);
}

void Batch::set(std::span<const std::int32_t> new_ids, std::span<const std::int32_t> new_targets,
                std::span<const std::int64_t> lengths, double share) {
  BELAY_CHECK(new_ids.size() == ids.size() && new_targets.size() == ids.size(), "a batch is full");
  std::copy(new_ids.begin(), new_ids.end(), ids.begin());
  std::copy(new_targets.begin(), new_targets.end(), targets.begin());
  std::size_t t = 0, n_docs = 0;
  for (std::int64_t length : lengths) {
    BELAY_CHECK(length > 0, "a document has tokens");
    docs[++n_docs] = static_cast<std::int32_t>(t);
    for (std::int64_t p = 0; p < length; ++p) positions[t++] = static_cast<std::int32_t>(p);
  }
  BELAY_CHECK(t == ids.size(), "documents fill the batch");
  docs[0] = static_cast<std::int32_t>(n_docs);
  docs[n_docs + 1] = static_cast<std::int32_t>(t);
  const auto n =
      std::count_if(targets.begin(), targets.end(), [](std::int32_t i) { return i >= 0; });
  const auto each = static_cast<float>(share / static_cast<double>(std::max<std::ptrdiff_t>(1, n)));
  for (std::size_t i = 0; i < ids.size(); ++i) weights[i] = targets[i] >= 0 ? each : 0.0f;
}

void Batch::set_rows(std::span<const std::int32_t> rows, std::int64_t length, double share) {
  const auto n = static_cast<std::size_t>(length);
  const std::size_t n_rows = rows.size() / (n + 1);
  std::vector<std::int32_t> in, out;
  for (std::size_t r = 0; r < n_rows; ++r) {
    const auto row = rows.subspan(r * (n + 1), n + 1);
    in.insert(in.end(), row.begin(), row.end() - 1);
    out.insert(out.end(), row.begin() + 1, row.end());
  }
  set(in, out, std::vector<std::int64_t>(n_rows, length), share);
}

BatchIds Batch::bind(tensor::Tape& tape) {
  return {tape.external(view_of(ids)), tape.external(view_of(positions)),
          tape.external(view_of(docs))};
}
tensor::Id Batch::bind_targets(tensor::Tape& tape) { return tape.external(view_of(targets)); }
tensor::Id Batch::bind_weights(tensor::Tape& tape) {
  return tape.external({weights.data(), {n_tokens()}, tensor::DType::kF32});
}

}  // namespace belay::model
