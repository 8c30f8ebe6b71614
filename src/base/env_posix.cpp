// Env on a POSIX system.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "base/env.h"
#include "base/memory_info.h"

namespace belay::base {
namespace {

Status failure(const std::string& path, std::string_view action, int error) {
  Detail detail{.where = path, .what = "cannot " + std::string(action)};
  detail.what += ": " + std::generic_category().message(error);
  if (error == ENOENT || error == ENOTDIR) return not_found(std::move(detail));
  if (error == ENOSPC || error == EDQUOT || error == ENOMEM) {
    if (error != ENOMEM) detail.next = "free some disk space and try again";
    return resource_exhausted(std::move(detail));
  }
  return io_error(std::move(detail));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int open_retrying(const std::string& path, int flags) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

class PosixReadableFile final : public ReadableFile {
 public:
  PosixReadableFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  Result<std::size_t> read(std::span<std::byte> out) override {
    constexpr std::size_t kMost = std::size_t{1} << 30;  // Linux reads less than 2 GiB at once
    ssize_t n = -1;
    do {
      n = ::read(fd_.get(), out.data(), std::min(out.size(), kMost));
    } while (n < 0 && errno == EINTR);
    if (n < 0) return failure(path_, "read", errno);
    return static_cast<std::size_t>(n);
  }

 private:
  std::string path_;
  Descriptor fd_;
};

class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  Status write(std::span<const std::byte> bytes) override {
    constexpr std::size_t kMost = std::size_t{1} << 30;  // Linux writes less than 2 GiB at once
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), std::min(bytes.size(), kMost));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failure(path_, "write", errno);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }
  Status sync() override {
    return ::fsync(fd_.get()) == 0 ? Status() : failure(path_, "sync to disk", errno);
  }
  Status close() override {
    const int fd = fd_.release();
    if (fd < 0 || ::close(fd) == 0 || errno == EINTR) return {};
    return failure(path_, "close", errno);
  }

 private:
  std::string path_;
  Descriptor fd_;
};

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  Descriptor fd_;  // closing it releases the lock
};

class PosixEnv final : public Env {
 public:
  Result<std::string> read_file(const std::string& path, std::uint64_t max_bytes) override {
    const Descriptor fd(open_retrying(path, O_RDONLY));
    if (fd.get() < 0) return failure(path, "open", errno);
    std::string content;
    constexpr std::size_t kStep = std::size_t{1} << 16;
    while (true) {
      const std::size_t had = content.size();
      content.resize(had + std::max(kStep, had / 2));
      const ssize_t n = ::read(fd.get(), content.data() + had, content.size() - had);
      if (n < 0 && errno != EINTR) return failure(path, "read", errno);
      content.resize(had + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
      if (content.size() > max_bytes) {
        return resource_exhausted({.where = path,
                                   .what = "is too large",
                                   .seen = "more than " + std::to_string(max_bytes) + " bytes",
                                   .allowed = "at most " + std::to_string(max_bytes) + " bytes"});
      }
      if (n == 0) return content;
    }
  }

  Result<MappedFile> map_file(const std::string& path) override {
    const Descriptor fd(open_retrying(path, O_RDONLY));
    if (fd.get() < 0) return failure(path, "open", errno);
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return failure(path, "inspect", errno);
    if (!S_ISREG(info.st_mode)) return io_error({.where = path, .what = "is not a regular file"});
    const auto size = static_cast<std::size_t>(info.st_size);
    if (size == 0) return MappedFile();
    void* base = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (base == MAP_FAILED) return failure(path, "map into memory", errno);
    return MappedFile(base, size);
  }

  Result<std::uint64_t> file_size(const std::string& path) override {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return failure(path, "inspect", errno);
    return static_cast<std::uint64_t>(info.st_size);
  }
  bool exists(const std::string& path) override {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0;
  }
  bool is_directory(const std::string& path) override {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  }

  Result<std::vector<std::string>> list_dir(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
    if (!dir) return failure(path, "list", errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(dir.get())) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return failure(path, "list", errno);
    std::sort(names.begin(), names.end());
    return names;
  }

  Status create_dirs(const std::string& path) override {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
      const std::string part = path.substr(0, end);
      if (::mkdir(part.c_str(), 0777) == 0) {
        BELAY_RETURN_IF_ERROR(sync_dir(parent_dir(part)));
      } else if (const int error = errno; !is_directory(part)) {
        return failure(part, "create folder", error);
      }
      if (end == std::string::npos) return {};
    }
  }

