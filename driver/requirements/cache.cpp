#include "requirements/cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace morgana::driver {
namespace {

// The first line of every entry. A new format gets a new number, and old entries count as damaged.
constexpr std::string_view header = "morgana requirements 1";

struct file_state {
  std::uint64_t size = 0;
  std::int64_t changed_ns = 0;
};

std::optional<file_state> state_of(char const* path) {
  struct stat status{};
  if (::stat(path, &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return file_state{
      .size = static_cast<std::uint64_t>(status.st_size),
      .changed_ns = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::optional<std::string> read_file(char const* path) {
  int const file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::string bytes;
  struct stat status{};
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
    bytes.resize(static_cast<std::size_t>(status.st_size));
  }
  std::size_t done = 0;
  while (done < bytes.size()) {
    auto const count = ::read(file, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  ::close(file);
  if (done != bytes.size()) return std::nullopt;
  return bytes;
}

std::filesystem::path entry_path(std::filesystem::path const& folder, std::string_view key) {
  return folder / fmt::format("{:016x}{:016x}.requirements", content_hash(key),
                              content_hash(key, 0x9e3779b97f4a7c15u));
}

/// Takes one line, without its end, off the front of `text`.
std::optional<std::string_view> take_line(std::string_view& text) {
  auto const end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  auto const line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

/// Takes a number and the space behind it off the front of `line`.
template <class Number>
bool take_number(std::string_view& line, Number& number) {
  auto const [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc() || end == line.data() + line.size() || *end != ' ') return false;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()) + 1);
  return true;
}

bool unchanged(std::string_view line) {
  file_state then;
  std::uint64_t hash = 0;
  if (!take_number(line, then.size) || !take_number(line, then.changed_ns) || !take_number(line, hash))
    return false;
  std::string const path(line);
  auto const now = state_of(path.c_str());
  if (!now || now->size != then.size) return false;
  if (now->changed_ns == then.changed_ns) return true;
  auto const bytes = read_file(path.c_str());
  return bytes && content_hash(*bytes) == hash;
}

void drop_oldest(std::filesystem::path const& folder) {
  std::error_code error;
  std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> entries;
  for (auto it = std::filesystem::directory_iterator(folder, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    if (it->path().extension() != ".requirements") continue;
    std::error_code gone;
    auto const time = it->last_write_time(gone);
    if (!gone) entries.emplace_back(time, it->path());
  }
  if (entries.size() <= cache_entries_max) return;
  std::ranges::sort(entries);
  entries.resize(entries.size() - cache_entries_max);
  for (auto const& [time, path] : entries) std::filesystem::remove(path, error);
}

}  // namespace

std::uint64_t content_hash(std::string_view bytes, std::uint64_t seed) {
  auto hash = seed;
  for (char const byte : bytes) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x100000001b3u;
  }
  return hash;
}

std::optional<std::string> load_answer(std::filesystem::path const& folder, std::string_view key) {
  auto const entry = read_file(entry_path(folder, key).c_str());
  if (!entry) return std::nullopt;
  std::string_view rest = *entry;
  if (take_line(rest) != header) return std::nullopt;
  std::size_t key_bytes = 0;
  std::size_t files = 0;
  std::uint64_t answer_hash = 0;
  if (!take_number(rest, key_bytes) || !take_number(rest, files) || !take_number(rest, answer_hash))
    return std::nullopt;
  if (rest.substr(0, key_bytes) != key) return std::nullopt;
  rest.remove_prefix(key_bytes);
  for (std::size_t i = 0; i < files; ++i) {
    auto const line = take_line(rest);
    if (!line || !unchanged(*line)) return std::nullopt;
  }
  if (content_hash(rest) != answer_hash) return std::nullopt;
  return std::string(rest);
}

void store_answer(std::filesystem::path const& folder, std::string_view key,
                  std::vector<std::filesystem::path> const& files,
                  std::chrono::system_clock::time_point started, std::string_view answer) {
  using namespace std::chrono;
  auto const started_ns = duration_cast<nanoseconds>(started.time_since_epoch()).count();
  constexpr auto settled_ns = nanoseconds(seconds(2)).count();

  auto text = fmt::format("{}\n{} {} {} {}", header, key.size(), files.size(), content_hash(answer), key);
  for (auto const& file : files) {
    auto const state = state_of(file.c_str());
    auto const bytes = read_file(file.c_str());
    if (!state || !bytes || state->changed_ns > started_ns) return;
    if (file.string().find('\n') != std::string::npos) return;
    auto const trusted_ns = state->changed_ns > started_ns - settled_ns ? 0 : state->changed_ns;
    fmt::format_to(std::back_inserter(text), "{} {} {} {}\n", bytes->size(), trusted_ns, content_hash(*bytes),
                   file.string());
  }
  text += answer;

  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return;
  auto const path = entry_path(folder, key);
  auto temporary = path.string() + ".XXXXXX";
  int const file = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (file < 0) return;
  std::size_t done = 0;
  while (done < text.size()) {
    auto const count = ::write(file, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  bool const written = ::close(file) == 0 && done == text.size();
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) {
    ::unlink(temporary.c_str());
    return;
  }
  drop_oldest(folder);
}

}  // namespace morgana::driver
