// The only door to files, clocks and memory figures of the machine. Everything else takes an Env&,
// so that tests can make the n-th write fail, fill the disk or lose bytes that were never synced.
// Errors are Status values that name the file. A path is a plain string; no call follows or expands
// it.
//
// Whole or not at all: a file that matters is written through AtomicFile (temporary name in the
// same folder, write, fsync, rename, fsync of the folder), so that a reader sees the old or the new
// content.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace belay::base {

/// The bytes of a file, read-only, for as long as this lives: a mapping, or a buffer that stands
/// for one. A file that another process shortens while it is mapped ends this process by SIGBUS;
/// files written through AtomicFile are replaced, never shortened.
class MappedFile {
 public:
  MappedFile() = default;
  /// Takes over a mapping made by mmap; base may be null when size is 0.
  MappedFile(void* base, std::size_t size) : base_(base), size_(size) {}
  /// A buffer in place of a file (tests, fuzzing).
  explicit MappedFile(std::vector<std::byte> buffer) : buffer_(std::move(buffer)) {}
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const;

 private:
  void* base_ = nullptr;
  std::size_t size_ = 0;
  std::vector<std::byte> buffer_;
};

/// A file being read from its start: a regular file, a pipe, or what one of them unpacks to.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  /// Up to out.size() bytes, at least one; 0 at the end.
  virtual Result<std::size_t> read(std::span<std::byte> out) = 0;
};

/// A file being written from its start (or its end, see Env::append_file).
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  /// Writes all bytes or fails.
  virtual Status write(std::span<const std::byte> bytes) = 0;
  /// Returns when the written bytes would survive a power failure.
  virtual Status sync() = 0;
  virtual Status close() = 0;
};

/// Held for as long as this lives; the system releases it when the process ends, however it ends.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

class Env {
 public:
  virtual ~Env() = default;
  /// The real machine.
  static Env& posix();

  /// The whole content. More than max_bytes is kResource, before that much is read.
  virtual Result<std::string> read_file(const std::string& path, std::uint64_t max_bytes) = 0;
  virtual Result<MappedFile> map_file(const std::string& path) = 0;
  virtual Result<std::uint64_t> file_size(const std::string& path) = 0;
  virtual bool exists(const std::string& path) = 0;
  virtual bool is_directory(const std::string& path) = 0;
  /// Names (not paths) in a folder, sorted, without "." and "..".
  virtual Result<std::vector<std::string>> list_dir(const std::string& path) = 0;
  /// Creates a folder and the missing ones above it, durably; an existing folder is fine.
  virtual Status create_dirs(const std::string& path) = 0;

  /// Opens for reading.
  virtual Result<std::unique_ptr<ReadableFile>> open_file(const std::string& path) = 0;
  /// A new file; an existing one is kIo.
  virtual Result<std::unique_ptr<WritableFile>> create_file(const std::string& path) = 0;
  /// Opens for writing at the end; created when missing.
  virtual Result<std::unique_ptr<WritableFile>> append_file(const std::string& path) = 0;
  /// Replaces `to` in one step.
  virtual Status rename_file(const std::string& from, const std::string& to) = 0;
  virtual Status remove_file(const std::string& path) = 0;
  /// Makes creations, renames and removals in the folder durable.
  virtual Status sync_dir(const std::string& path) = 0;
  /// Locks a file, which is created when missing and stays, against other processes and other
  /// locks of this one. Does not wait: kIo, naming the process, when it is locked already.
  virtual Result<std::unique_ptr<FileLock>> lock_file(const std::string& path) = 0;

  /// Seconds of a clock that never steps back; its zero is arbitrary.
  virtual double steady_seconds() = 0;
  /// Seconds since 1970-01-01 UTC.
  virtual double wall_seconds() = 0;

  /// Processor time of all threads of this process, the system's for it included.
  virtual double cpu_seconds() = 0;

  /// Memory that this process holds now; 0: unknown.
  virtual std::uint64_t rss_bytes() = 0;
  /// The most memory this process ever held.
  virtual std::uint64_t peak_rss_bytes() = 0;
  /// Memory of the machine, or of the control group where that is less.
  virtual std::uint64_t total_memory_bytes() = 0;
  /// What can still be allocated without swapping, within the control group's limit.
  virtual std::uint64_t available_memory_bytes() = 0;
  /// Differs between processes that run at one time; part of temporary names.
  virtual std::int64_t process_id() = 0;
};

/// A file that appears under its name only by commit(); destroyed before, it leaves nothing behind.
class AtomicFile {
 public:
  static Result<AtomicFile> open(Env& env, const std::string& path);
  ~AtomicFile();
  AtomicFile(AtomicFile&&) = default;
  AtomicFile& operator=(AtomicFile&&) = delete;

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text);
  /// fsync, rename, fsync of the folder. After a failure the old content stands.
  Status commit();

 private:
  AtomicFile(Env& env, std::string path, std::string temporary, std::unique_ptr<WritableFile> file);
  Env* env_;
  std::string path_, temporary_;
  std::unique_ptr<WritableFile> file_;  // null once committed or given up
};

/// AtomicFile in one call.
Status write_file_atomic(Env& env, const std::string& path, std::string_view content);

/// The name is of the form that AtomicFile gives to its temporary files; a killed process may leave
/// one.
bool is_temporary_name(std::string_view name);

/// "dir/name"; "name" when dir is empty.
std::string join_path(std::string_view dir, std::string_view name);
/// The folder part ("." when there is none) and the last part of a path.
std::string parent_dir(std::string_view path);
std::string base_name(std::string_view path);

/// True when the stream is a terminal that a person reads, or types into.
bool stderr_is_terminal();
bool stdout_is_terminal();
bool stdin_is_terminal();

}  // namespace belay::base