  Result<std::unique_ptr<ReadableFile>> open_file(const std::string& path) override {
    const int fd = open_retrying(path, O_RDONLY);
    if (fd < 0) return failure(path, "open", errno);
    return std::unique_ptr<ReadableFile>(std::make_unique<PosixReadableFile>(path, fd));
  }
  Result<std::unique_ptr<WritableFile>> create_file(const std::string& path) override {
    return open_for_writing(path, O_EXCL);
  }
  Result<std::unique_ptr<WritableFile>> append_file(const std::string& path) override {
    return open_for_writing(path, O_APPEND);
  }
  Status rename_file(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    return failure(from, "rename to " + to, errno);
  }
  Status remove_file(const std::string& path) override {
    return ::unlink(path.c_str()) == 0 ? Status() : failure(path, "remove", errno);
  }
  Status sync_dir(const std::string& path) override {
    const Descriptor fd(open_retrying(path, O_RDONLY | O_DIRECTORY));
    if (fd.get() < 0) return failure(path, "open", errno);
    return ::fsync(fd.get()) == 0 ? Status() : failure(path, "sync to disk", errno);
  }

  Result<std::unique_ptr<FileLock>> lock_file(const std::string& path) override {
    Descriptor fd(open_retrying(path, O_RDWR | O_CREAT));
    if (fd.get() < 0) return failure(path, "open", errno);
    std::array<char, 32> owner{};
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return failure(path, "lock", errno);
      (void)!::pread(fd.get(), owner.data(), owner.size() - 1, 0);
      return io_error({.where = path,
                       .what = "is locked by another process",
                       .seen = "process " + std::to_string(std::atoll(owner.data()))});
    }
    // The owner's name is for that message only; the lock does not depend on it.
    const std::string name = std::to_string(process_id()) + "\n";
    (void)!::ftruncate(fd.get(), 0);
    (void)!::pwrite(fd.get(), name.data(), name.size(), 0);
    return std::unique_ptr<FileLock>(std::make_unique<PosixFileLock>(std::move(fd)));
  }

  double steady_seconds() override {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  double wall_seconds() override {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  double cpu_seconds() override {
    struct rusage usage {};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }
  std::uint64_t rss_bytes() override {
    const auto text = read_file("/proc/self/statm", 4096);  // pages: in all, resident, ...
    if (!text.ok()) return 0;
    const std::size_t space = text->find(' ');
    if (space == std::string::npos) return 0;
    const std::uint64_t pages = std::strtoull(text->c_str() + space, nullptr, 10);
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  std::uint64_t peak_rss_bytes() override {
    struct rusage usage {};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;  // Linux counts KiB
  }
  std::uint64_t total_memory_bytes() override { return memory_info().total; }
  std::uint64_t available_memory_bytes() override { return memory_info().available; }
  std::int64_t process_id() override { return ::getpid(); }

 private:
  Result<std::unique_ptr<WritableFile>> open_for_writing(const std::string& path, int flags) {
    const int fd = open_retrying(path, O_WRONLY | O_CREAT | flags);
    if (fd < 0) return failure(path, "create", errno);
    return std::unique_ptr<WritableFile>(std::make_unique<PosixWritableFile>(path, fd));
  }
};

}  // namespace

MappedFile::~MappedFile() {
  if (base_ != nullptr) ::munmap(base_, size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      buffer_(std::move(other.buffer_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(size_, other.size_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

std::span<const std::byte> MappedFile::bytes() const {
  if (base_ == nullptr) return buffer_;
  return {static_cast<const std::byte*>(base_), size_};
}

Env& Env::posix() {
  static PosixEnv env;
  return env;
}

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }
bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }
bool stdin_is_terminal() { return ::isatty(STDIN_FILENO) == 1; }

}  // namespace belay::base
