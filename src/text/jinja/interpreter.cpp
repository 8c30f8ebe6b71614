#include "text/jinja/interpreter.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/print.h"

namespace belay::text::jinja {

using base::Code;
using base::Result;

namespace {
constexpr int kMaxRecursion = 1500;
}  // namespace

Interpreter::Interpreter(const Program& program, const RenderOptions& options)
    : program_(program),
      options_(options),
      budget_{options.max_steps},
      main_(budget_, options.max_bytes) {}

Interpreter::Deeper::Deeper(Interpreter& in) : in_(in) {
  if (++in.depth_ > kMaxRecursion) {
    in.fail(Code::kResource, "calls itself too deeply", {},
            fmt::format("{} expressions within each other", kMaxRecursion));
  }
}

Value Interpreter::fail(Code code, std::string what, std::string seen, std::string allowed) {
  if (ok()) {
    fault_ = {code,
              {.where = fmt::format("{}: line {}", program_.name, line_),
               .what = std::move(what),
               .seen = std::move(seen),
               .allowed = std::move(allowed)}};
  }
  return {};
}

Value Interpreter::undefined(const Value& value) {
  const auto& why = value.get<Undefined>()->why;
  return fail(why == nullptr ? "a value is undefined" : *why);
}

bool Interpreter::spend(std::uint64_t steps) {
  if (!budget_.spend(steps)) {
    fail(Code::kResource, "the template takes too long", {},
         fmt::format("{} steps", options_.max_steps));
  }
  return ok();
}

Value Interpreter::finish(Builder& text) {
  if (budget_.left > 0 && !text.ok()) return too_large();
  return spend(1) ? text_value(text.take()) : Value();
}

Value Interpreter::too_large() {
  return fail(Code::kResource, "a text or a list becomes too large", {},
              fmt::format("{} bytes or {} items", options_.max_bytes, kMaxItems));
}

Value Interpreter::list(std::vector<Value> items, bool tuple) {
  if (!spend(1 + items.size())) return {};
  if (items.size() > kMaxItems) return too_large();
  List made{.items = std::move(items), .tuple = tuple};
  for (const Value& v : made.items) made.depth = std::max(made.depth, v.depth() + 1);
  if (made.depth > kMaxValueDepth) {
    return fail(Code::kResource, "a list is nested too deeply", {},
                fmt::format("{} levels", kMaxValueDepth));
  }
  return Value(std::make_shared<const List>(std::move(made)));
}

Value Interpreter::dict(std::vector<std::pair<Value, Value>> items) {
  Dict made;
  for (auto& [key, value] : items) {
    if (key.list() != nullptr ? !key.list()->tuple : key.dict() != nullptr) {
      return fail("a key cannot be a list or a dict");
    }
    made.depth = std::max(made.depth, std::max(value.depth(), key.depth()) + 1);
    auto* old = const_cast<Value*>(find(made, key, budget_));
    if (!spend(1)) return {};
    if (old != nullptr) {
      *old = std::move(value);
    } else {
      made.items.emplace_back(std::move(key), std::move(value));
    }
  }
  if (made.depth > kMaxValueDepth) {
    return fail(Code::kResource, "a dict is nested too deeply", {},
                fmt::format("{} levels", kMaxValueDepth));
  }
  return Value(std::make_shared<const Dict>(std::move(made)));
}

Value Interpreter::part(const MarkedText& text, ByteSpan span) {
  Builder out = builder();
  out.add(text, span.begin, span.end - span.begin);
  return finish(out);
}

Value Interpreter::string(const Value& value) {
  if (value.text() != nullptr) return value;
  Builder out = builder();
  print(out, value);
  return finish(out);
}

Value Interpreter::make_namespace(std::vector<std::pair<std::string, Value>> items) {
  namespaces_.push_back(
      std::make_unique<std::vector<std::pair<std::string, Value>>>(std::move(items)));
  return Value(NamespaceRef{namespaces_.size() - 1});
}

const Value* Interpreter::lookup(std::string_view name) const {
  const auto in_scope = [&](const Scope& scope) {
    const auto it = scope.find(name);
    return it == scope.end() ? nullptr : &it->second;
  };
  for (std::size_t i = scopes_.size(); i > std::max<std::size_t>(macro_base_, 1); --i) {
    if (const Value* found = in_scope(scopes_[i - 1])) return found;
  }
  return in_scope(scopes_.front());
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (target.attribute.empty()) {
    scopes_.back()[target.name] = value;
    return;
  }
  const Value* object = lookup(target.name);
  const auto* ref = object == nullptr ? nullptr : object->get<NamespaceRef>();
  if (ref == nullptr) {
    fail("an attribute can only be set of a namespace", base::printable(target.name),
         "a value of namespace()");
    return;
  }
  auto& items = *namespaces_[ref->index];
  spend(1 + items.size() / 4);
  const auto it = std::find_if(items.begin(), items.end(),
                               [&](const auto& i) { return i.first == target.attribute; });
  if (it != items.end()) {
    it->second = value;
  } else {
    items.emplace_back(target.attribute, value);
  }
}

void Interpreter::assign(const std::vector<Target>& targets, const Value& value) {
  if (targets.size() == 1) return assign(targets[0], value);
  const auto parts = elements(value);
  if (!ok()) return;
  if (parts->items.size() != targets.size()) {
    fail("a value does not have as many parts as there are names",
         std::to_string(parts->items.size()), std::to_string(targets.size()));
    return;
  }
  for (std::size_t i = 0; i < targets.size(); ++i) assign(targets[i], parts->items[i]);
}

void Interpreter::print_value(const Value& value) {
  print(*out_, value);
  if (!out_->ok()) finish(*out_);
}

Interpreter::Flow Interpreter::execute(const Body& body) {
  for (const Id id : body) {
    const Flow flow = execute(program_.statements[static_cast<std::size_t>(id)]);
    if (flow != Flow::kOn || !ok()) return flow;
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::execute(const Statement& s) {
  const Deeper deeper(*this);
  line_ = s.line;
  if (!spend(1)) return Flow::kOn;
  switch (s.kind) {
    case StatementKind::kText:
      if (!out_->add(s.text)) finish(*out_);
      break;
    case StatementKind::kPrint: print_value(evaluate(s.expressions[0])); break;
    case StatementKind::kIf: return execute_if(s);
    case StatementKind::kFor: return execute_for(s);
    case StatementKind::kSet: execute_set(s); break;
    case StatementKind::kSetBlock: execute_set_block(s); break;
    case StatementKind::kMacro: define_macro(s); break;
    case StatementKind::kBreak: return Flow::kBreak;
    case StatementKind::kContinue: return Flow::kContinue;
    case StatementKind::kGeneration: execute_generation(s); break;
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::execute_if(const Statement& s) {
  for (std::size_t i = 0; i < s.bodies.size() && ok(); ++i) {
    if (i >= s.expressions.size() || evaluate(s.expressions[i]).truth()) {
      return execute(s.bodies[i]);
    }
  }
  return Flow::kOn;
}

std::shared_ptr<const List> Interpreter::loop_items(const Statement& s) {
  auto items = elements(evaluate(s.expressions[0]));
  if (!ok() || s.expressions[1] == kNone) return items;
  std::vector<Value> kept;
  scopes_.emplace_back();
  for (std::size_t i = 0; i < items->items.size() && spend(1); ++i) {
    assign(s.targets, items->items[i]);
    if (evaluate(s.expressions[1]).truth()) kept.push_back(items->items[i]);
  }
  scopes_.pop_back();
  const Value list = this->list(std::move(kept));
  return ok() ? *list.get<std::shared_ptr<const List>>() : nullptr;
}

Interpreter::Flow Interpreter::execute_for(const Statement& s) {
  const auto items = loop_items(s);
  if (!ok()) return Flow::kOn;
  scopes_.emplace_back();
  if (items->items.empty()) {
    const Flow flow = s.bodies.size() > 1 ? execute(s.bodies[1]) : Flow::kOn;
    scopes_.pop_back();
    return flow;
  }
  const auto loop = std::make_shared<LoopState>();
  loop->items = items;
  for (; loop->index < items->items.size() && spend(1); ++loop->index) {
    scopes_.back().clear();
    assign(s.targets, items->items[loop->index]);
    scopes_.back()["loop"] = Value(loop);
    if (execute(s.bodies[0]) == Flow::kBreak || !ok()) break;
  }
  scopes_.pop_back();
  return Flow::kOn;
}

void Interpreter::execute_set(const Statement& s) {
  const Value value = evaluate(s.expressions[0]);
  if (ok()) assign(s.targets, value);
}

void Interpreter::execute_set_block(const Statement& s) {
  Builder inner = builder();
  Builder* const outer = std::exchange(out_, &inner);
  scopes_.emplace_back();
  execute(s.bodies[0]);
  scopes_.pop_back();
  out_ = outer;
  Value value = finish(inner);
  if (s.expressions[0] != kNone && ok()) {
    block_text_ = std::move(value);
    value = evaluate(s.expressions[0]);
  }
  if (ok()) assign(s.targets, value);
}

void Interpreter::execute_generation(const Statement& s) {
  const std::size_t begin = main_.size();
  scopes_.emplace_back();
  execute(s.bodies[0]);
  scopes_.pop_back();
  if (out_ == &main_ && main_.size() > begin) generated_.push_back({begin, main_.size()});
}

void Interpreter::define_macro(const Statement& s) {
  macros_.push_back(&s);
  scopes_.back()[s.text] = Value(MacroRef{macros_.size() - 1});
}

Value Interpreter::call_macro(const Statement& macro, Arguments arguments) {
  const std::size_t n = macro.targets.size();
  if (arguments.positional.size() > n) {
    return fail(fmt::format("the macro {} takes fewer arguments", base::printable(macro.text)),
                std::to_string(arguments.positional.size()), fmt::format("at most {}", n));
  }
  std::vector<Value> given = std::move(arguments.positional);
  std::vector<bool> is_given(given.size(), true);
  is_given.resize(n);
  given.resize(n);
  for (auto& [name, value] : arguments.named) {
    const auto it = std::find_if(macro.targets.begin(), macro.targets.end(),
                                 [&](const Target& t) { return t.name == name; });
    if (it == macro.targets.end()) {
      return fail(fmt::format("the macro {} has no such parameter", base::printable(macro.text)),
                  base::printable(name));
    }
    const auto i = static_cast<std::size_t>(it - macro.targets.begin());
    given[i] = std::move(value);
    is_given[i] = true;
  }
  const std::size_t base = std::exchange(macro_base_, scopes_.size());
  scopes_.emplace_back();
  const std::size_t first_default = n - macro.expressions.size();
  for (std::size_t i = 0; i < n; ++i) {
    if (!is_given[i] && i >= first_default)
      given[i] = evaluate(macro.expressions[i - first_default]);
    scopes_.back()[macro.targets[i].name] = std::move(given[i]);
  }
  Builder inner = builder();
  Builder* const outer = std::exchange(out_, &inner);
  if (ok()) execute(macro.bodies[0]);
  out_ = outer;
  scopes_.pop_back();
  macro_base_ = base;
  return finish(inner);
}

Result<Rendered> Interpreter::run(const Variables& variables) {
  scopes_.emplace_back();
  for (const auto& [name, value] : variables) scopes_.back()[name] = value;
  execute(program_.body);
  if (!ok()) return fault_;
  return Rendered{.text = main_.take(), .generated = std::move(generated_)};
}

}  // namespace belay::text::jinja
