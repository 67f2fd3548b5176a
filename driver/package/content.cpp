#include "package/content.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "package/glob.hpp"
#include "package/sha256.hpp"
#include "package/shared_cache.hpp"

namespace morgana::driver::package_detail {

namespace fs = std::filesystem;

namespace {

// A file changed so shortly before it was hashed may change again within the same tick of the file system's
// clock: its hash is used, but not remembered.
constexpr std::int64_t settled_ns = 100'000'000;

std::int64_t ns_of(timespec const& time) {
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

bool is_header(std::string_view name) {
  static constexpr std::string_view endings[] = {".h",   ".hpp", ".hh",  ".hxx", ".inc",
                                                 ".ipp", ".inl", ".def", ".tcc"};
  return std::ranges::any_of(endings, [&](auto ending) { return name.ends_with(ending); });
}

void add_headers_beside(fs::path const& source, std::string const& folder, std::set<std::string>& into) {
  std::error_code error;
  for (fs::directory_iterator at(source / folder, error), end; !error && at != end; at.increment(error)) {
    auto const name = at->path().filename().string();
    std::error_code ignored;
    if (name.starts_with('.') || !is_header(name) || !at->is_regular_file(ignored)) continue;
    into.insert(folder.empty() ? name : folder + "/" + name);
  }
}

void add_below(fs::path const& source, std::string const& folder, std::set<std::string>& into) {
  for (auto const& file : files_below(source / folder))
    into.insert(folder == "." ? file : folder + "/" + file);
}

}  // namespace

package_files files_of(recipe const& what, fs::path const& source) {
  package_files files;
  for (auto const& archive : archives_of(what)) {
    for (auto const* globs : {&archive.sources, &archive.overrides}) {
      auto more = expand_globs(source, *globs);
      files.sources.insert(files.sources.end(), more.begin(), more.end());
    }
  }
  std::ranges::sort(files.sources);
  files.sources.erase(std::ranges::unique(files.sources).begin(), files.sources.end());
  std::set<std::string> folders;
  for (auto const& file : files.sources) {
    auto const slash = file.rfind('/');
    folders.insert(slash == std::string::npos ? std::string() : file.substr(0, slash));
  }
  std::set<std::string> others;
  for (auto const& folder : folders) add_headers_beside(source, folder, others);
  for (auto const& folder : what.include) add_below(source, folder, others);
  for (auto const& folder : what.export_include) add_below(source, folder, others);
  for (auto const& folder : what.export_cxx_include) add_below(source, folder, others);
  for (auto const& archive : what.archives) {
    for (auto const& folder : archive.include) add_below(source, folder, others);
  }
  if (what.export_catalogue) others.insert(*what.export_catalogue);
  std::ranges::set_difference(others, files.sources, std::back_inserter(files.others));
  return files;
}

file_hashes::file_hashes(package_cache const& cache, fs::path root) : root_(std::move(root)) {
  memory_ = cache.root / "hashes" / sha256_of(root_.string()).substr(0, 32);
  load();
}

file_hashes::~file_hashes() {
  save();
}

// One line a file: hash, stamp (no spaces), name.
void file_hashes::load() {
  std::ifstream in(memory_);
  std::string hash, stamp, name;
  while (in >> hash >> stamp && in.get() && std::getline(in, name)) {
    if (hash.size() == 64 && known_.size() < 1'000'000) known_[name] = {hash, stamp, false};
  }
}

void file_hashes::save() const {
  if (!changed_) return;
  std::string text;
  for (auto const& [name, one] : known_) {
    if (!one.stamp.empty() && name.find('\n') == std::string::npos) {
      text += fmt::format("{} {} {}\n", one.sha256, one.stamp, name);
    }
  }
  // Only speed depends on it.
  if (make_folder(memory_.parent_path())) std::ignore = write_whole(memory_, text);
}

std::string file_hashes::of(std::string const& relative) {
  auto const found = known_.find(relative);
  if (found != known_.end() && found->second.checked) return found->second.sha256;
  auto const file = root_ / relative;
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) return "missing";
  auto stamp = fmt::format("{}:{}:{}:{}:{}", status.st_dev, status.st_ino, status.st_size,
                           ns_of(status.st_mtim), ns_of(status.st_ctim));
  if (found != known_.end() && found->second.stamp == stamp) {
    found->second.checked = true;
    return found->second.sha256;
  }
  auto const hash = sha256_of_file(file);
  if (!hash) return "unreadable";
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  auto const last = std::max(ns_of(status.st_mtim), ns_of(status.st_ctim));
  if (ns_of(now) - last < settled_ns) stamp.clear();
  known_[relative] = {*hash, stamp, true};
  changed_ = true;
  return *hash;
}

std::string file_hashes::of(std::vector<std::string> const& files) {
  sha256 sum;
  for (auto const& one : files) {
    sum.add_field(one);
    sum.add_field(of(one));
  }
  return sum.finish();
}

std::string content_hash(recipe const& what, fs::path const& source, file_hashes& hashes) {
  auto const files = files_of(what, source);
  sha256 sum;
  sum.add_field(hashes.of(files.sources));
  sum.add_field(hashes.of(files.others));
  return sum.finish();
}

}  // namespace morgana::driver::package_detail
