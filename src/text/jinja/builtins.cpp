#include "text/jinja/builtins.h"

#include <fmt/format.h>

#include <algorithm>

namespace belay::text::jinja {

Bound::Bound(Interpreter& in, std::string_view callee, const Parameters& parameters,
             std::size_t required, const Arguments& arguments)
    : in_(in), callee_(callee), parameters_(parameters) {
  const auto n = static_cast<std::size_t>(std::find(parameters.begin(), parameters.end(), "") -
                                          parameters.begin());
  if (arguments.positional.size() > n) {
    in.fail(fmt::format("{} takes fewer arguments", callee),
            std::to_string(arguments.positional.size()), fmt::format("at most {}", n));
    return;
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    values_[i] = &arguments.positional[i];
  }
  for (const auto& [name, value] : arguments.named) {
    const auto it = std::find(parameters.begin(), parameters.end(), name);
    const auto i = static_cast<std::size_t>(it - parameters.begin());
    if (it == parameters.end() || name.empty() || values_[i] != nullptr) {
      in.fail(fmt::format("{} has no such argument, or has it twice", callee),
              base::printable(name));
      return;
    }
    values_[i] = &value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (values_[i] == nullptr) {
      in.fail(fmt::format("{} lacks its argument {}", callee, parameters[i]));
    }
  }
}

void Bound::wrong(std::size_t i, std::string_view allowed) const {
  in_.fail(fmt::format("{}: {} is of the wrong type", callee_, parameters_[i]),
           std::string(values_[i]->kind()), std::string(allowed));
}

std::int64_t Bound::whole(std::size_t i, std::int64_t fallback) const {
  if (values_[i] == nullptr || values_[i]->is_none()) return fallback;
  if (values_[i]->is_whole()) return values_[i]->whole();
  wrong(i, "int");
  return fallback;
}

bool Bound::flag(std::size_t i, bool fallback) const {
  return values_[i] == nullptr ? fallback : values_[i]->truth();
}

const MarkedText* Bound::text(std::size_t i) const {
  if (values_[i] == nullptr || values_[i]->is_none()) return nullptr;
  if (values_[i]->text() == nullptr) wrong(i, "str");
  return values_[i]->text();
}

std::optional<std::string_view> Bound::view(std::size_t i) const {
  const MarkedText* value = text(i);
  if (value == nullptr) return std::nullopt;
  return value->bytes();
}

Value apply_filter(Interpreter& in, std::string_view name, const Value& value,
                   const Arguments& arguments) {
  if (!in.ok()) return {};
  if (const auto picked = apply_picker(in, name, value, arguments)) return *picked;
  for (const auto& filters : {text_filters(), list_filters()}) {
    const auto it = std::find_if(filters.begin(), filters.end(),
                                 [&](const Filter& f) { return f.name == name; });
    if (it == filters.end()) continue;
    const Bound bound(in, it->name, it->parameters, it->required, arguments);
    return in.ok() ? it->apply(in, value, bound) : Value();
  }
  return in.fail(base::Code::kUnsupported, "there is no such filter", base::printable(name));
}

}  // namespace belay::text::jinja
