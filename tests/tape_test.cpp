// The tape and its plan: no two live values share memory, masked gradients cost nothing and change
// nothing, taps read the residual stream, and a replayed step allocates nothing.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <nlohmann/json.hpp>
#include <set>

#include "ops_model.h"
#include "train/optimizer.h"
#include "train/step.h"

// --- Counting allocations: the program's operator new, counted between two points ---------------

namespace {
std::atomic<bool> counting{false};
std::atomic<std::int64_t> n_allocations{0};

/// Null when there is no memory.
void* allocate_or_null(std::size_t size, std::size_t alignment) noexcept {
  if (counting.load(std::memory_order_relaxed)) n_allocations.fetch_add(1);
  void* p = nullptr;
  const std::size_t at_least = std::max<std::size_t>(size, 1);
  return posix_memalign(&p, std::max(alignment, sizeof(void*)), at_least) == 0 ? p : nullptr;
}

void* allocate(std::size_t size, std::size_t alignment) {
  void* p = allocate_or_null(size, alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

// Not inlined: the compiler would see free() meet operator new and warn.
[[gnu::noinline]] void release(void* p) { std::free(p); }
}  // namespace

void* operator new(std::size_t n) { return allocate(n, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new[](std::size_t n) { return allocate(n, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t n, std::align_val_t a) {
  return allocate(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
  return allocate(n, static_cast<std::size_t>(a));
}
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  return allocate_or_null(n, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept {
  return allocate_or_null(n, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { release(p); }

namespace belay::test {
namespace {

using tensor::Node;
using tensor::Phase;

TEST(ReplayedStep, AllocatesNothing) {
  for (const bool muon : {false, true}) {
    base::Context ctx{pool_of(2)};
    const auto m = load_model(ctx, "curve_init", DType::kBF16, 64);
    train::Step step(ctx, *m, {.n_tokens = 128, .longest = 64, .checkpoint = muon});
    train::Optimizer optimizer(*m, {.muon = muon});
    const Documents docs({64, 30, 34}, m->config().vocab_size);
    step.batch().set(docs.ids, docs.targets, docs.lengths);
    n_allocations = 0;
    counting = true;
    ::operator delete(::operator new(4));  // the counter counts; a new-expression may be elided
    for (int s = 0; s < 3; ++s) {
      step.run(false);
      step.run(true);
      optimizer.step(ctx, *m, 1e-3);
    }
    counting = false;
    EXPECT_EQ(n_allocations, 1);
  }
}

// --- The plan
// --------------------------------------------------------------------------------------

/// When a planned value is written first and touched last, found without the planner.
struct Life {
  int first_write = -1, first_read = -1, last = -1;
};

std::vector<Id> written_by(const Node& n) {
  std::vector<Id> ids = n.d_in;
  if (n.phase != Phase::kBackward || n.op->is_loss()) {
    ids.insert(ids.end(), n.out.begin(), n.out.end());
  }
  std::erase(ids, tensor::kNone);
  return ids;
}

std::vector<Id> read_by(const Node& n) {
  std::vector<Id> ids = n.in;
  ids.insert(ids.end(), n.d_out.begin(), n.d_out.end());
  if (n.phase == Phase::kBackward && !n.op->is_loss()) {
    ids.insert(ids.end(), n.out.begin(), n.out.end());
  }
  std::erase(ids, tensor::kNone);
  return ids;
}

std::vector<Life> lives(const tensor::Tape& tape) {
  std::vector<Life> all(tape.values().size());
  int index = 0;
  for (const Node& n : tape.nodes()) {
    for (const Id id : written_by(n)) {
      Life& l = all[static_cast<std::size_t>(id)];
      if (l.first_write < 0) l.first_write = index;
      l.last = index;
    }
    for (const Id id : read_by(n)) {
      Life& l = all[static_cast<std::size_t>(id)];
      if (l.first_read < 0) l.first_read = index;
      l.last = index;
    }
    ++index;
  }
  for (const Id id : tape.kept()) all[static_cast<std::size_t>(id)].last = index;
  return all;
}

/// Node n lets the gradient `to`, which it begins, take the memory of `from`, which it ends.
bool in_place(const Node& n, Id to, Id from) {
  for (std::size_t i = 0; i < n.d_in.size(); ++i) {
    const int out = n.op->in_place(static_cast<int>(i));
    if (n.d_in[i] == to && out >= 0 && n.d_out[static_cast<std::size_t>(out)] == from) return true;
  }
  return false;
}

void expect_no_overlap(const tensor::Tape& tape) {
  const tensor::Plan plan = tensor::plan_memory(tape, 100);
  const std::vector<Life> all = lives(tape);
  std::vector<std::size_t> planned;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const tensor::Value& v = tape.values()[i];
    if (v.is_external || all[i].last < 0) continue;
    ASSERT_GE(plan.offset[i], 0) << "value " << i << " has no memory";
    ASSERT_EQ(plan.offset[i] % tensor::kAlignment, 0);
    ASSERT_GE(all[i].first_write, 0) << "value " << i << " is never written";
    if (all[i].first_read >= 0) {
      ASSERT_LT(all[i].first_write, all[i].first_read) << "value " << i;
    }
    const std::int64_t end = plan.offset[i] + v.shape.count() * tensor::dtype_bytes(v.dtype);
    ASSERT_LE(end, plan.scratch_offset);
    planned.push_back(i);
  }
  EXPECT_GE(plan.arena_bytes, plan.scratch_offset + 100);
  for (const std::size_t a : planned) {
    const tensor::Value& va = tape.values()[a];
    const std::int64_t end = plan.offset[a] + va.shape.count() * tensor::dtype_bytes(va.dtype);
    for (const std::size_t b : planned) {
      // b begins inside a's memory while a lives
      if (a == b || plan.offset[b] < plan.offset[a] || plan.offset[b] >= end) continue;
      const Life la = all[a], lb = all[b];
      if (la.last < lb.first_write || lb.last < la.first_write) continue;
      const bool a_first = la.first_write < lb.first_write;
      const Life& earlier = a_first ? la : lb;
      const Life& later = a_first ? lb : la;
      const auto from = static_cast<Id>(a_first ? a : b), to = static_cast<Id>(a_first ? b : a);
      const Node& n = tape.nodes()[static_cast<std::size_t>(later.first_write)];
      EXPECT_TRUE(earlier.last == later.first_write && in_place(n, to, from))
          << "values " << a << " and " << b << " share memory";
    }
  }
}

tensor::Tape record(const model::Model& m, model::Batch& batch, bool checkpoint,
                    std::vector<Id>* taps) {
  tensor::Tape tape;
  const Id h =
      model::forward(tape, m, batch.bind(tape),
                     {.longest = batch.n_tokens(), .checkpoint = checkpoint, .taps = taps});
  ops::cross_entropy(tape, h, model::bind_head(tape, m), batch.bind_targets(tape),
                     batch.bind_weights(tape));
  tape.backward();
  return tape;
}

TEST(Plan, LiveValuesNeverShareMemory) {
  for (const char* name : {"qwen3_tiny", "qwen2_tiny"}) {
    base::Context ctx{pool_of(1)};
    const auto m = load_model(ctx, name, DType::kBF16, 64);
    model::Batch batch(40);
    for (const bool checkpoint : {false, true}) {
      std::vector<Id> taps;
      for (const bool tapped : {false, true}) {
        SCOPED_TRACE(std::string(name) + (checkpoint ? ", checkpoint" : "") +
                     (tapped ? ", taps" : ""));
        expect_no_overlap(record(*m, batch, checkpoint, tapped ? &taps : nullptr));
      }
    }
  }
}

TEST(Plan, RecomputationAndReuseSaveMemory) {
  base::Context ctx{pool_of(1)};
  const auto m = load_model(ctx, "curve_init", DType::kF32, 64);
  model::Batch batch(64);
  const tensor::Tape kept = record(*m, batch, false, nullptr);
  const tensor::Tape again = record(*m, batch, true, nullptr);
  std::int64_t all = 0;
  for (const tensor::Value& v : kept.values()) {
    if (!v.is_external) all += v.shape.count() * tensor::dtype_bytes(v.dtype);
  }
  EXPECT_LT(tensor::plan_memory(kept, 0).arena_bytes, all);
  EXPECT_LT(tensor::plan_memory(again, 0).arena_bytes, tensor::plan_memory(kept, 0).arena_bytes);
}

// --- The mask of needed gradients
// --------------------------------------------------------------------

constexpr float kUntouched = 123;

/// All gradients of one batch, where those of frozen weights keep what they held, and the nodes.
std::pair<std::vector<float>, std::size_t> masked(base::Context& ctx, model::Model& m,
                                                  const std::set<std::size_t>& trained,
                                                  bool checkpoint) {
  for (std::size_t i = 0; i < m.table().size(); ++i) m.freeze(i, trained.count(i) == 0);
  const Documents docs({20, 1, 19}, m.config().vocab_size);
  train::Step step(
      ctx, m, {.n_tokens = docs.n_tokens(), .longest = docs.n_tokens(), .checkpoint = checkpoint});
  step.batch().set(docs.ids, docs.targets, docs.lengths);
  std::fill_n(m.gradients(), m.n_floats(), kUntouched);
  step.run();
  return {{m.gradients(), m.gradients() + m.n_floats()}, step.exec().tape().nodes().size()};
}

TEST(GradientMask, FrozenWeightsCostNothingAndChangeNothing) {
  for (const char* name : {"qwen3_tiny", "qwen2_tiny"}) {
    base::Context ctx{pool_of(2)};
    const auto m = load_model(ctx, name, DType::kF32, 64);
    std::set<std::size_t> every;
    for (std::size_t i = 0; i < m->table().size(); ++i) every.insert(i);
    for (const bool checkpoint : {false, true}) {
      const auto [full, n_full] = masked(ctx, *m, every, checkpoint);
      std::size_t last_nodes = 0;
      for (const std::size_t only : every) {
        SCOPED_TRACE(m->table()[only].name());
        const auto [part, n_part] = masked(ctx, *m, {only}, checkpoint);
        EXPECT_LE(n_part, n_full);
        const std::int64_t begin = m->offset(only), n = m->table()[only].shape.count();
        for (std::int64_t i = 0; i < m->n_floats(); ++i) {
          const bool inside = i >= begin && i < begin + n;
          const auto at = static_cast<std::size_t>(i);
          ASSERT_EQ(part[at], inside ? full[at] : kUntouched) << "float " << i;
        }
        if (m->table()[only].role == model::Role::kFinalNorm) last_nodes = n_part;
      }
      EXPECT_LT(last_nodes, n_full / 2 + 3) << "nothing before the last norm runs backward";
    }
  }
}

TEST(GradientMask, NothingTrainedIsForwardOnly) {
  base::Context ctx{pool_of(1)};
  const auto m = load_model(ctx, "qwen3_tiny", DType::kF32, 64);
  const auto [gradients, n_nodes] = masked(ctx, *m, {}, false);
  for (const float g : gradients) ASSERT_EQ(g, kUntouched);
  tensor::Tape tape;
  model::Batch batch(40);
  const Id h = model::forward(tape, *m, batch.bind(tape), {.longest = 40});
  ops::cross_entropy(tape, h, model::bind_head(tape, *m), batch.bind_targets(tape),
                     batch.bind_weights(tape));
  EXPECT_EQ(n_nodes, tape.nodes().size());
}

// --- Taps
// --------------------------------------------------------------------------------------------

TEST(Taps, AreTheResidualStreamOfTheOracle) {
  for (const char* name : {"qwen3_tiny", "qwen2_tiny", "llama3_tiny"}) {
    std::ifstream in(std::string(BELAY_TEST_DATA) + "/models/" + name + "/golden.json");
    const auto golden = nlohmann::json::parse(in);
    const auto ids = golden["ids"].get<std::vector<std::int32_t>>();
    auto starts = golden["doc_starts"].get<std::vector<std::int64_t>>();
    starts.push_back(static_cast<std::int64_t>(ids.size()));
    std::vector<std::int64_t> lengths;
    for (std::size_t d = 1; d < starts.size(); ++d) lengths.push_back(starts[d] - starts[d - 1]);
    base::Context ctx{pool_of(2)};
    const auto m = load_model(ctx, name, DType::kF32, 64);
    for (const bool checkpoint : {false, true}) {
      std::vector<Id> taps;
      model::Batch batch(static_cast<std::int64_t>(ids.size()));
      tensor::Exec exec(ctx, record(*m, batch, checkpoint, &taps));
      batch.set(ids, golden["targets"].get<std::vector<std::int32_t>>(), lengths);
      exec.replay();
      ASSERT_EQ(taps.size(), golden["residual_l2"].size());
      for (std::size_t i = 0; i < taps.size(); ++i) {
        const View x = exec.view(taps[i]);
        double squares = 0;
        for (std::int64_t k = 0; k < x.count(); ++k) {
          squares += std::pow(static_cast<double>(x.f32()[k]), 2);
        }
        const double expected = golden["residual_l2"][i];
        EXPECT_NEAR(std::sqrt(squares), expected, 1e-5 * expected) << name << ", tap " << i;
      }
    }
  }
}

}  // namespace
}  // namespace belay::test
