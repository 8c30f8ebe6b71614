#include "bench/onednn.h"

#include <fmt/core.h>

#include <vector>

#if BELAY_HAVE_DNNL
#include <dnnl.h>
#endif

// The C interface changed with version 3; Debian 12 has 2.
#if BELAY_HAVE_DNNL && DNNL_VERSION_MAJOR == 2
#include <dlfcn.h>

namespace belay::bench {

struct OneDnn::Api {
  decltype(&dnnl_version) version;
  decltype(&dnnl_engine_create) engine_create;
  decltype(&dnnl_engine_destroy) engine_destroy;
  decltype(&dnnl_stream_create) stream_create;
  decltype(&dnnl_stream_wait) stream_wait;
  decltype(&dnnl_stream_destroy) stream_destroy;
  decltype(&dnnl_memory_desc_init_by_tag) memory_desc_init_by_tag;
  decltype(&dnnl_memory_create) memory_create;
  decltype(&dnnl_memory_destroy) memory_destroy;
  decltype(&dnnl_matmul_desc_init) matmul_desc_init;
  decltype(&dnnl_primitive_desc_create) primitive_desc_create;
  decltype(&dnnl_primitive_desc_query_md) primitive_desc_query_md;
  decltype(&dnnl_primitive_desc_destroy) primitive_desc_destroy;
  decltype(&dnnl_reorder_primitive_desc_create) reorder_primitive_desc_create;
  decltype(&dnnl_primitive_create) primitive_create;
  decltype(&dnnl_primitive_execute) primitive_execute;
  decltype(&dnnl_primitive_destroy) primitive_destroy;
  void (*omp_set_num_threads)(int);

  /// False when a function is missing.
  bool find_all(void* library) {
    bool all = true;
    const auto find = [&](auto& function, const char* name) {
      function =
          reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      all = all && function != nullptr;
    };
    find(version, "dnnl_version");
    find(engine_create, "dnnl_engine_create");
    find(engine_destroy, "dnnl_engine_destroy");
    find(stream_create, "dnnl_stream_create");
    find(stream_wait, "dnnl_stream_wait");
    find(stream_destroy, "dnnl_stream_destroy");
    find(memory_desc_init_by_tag, "dnnl_memory_desc_init_by_tag");
    find(memory_create, "dnnl_memory_create");
    find(memory_destroy, "dnnl_memory_destroy");
    find(matmul_desc_init, "dnnl_matmul_desc_init");
    find(primitive_desc_create, "dnnl_primitive_desc_create");
    find(primitive_desc_query_md, "dnnl_primitive_desc_query_md");
    find(primitive_desc_destroy, "dnnl_primitive_desc_destroy");
    find(reorder_primitive_desc_create, "dnnl_reorder_primitive_desc_create");
    find(primitive_create, "dnnl_primitive_create");
    find(primitive_execute, "dnnl_primitive_execute");
    find(primitive_destroy, "dnnl_primitive_destroy");
    find(omp_set_num_threads, "omp_set_num_threads");  // of the OpenMP that oneDNN is linked to
    return all;
  }
};

namespace {

template <class T>
class Owned {
 public:
  explicit Owned(dnnl_status_t (*destroy)(T)) : destroy_(destroy) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (value_ != nullptr) destroy_(value_);
  }
  T* out() { return &value_; }
  T get() const { return value_; }

 private:
  T value_ = nullptr;
  dnnl_status_t (*destroy_)(T);
};

bool ok(dnnl_status_t status) { return status == dnnl_success; }

/// Engine and stream of the CPU.
template <class Api>
struct Session {
  explicit Session(const Api& functions)
      : api(functions), engine(api.engine_destroy), stream(api.stream_destroy) {
    good = ok(api.engine_create(engine.out(), dnnl_cpu, 0)) &&
           ok(api.stream_create(stream.out(), engine.get(), dnnl_stream_default_flags));
  }

  bool run(dnnl_primitive_t primitive, const std::vector<dnnl_exec_arg_t>& args) const {
    return ok(api.primitive_execute(primitive, stream.get(), static_cast<int>(args.size()),
                                    args.data())) &&
           ok(api.stream_wait(stream.get()));
  }

  /// Numbers of mean zero: zeros would draw less power and run at a higher clock.
  bool fill(dnnl_memory_t memory, const dnnl_memory_desc_t& desc) const {
    dnnl_memory_desc_t plain;
    if (!ok(api.memory_desc_init_by_tag(&plain, 2, desc.dims, dnnl_f32, dnnl_ab))) return false;
    std::vector<float> values(static_cast<std::size_t>(desc.dims[0] * desc.dims[1]));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(static_cast<int>(i * 2654435761u % 2001) - 1000) * 1e-3f;
    }
    Owned<dnnl_memory_t> source(api.memory_destroy);
    Owned<dnnl_primitive_desc_t> pd(api.primitive_desc_destroy);
    Owned<dnnl_primitive_t> reorder(api.primitive_destroy);
    return ok(api.memory_create(source.out(), &plain, engine.get(), values.data())) &&
           ok(api.reorder_primitive_desc_create(pd.out(), &plain, engine.get(), &desc, engine.get(),
                                                nullptr)) &&
           ok(api.primitive_create(reorder.out(), pd.get())) &&
           run(reorder.get(), {{DNNL_ARG_FROM, source.get()}, {DNNL_ARG_TO, memory}});
  }

