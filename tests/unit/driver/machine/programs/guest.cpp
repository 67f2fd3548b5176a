// A hosted guest that does what its first argument says.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

void print(std::string_view text) {
  while (!text.empty()) {
    auto const count = ::write(1, text.data(), text.size());
    if (count > 0) text.remove_prefix(static_cast<std::size_t>(count));
  }
}

sig_atomic_t volatile terminations = 0;

}  // namespace

int main(int count, char** values) {
  std::string_view const what = count > 1 ? values[1] : "";
  if (what == "bytes") {
    std::string all;
    for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
    for (int i = 0; i < 4096; ++i) print(all);
    return 0;
  }
  if (what == "both") {
    print("out ");
    [[maybe_unused]] auto const ignored = ::write(2, "err ", 4);
    print("out");
    return 7;
  }
  if (what == "arguments") {
    for (int i = 2; i < count; ++i) print(std::string("[") + values[i] + "]\n");
    return 0;
  }
  if (what == "environment") {
    for (char** one = environ; *one != nullptr; ++one) print(std::string(*one) + "\n");
    return 0;
  }
  if (what == "descriptors") {
    for (int i = 3; i < 1024; ++i) {
      if (::fcntl(i, F_GETFD) >= 0) print(std::to_string(i) + "\n");
    }
    return 0;
  }
  if (what == "echo") {
    char buffer[4096];
    for (ssize_t got; (got = ::read(0, buffer, sizeof buffer)) > 0;) {
      print(std::string_view(buffer, static_cast<std::size_t>(got)));
    }
    return 0;
  }
  if (what == "endless") {
    std::string const line(4096, '.');
    for (;;) print(line);
  }
  if (what == "flood") {
    // Ends when the console takes nothing more, or has taken more than any bounded chain may.
    constexpr std::size_t too_much = 32u << 20;
    std::string const line(4096, '.');
    ::fcntl(1, F_SETFL, O_NONBLOCK);
    for (std::size_t taken = 0; taken < too_much;) {
      auto const wrote = ::write(1, line.data(), line.size());
      if (wrote > 0) taken += static_cast<std::size_t>(wrote);
      pollfd wait{1, POLLOUT, 0};
      if (wrote < 0 && ::poll(&wait, 1, 500) == 0) return 0;
    }
    return 1;
  }
  if (what == "report") {
    print("---- morgana crash rep");
    ::usleep(1000);
    print("ort ----\nreason: test\nat start\n---- end of crash report ----\nafter\n");
    return 70;
  }
  if (what == "abort") ::abort();
  if (what == "crash") {
    print("---- morgana crash report ----\nreason: test\n---- end of crash report ----\n");
    char byte = 'c';
    if (auto const* const line = std::getenv("MORGANA_CRASH_LINE")) {
      auto const descriptor = std::atoi(line);
      if (::write(descriptor, &byte, 1) != 1 || ::read(descriptor, &byte, 1) != 0) return 66;
    }
    return 70;
  }
  if (what == "memory") {
    // Enough for the guest itself, and a request the limit must refuse.
    void* const much =
        ::mmap(nullptr, 512u << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return much == MAP_FAILED ? 71 : 0;
  }
  if (what == "core") {
    rlimit limit{};
    ::getrlimit(RLIMIT_CORE, &limit);
    return limit.rlim_max == 0 ? 0 : 1;
  }
  if (what == "stop") {
    struct sigaction action{};
    action.sa_handler = [](int) { terminations = terminations + 1; };
    ::sigaction(SIGTERM, &action, nullptr);
    print("ready\n");
    while (terminations == 0) ::pause();
    ::usleep(20'000);  // a second signal would be counted
    print("stopping\n");
    return terminations == 1 ? 3 : 4;
  }
  if (what == "wait") {
    print("ready " + std::to_string(::getpid()) + "\n");
    for (;;) ::pause();
  }
  if (what == "orphan") {
    // A helper keeps the console open, outside the guest's session.
    if (::fork() == 0) {
      ::setsid();
      char byte = 0;
      [[maybe_unused]] auto const end = ::read(0, &byte, 1);  // until the runner is gone
      ::_exit(0);
    }
    print("done");
    return 0;
  }
  if (what == "frame") {
    char name[] = "MORGANA_NETWORK_network";
    auto const* text = std::getenv(name);
    if (text == nullptr) return 65;
    auto const descriptor = std::atoi(text + std::strlen("fd:"));
    char buffer[2048];
    auto const got = ::read(descriptor, buffer, sizeof buffer);
    if (got <= 0) return 66;
    return ::write(descriptor, buffer, static_cast<std::size_t>(got)) == got ? 0 : 66;
  }
  return 2;
}
