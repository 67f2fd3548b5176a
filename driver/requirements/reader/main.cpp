// morgana-requirements: reads a request on standard input, prints the answer on standard output. For the
// driver only; its words may change with every version.

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <sstream>

#include "requirements/reader/front_end.hpp"

namespace {

/// A recursive template must not take the machine's memory with it.
void limit_resources() {
#if !__has_feature(address_sanitizer)
  constexpr rlim_t address_space_bytes = rlim_t{4} << 30;
  rlimit const limit{address_space_bytes, address_space_bytes};
  ::setrlimit(RLIMIT_AS, &limit);
#endif
  rlimit const no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  // The driver may be ended by the user at any time; nobody would want the answer then.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/// clang++ of the installation whose library this program is linked with, else the one on the path.
std::string find_clang() {
  std::error_code error;
  std::filesystem::path const built_with = std::filesystem::path(MORGANA_CLANG_FOLDER) / "clang++";
  if (std::filesystem::exists(built_with, error)) return built_with.string();
  std::string const path = std::getenv("PATH") ? std::getenv("PATH") : "";
  std::istringstream folders(path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    auto const found = std::filesystem::canonical(std::filesystem::path(folder) / "clang++-22", error);
    if (!error) return found.string();
  }
  return {};
}

}  // namespace

int main() {
  using namespace morgana::driver;
  limit_resources();
  std::string const text((std::istreambuf_iterator<char>(std::cin)), {});
  auto const request = read_request(text);
  if (!request) {
    std::fputs("morgana-requirements: standard input holds no request\n", stderr);
    return 2;
  }
  reader_answer answer;
  auto const clang = find_clang();
  if (clang.empty()) {
    answer.errors.push_back({.code = "missing-tool",
                             .message = "clang 22 is missing: its headers are needed to read the entry point",
                             .help = {"install it: apt install clang-22 libc++-22-dev"}});
  } else {
    std::error_code error;
    std::filesystem::current_path(request->entry.empty() ? "/" : request->entry.parent_path(), error);
    answer = run_front_end(*request, clang);
  }
  auto const out = to_json_text(answer);
  bool const written =
      std::fwrite(out.data(), 1, out.size(), stdout) == out.size() && std::fflush(stdout) == 0;
  // Clang's trees are not worth taking down one by one.
  std::_Exit(written ? 0 : 1);
}