  const Api& api;
  Owned<dnnl_engine_t> engine;
  Owned<dnnl_stream_t> stream;
  bool good = false;
};

/// The operands' layouts: a, b, y.
template <class Api>
bool describe(const Api& api, tensor::DType dtype, const MatmulShape& s,
              dnnl_memory_desc_t (&d)[3]) {
  const dnnl_dims_t a{s.m, s.k}, b{s.k, s.n}, y{s.m, s.n};
  const auto type = dtype == tensor::DType::kBF16 ? dnnl_bf16 : dnnl_f32;
  const bool gradient = s.weight_gradient;
  return ok(api.memory_desc_init_by_tag(&d[0], 2, a, type, gradient ? dnnl_ba : dnnl_ab)) &&
         ok(api.memory_desc_init_by_tag(&d[1], 2, b, type,
                                        gradient ? dnnl_ab : dnnl_format_tag_any)) &&
         ok(api.memory_desc_init_by_tag(&d[2], 2, y, gradient ? dnnl_f32 : type, dnnl_ab));
}

template <class Api>
class Prepared : public OneDnn::Product {
 public:
  explicit Prepared(const Api& api)
      : session_(api),
        matmul_(api.primitive_destroy),
        a_(api.memory_destroy),
        b_(api.memory_destroy),
        y_(api.memory_destroy) {}

  bool prepare(tensor::DType dtype, const MatmulShape& shape) {
    const Api& api = session_.api;
    dnnl_memory_desc_t wanted[3];
    dnnl_matmul_desc_t desc;
    Owned<dnnl_primitive_desc_t> pd(api.primitive_desc_destroy);
    if (!session_.good || !describe(api, dtype, shape, wanted) ||
        !ok(api.matmul_desc_init(&desc, &wanted[0], &wanted[1], nullptr, &wanted[2])) ||
        !ok(api.primitive_desc_create(pd.out(), &desc, nullptr, session_.engine.get(), nullptr)) ||
        !ok(api.primitive_create(matmul_.out(), pd.get()))) {
      return false;
    }
    const dnnl_memory_desc_t& packed =
        *api.primitive_desc_query_md(pd.get(), dnnl_query_weights_md, 0);
    const auto create = [&](Owned<dnnl_memory_t>& memory, const dnnl_memory_desc_t& layout) {
      return ok(
          api.memory_create(memory.out(), &layout, session_.engine.get(), DNNL_MEMORY_ALLOCATE));
    };
    if (!create(a_, wanted[0]) || !create(b_, packed) || !create(y_, wanted[2]) ||
        !session_.fill(a_.get(), wanted[0]) || !session_.fill(b_.get(), packed)) {
      return false;
    }
    args_ = {{DNNL_ARG_SRC, a_.get()}, {DNNL_ARG_WEIGHTS, b_.get()}, {DNNL_ARG_DST, y_.get()}};
    return true;
  }

  bool run() override { return session_.run(matmul_.get(), args_); }

 private:
  Session<Api> session_;
  Owned<dnnl_primitive_t> matmul_;
  Owned<dnnl_memory_t> a_, b_, y_;
  std::vector<dnnl_exec_arg_t> args_;
};

}  // namespace

std::optional<OneDnn> OneDnn::load() {
  const std::string name = fmt::format("libdnnl.so.{}", DNNL_VERSION_MAJOR);
  // Never closed: its OpenMP threads live as long as the process.
  void* library = dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) return std::nullopt;
  auto api = std::make_unique<Api>();
  if (!api->find_all(library) || api->version()->major != DNNL_VERSION_MAJOR) return std::nullopt;
  return OneDnn(std::move(api));
}

std::unique_ptr<OneDnn::Product> OneDnn::prepare(tensor::DType dtype, const MatmulShape& shape,
                                                 int n_threads) const {
  api_->omp_set_num_threads(n_threads);
  auto product = std::make_unique<Prepared<Api>>(*api_);
  if (!product->prepare(dtype, shape)) return nullptr;
  return product;
}

std::string OneDnn::version() const {
  const dnnl_version_t& v = *api_->version();
  return fmt::format("{}.{}.{}", v.major, v.minor, v.patch);
}

}  // namespace belay::bench
#else
namespace belay::bench {

struct OneDnn::Api {};

std::optional<OneDnn> OneDnn::load() { return std::nullopt; }
std::unique_ptr<OneDnn::Product> OneDnn::prepare(tensor::DType, const MatmulShape&, int) const {
  return nullptr;
}
std::string OneDnn::version() const { return ""; }

}  // namespace belay::bench
#endif

namespace belay::bench {

OneDnn::OneDnn(std::unique_ptr<const Api> api) : api_(std::move(api)) {}
OneDnn::OneDnn(OneDnn&&) noexcept = default;
OneDnn& OneDnn::operator=(OneDnn&&) noexcept = default;
OneDnn::~OneDnn() = default;

}  // namespace belay::bench
