// A template as a tree: expressions and statements lie in two arrays and name each other by index,
// so that a deep tree is neither walked nor destroyed by recursion. Depths are capped by the
// parser.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/jinja/value.h"

namespace belay::text::jinja {

using Id = std::int32_t;
inline constexpr Id kNone = -1;

enum class Op : std::uint8_t {
  kConstant,
  kName,
  kBlockText,    // of {% set x | filter %}: the text of the block
  kList,         // operands
  kTuple,        // operands
  kDict,         // operands: key, value, key, value, ...
  kAttribute,    // operands: object
  kItem,         // operands: object, key
  kSlice,        // operands: object, begin, end, step (or kNone)
  kCall,         // operands: what is called, arguments
  kFilter,       // operands: value, arguments
  kTest,         // operands: value, arguments
  kConditional,  // operands: condition, value, other value (or kNone)
  kConcat,       // operands
  kCompare,      // operands; one of `comparisons` between two
  kAnd,
  kOr,
  kNot,
  kNegate,
  kPlus,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
};

enum class Comparison : std::uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

struct Expression {
  Op op = Op::kConstant;
  int line = 0;
  int depth = 1;
  Value constant = {};
  std::string name = {};  // of a variable, an attribute, a filter, a test
  std::vector<Id> operands = {};
  std::vector<std::pair<std::string, Id>> named = {};  // arguments by keyword
  std::vector<Comparison> comparisons = {};
};

enum class StatementKind : std::uint8_t {
  kText,
  kPrint,     // expressions: one
  kIf,        // expressions: the tests; a body each, and one more for else
  kFor,       // expressions: what is walked, the filter (or kNone); bodies: loop, else
  kSet,       // expressions: the value
  kSetBlock,  // expressions: filters around kBlockText (or kNone); bodies: one
  kMacro,     // text: name; expressions: default values of the last parameters
  kBreak,
  kContinue,
  kGeneration,  // bodies: one
};

/// What is assigned to: a variable, or an attribute of a namespace.
struct Target {
  std::string name;
  std::string attribute = {};
};

using Body = std::vector<Id>;

struct Statement {
  StatementKind kind = StatementKind::kText;
  int line = 0;
  std::string text = {};
  std::vector<Target> targets = {};  // a macro's parameters too
  std::vector<Id> expressions = {};
  std::vector<Body> bodies = {};
};

struct Program {
  std::string name;  // for messages
  std::vector<Expression> expressions;
  std::vector<Statement> statements;
  Body body;
};

/// Fails at what is no template (kCorrupt, with the line) or what we do not do (kUnsupported).
base::Result<Program> parse(std::string_view source, std::string name);

}  // namespace belay::text::jinja
