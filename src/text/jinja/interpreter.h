// Walks a template's tree. The first fault is kept and ends everything: functions return undefined
// from then on, and nothing that they return is used. Each expression, statement and element costs
// a step, each text a step for 64 bytes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/jinja/jinja.h"
#include "text/jinja/syntax.h"
#include "text/jinja/text.h"

namespace belay::text::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

class Interpreter {
 public:
  Interpreter(const Program& program, const RenderOptions& options);
  base::Result<Rendered> run(const Variables& variables);

  // For operators, filters, tests and methods.

  bool ok() const { return fault_.ok(); }
  /// Keeps the fault, when it is the first; returns undefined.
  Value fail(base::Code code, std::string what, std::string seen = {}, std::string allowed = {});
  Value fail(std::string what, std::string seen = {}, std::string allowed = {}) {
    return fail(base::Code::kCorrupt, std::move(what), std::move(seen), std::move(allowed));
  }
  /// The fault of using an undefined value.
  Value undefined(const Value& value);
  /// False, with the fault, when the steps are used up.
  bool spend(std::uint64_t steps);
  Budget& budget() { return budget_; }
  Builder builder() { return {budget_, options_.max_bytes}; }
  double now_seconds() const { return options_.now_seconds; }

  // Values, checked against the limits.
  static constexpr std::size_t kMaxItems = 1'000'000;
  std::size_t max_bytes() const { return options_.max_bytes; }
  Value finish(Builder& text);
  Value too_large();
  Value list(std::vector<Value> items, bool tuple = false);
  Value dict(std::vector<std::pair<Value, Value>> items);
  Value part(const MarkedText& text, ByteSpan span);
  Value string(const Value& value);  // str()
  Value make_namespace(std::vector<std::pair<std::string, Value>> items);

  /// What a loop over the value goes through.
  std::shared_ptr<const List> elements(const Value& value);
  Value attribute(const Value& object, std::string_view name);
  Value item(const Value& object, const Value& key);
  bool equals(const Value& a, const Value& b);
  /// Whether a < b; a fault where they have no order.
  bool less(const Value& a, const Value& b);
  bool contains(const Value& container, const Value& element);

 private:
  enum class Flow { kOn, kBreak, kContinue };
  using Scope = std::unordered_map<std::string_view, Value>;
  class Deeper;

  const Expression& expr(Id id) const { return program_.expressions[static_cast<std::size_t>(id)]; }

  // Statements (jinja_interpreter.cpp).
  Flow execute(const Body& body);
  Flow execute(const Statement& s);
  Flow execute_if(const Statement& s);
  Flow execute_for(const Statement& s);
  void execute_set(const Statement& s);
  void execute_set_block(const Statement& s);
  void execute_generation(const Statement& s);
  void define_macro(const Statement& s);
  std::shared_ptr<const List> loop_items(const Statement& s);
  void assign(const std::vector<Target>& targets, const Value& value);
  void assign(const Target& target, const Value& value);
  Value call_macro(const Statement& macro, Arguments arguments);
  void print_value(const Value& value);
  const Value* lookup(std::string_view name) const;

  // Expressions (jinja_expressions.cpp).
  Value evaluate(Id id);
  Value evaluate(const Expression& e);
  Value evaluate_name(const Expression& e);
  Value evaluate_list(const Expression& e);
  Value evaluate_dict(const Expression& e);
  Value evaluate_slice(const Expression& e);
  Value evaluate_call(const Expression& e);
  Value evaluate_concat(const Expression& e);
  Value evaluate_compare(const Expression& e);
  Value evaluate_logic(const Expression& e);
  Value evaluate_binary(const Expression& e);
  Arguments arguments(const Expression& e);
  Value call(const Value& callee, Arguments arguments);
  bool holds(Comparison comparison, const Value& a, const Value& b);
  Value loop_attribute(const LoopState& loop, std::string_view name);

  const Program& program_;
  const RenderOptions& options_;
  Budget budget_;
  base::Status fault_;
  int line_ = 0;
  int depth_ = 0;
  std::vector<Scope> scopes_;   // the first has the template's variables
  std::size_t macro_base_ = 0;  // scopes from here on belong to the macro that runs
  std::vector<const Statement*> macros_;
  std::vector<std::unique_ptr<std::vector<std::pair<std::string, Value>>>> namespaces_;
  Value block_text_;
  Builder main_;
  Builder* out_ = &main_;
  std::vector<ByteSpan> generated_;
};

/// Deep recursion costs stack: counts it, and fails beyond a limit.
class Interpreter::Deeper {
 public:
  explicit Deeper(Interpreter& in);
  ~Deeper() { --in_.depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  Interpreter& in_;
};

}  // namespace belay::text::jinja
