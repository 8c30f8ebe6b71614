#include "base/env.h"

#include <atomic>

namespace belay::base {

Result<AtomicFile> AtomicFile::open(Env& env, const std::string& path) {
  static std::atomic<std::uint64_t> counter{0};  // only keeps names apart
  const std::string name = base_name(path);
  if (name.empty() || name == "." || name == "..") {
    return invalid_argument({.where = path, .what = "is not the name of a file"});
  }
  const std::string temporary =
      join_path(parent_dir(path), "." + name + "." + std::to_string(env.process_id()) + "-" +
                                      std::to_string(counter.fetch_add(1)) + ".tmp");
  BELAY_ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> file, env.create_file(temporary));
  return AtomicFile(env, path, temporary, std::move(file));
}

AtomicFile::AtomicFile(Env& env, std::string path, std::string temporary,
                       std::unique_ptr<WritableFile> file)
    : env_(&env),
      path_(std::move(path)),
      temporary_(std::move(temporary)),
      file_(std::move(file)) {}

AtomicFile::~AtomicFile() {
  if (!file_) return;
  file_.reset();
  (void)env_->remove_file(temporary_);
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  BELAY_CHECK(file_ != nullptr, "write after commit");
  return file_->write(bytes);
}

Status AtomicFile::write(std::string_view text) { return write(std::as_bytes(std::span(text))); }

Status AtomicFile::commit() {
  BELAY_CHECK(file_ != nullptr, "commit twice");
  BELAY_RETURN_IF_ERROR(file_->sync());
  BELAY_RETURN_IF_ERROR(file_->close());
  BELAY_RETURN_IF_ERROR(env_->rename_file(temporary_, path_));
  file_.reset();
  return env_->sync_dir(parent_dir(path_));
}

Status write_file_atomic(Env& env, const std::string& path, std::string_view content) {
  BELAY_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::open(env, path));
  BELAY_RETURN_IF_ERROR(file.write(content));
  return file.commit();
}

bool is_temporary_name(std::string_view name) {
  return name.size() > 5 && name.front() == '.' && name.ends_with(".tmp");
}

std::string join_path(std::string_view dir, std::string_view name) {
  if (dir.empty()) return std::string(name);
  std::string path(dir);
  if (path.back() != '/') path += '/';
  return path.append(name);
}

std::string parent_dir(std::string_view path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

std::string base_name(std::string_view path) {
  const auto slash = path.find_last_of('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

}  // namespace belay::base
