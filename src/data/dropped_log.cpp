#include "data/dropped_log.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "data/utf8.h"

namespace belay::data {
namespace {

using base::Status;
using nlohmann::ordered_json;

constexpr std::size_t kFlushBytes = std::size_t{1} << 18;
constexpr std::size_t kBeginBytes = 120;  // of the document that are shown

}  // namespace

base::Result<DroppedLog> DroppedLog::open(base::Env& env, const std::string& path) {
  BELAY_RETURN_IF_ERROR(env.create_dirs(base::parent_dir(path)));
  BELAY_ASSIGN_OR_RETURN(base::AtomicFile file, base::AtomicFile::open(env, path));
  return DroppedLog(std::move(file));
}

Status DroppedLog::add(const Document& document, const PrepareFiles& files, Fate fate,
                       const QualityFilter& quality, const std::optional<Kept>& kept) {
  const SourceFile& file = files.files[document.from.source];
  ordered_json line = {
      {"file", file.path},
      {file.form == Form::kJsonLines ? "line" : "document", document.from.record.number},
      {"text_bytes", document.text.size()}};
  switch (fate) {
    case Fate::kNoText: line["reason"] = "no text"; break;
    case Fate::kDuplicate: line["reason"] = "exact duplicate"; break;
    case Fate::kNearDuplicate: line["reason"] = "near-duplicate"; break;
    default: {
      const std::size_t i =
          static_cast<std::size_t>(fate) - static_cast<std::size_t>(Fate::kBroken);
      line["reason"] = std::string(quality.limits()[i].rule->name);
      line["limit"] = quality.limits()[i].value;
      if (document.broken) line["value"] = document.broken->value;
    }
  }
  if (kept) {
    line["kept"] = kept->place;
    line["likeness"] = kept->likeness;
  }
  line["begin"] = document.text.substr(0, character_begin(document.text, kBeginBytes));
  lines_ += line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + '\n';
  return lines_.size() < kFlushBytes ? Status() : flush();
}

Status DroppedLog::flush() {
  BELAY_RETURN_IF_ERROR(file_.write(lines_));
  lines_.clear();
  return {};
}

Status DroppedLog::commit() {
  BELAY_RETURN_IF_ERROR(flush());
  return file_.commit();
}

}  // namespace belay::data
