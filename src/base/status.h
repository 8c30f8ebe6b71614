// How failure travels: a Status says what went wrong, where, what was seen, what is allowed and
// what to do next; a Result<T> is a value or a Status. Both are used at every trust boundary
// (files, requests, options). Exceptions remain for misuse of our own interfaces (BELAY_CHECK);
// input never reaches one. An ok Status is one null pointer; only a failure allocates.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace belay::base {

enum class Code : std::uint8_t {
  kOk,
  kInvalidArgument,  // wrong usage: an option or a call that cannot be meant
  kNotFound,         // a file, a tensor or a name that does not exist
  kCorrupt,          // data that breaks its own format
  kUnsupported,      // well-formed data that asks for what we do not do
  kResource,         // too little memory, disk or time
  kIo,               // the operating system refused
  kCancelled,        // stopped on request
};

/// "not found", "corrupt", ...
std::string_view code_name(Code code);

/// The parts of a message; empty parts are left out of the sentence.
struct Detail {
  std::string where = {};    // file and field: "model.safetensors: tensor 'x': shape"
  std::string what = {};     // the fault: "is negative"
  std::string seen = {};     // the offending value
  std::string allowed = {};  // the values that would have been accepted
  std::string next = {};     // what the user can do about it
};

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(Code code, Detail detail);

  bool ok() const { return fault_ == nullptr; }
  Code code() const;
  /// The parts; empty when ok.
  const Detail& detail() const;
  /// One sentence: "WHERE: WHAT (seen SEEN; allowed ALLOWED); NEXT". "ok" when ok.
  std::string message() const;
  /// The same failure seen from further out: WHERE is prefixed with "outer: ".
  Status within(std::string_view outer) const;

 private:
  struct Fault;
  std::shared_ptr<const Fault> fault_;
};

inline Status invalid_argument(Detail detail) {
  return {Code::kInvalidArgument, std::move(detail)};
}
inline Status not_found(Detail detail) { return {Code::kNotFound, std::move(detail)}; }
inline Status corrupt(Detail detail) { return {Code::kCorrupt, std::move(detail)}; }
inline Status unsupported(Detail detail) { return {Code::kUnsupported, std::move(detail)}; }
inline Status resource_exhausted(Detail detail) { return {Code::kResource, std::move(detail)}; }
inline Status io_error(Detail detail) { return {Code::kIo, std::move(detail)}; }
inline Status cancelled(Detail detail) { return {Code::kCancelled, std::move(detail)}; }

/// Untrusted text made fit for a message: in single quotes, cut to max_bytes, control bytes and
/// bytes outside ASCII escaped, so that a hostile name cannot drive a terminal or forge a second
/// line.
std::string printable(std::string_view untrusted, std::size_t max_bytes = 120);

namespace internal {
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               std::string_view message);
}  // namespace internal

/// For our own bugs only: throws std::logic_error when the condition is false.
#define BELAY_CHECK(condition, message)                                               \
  do {                                                                                \
    if (!(condition)) {                                                               \
      ::belay::base::internal::check_failed(__FILE__, __LINE__, #condition, message); \
    }                                                                                 \
  } while (false)

template <class T>
class [[nodiscard]] Result {
 public:
  using Value = T;
  Result(T value)
      : state_(std::in_place_index<1>, std::move(value)) {}  // NOLINT: implicit by intent
  Result(Status status) : state_(std::in_place_index<0>, std::move(status)) {  // NOLINT
    BELAY_CHECK(!std::get<0>(state_).ok(), "a Result made of a Status needs a failure");
  }

  bool ok() const { return state_.index() == 1; }
  Status status() const { return ok() ? Status() : std::get<0>(state_); }

  /// The value; asking a failed Result for it is a bug of the caller.
  T& value() & { return check(), std::get<1>(state_); }
  const T& value() const& { return check(), std::get<1>(state_); }
  T value() && {
    return check(), std::get<1>(std::move(state_));
  }  // a value: for (x : *f()) is safe
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  void check() const { BELAY_CHECK(ok(), std::get<0>(state_).message()); }
  std::variant<Status, T> state_;
};

#define BELAY_CONCAT_(a, b) a##b
#define BELAY_CONCAT(a, b) BELAY_CONCAT_(a, b)

/// Returns from the enclosing function when the Status is a failure.
#define BELAY_RETURN_IF_ERROR(expression)                                          \
  do {                                                                             \
    if (::belay::base::Status belay_status_ = (expression); !belay_status_.ok()) { \
      return belay_status_;                                                        \
    }                                                                              \
  } while (false)

/// Evaluates a Result; returns its Status on failure, else assigns: BELAY_ASSIGN_OR_RETURN(auto x,
/// f()).
#define BELAY_ASSIGN_OR_RETURN(target, expression) \
  BELAY_ASSIGN_OR_RETURN_(BELAY_CONCAT(belay_result_, __COUNTER__), target, expression)
#define BELAY_ASSIGN_OR_RETURN_(result, target, expression) \
  auto result = (expression);                               \
  if (!result.ok()) return result.status();                 \
  target = std::move(result).value()

}  // namespace belay::base
