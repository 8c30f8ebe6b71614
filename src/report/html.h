// Text made fit for a page. Everything that comes from data passes through one of these two.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace belay::report {

/// Text as the content or a quoted attribute of an element: & < > " ' are escaped, bytes that are
/// not UTF-8 become U+FFFD, control characters but line end and tab too.
std::string escape(std::string_view text);

/// JSON as the content of a <script> element: no "<", ">", "&", U+2028 or U+2029 appears unescaped,
/// so nothing in it can end the element or begin another. Text that is not UTF-8 is repaired.
std::string script_json(const nlohmann::ordered_json& value);

}  // namespace belay::report
