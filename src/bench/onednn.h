// oneDNN, the yardstick: a peer that is measured, not a part of Belay's own path. The library is
// loaded when it is asked for and not linked, because linking it would cost every start of the
// program 5 ms. A build without its headers, or a machine without the library, has none.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tensor/dtype.h"

namespace belay::bench {

/// y[m, n] = a[m, k] b[k, n], element type of a and b. As in forward and in input gradients: b is a
/// weight in the layout that oneDNN prefers, y has the same type. weight_gradient: a is stored
/// [k, m] (gradients by row), b is not packed beforehand, y is f32.
struct MatmulShape {
  std::int64_t m, n, k;
  bool weight_gradient = false;

  double flops() const {
    return 2 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  }
};

class OneDnn {
 public:
  /// Nothing where oneDNN cannot be had.
  static std::optional<OneDnn> load();
  OneDnn(OneDnn&&) noexcept;
  OneDnn& operator=(OneDnn&&) noexcept;
  ~OneDnn();

  /// A product with operands of its own, ready to run.
  class Product {
   public:
    virtual ~Product() = default;
    /// False where the library says that it failed.
    virtual bool run() = 0;
  };
  /// Nothing where this processor has no such product. It may not outlive this object.
  std::unique_ptr<Product> prepare(tensor::DType dtype, const MatmulShape& shape,
                                   int n_threads) const;
  /// "2.6.3".
  std::string version() const;

 private:
  struct Api;
  explicit OneDnn(std::unique_ptr<const Api> api);
  std::unique_ptr<const Api> api_;
};

}  // namespace belay::bench
