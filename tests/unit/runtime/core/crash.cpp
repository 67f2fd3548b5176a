// What must not go on: each case runs in a child process, whose exit status is the crash's.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <new>

#include "fake_platform.hpp"
#include "morgana/core/require.hpp"

using namespace morgana;
using namespace morgana::test;

namespace {

struct ended {
  int status;
  std::string said;
};

ended in_child(void (*what)()) {
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  auto const child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(pipe_ends[1], 2);
    what();
    _exit(0);
  }
  close(pipe_ends[1]);
  std::string said;
  char some[256];
  for (ssize_t count; (count = read(pipe_ends[0], some, sizeof some)) > 0;) {
    said.append(some, static_cast<std::size_t>(count));
  }
  close(pipe_ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return {WEXITSTATUS(status), said};
}

}  // namespace

TEST_CASE("require says nothing while it holds, and crashes with its text when not") {
  CHECK(in_child([] { require(true, "fine"); }).status == 0);
  auto const got = in_child([] { require(false, "more replies than requests"); });
  CHECK(got.status == exit_status::crashed);
  CHECK(got.said == "fake platform: crash: more replies than requests\n");
}

TEST_CASE("two tasks that wait for one scope are a mistake that is named") {
  auto const got = in_child([] {
    world w;
    (void)w.run([]() -> task<void> {
      scope children = co_await open_scope();
      children.spawn([]() -> task<void> { co_await sleep_for(1s); }());
      auto waiting = [](scope& on) -> task<void> { (void)co_await on.join(); };
      co_await all(waiting(children), waiting(children));
    }());
  });
  CHECK(got.status == exit_status::crashed);
  CHECK(got.said == "fake platform: crash: two tasks wait for one scope\n");
}

#if !__has_feature(address_sanitizer)  // its malloc ends the process itself
TEST_CASE("operator new that fails ends the guest with its limit") {
  auto const got = in_child([] {
    std::size_t volatile bytes = std::size_t{1} << 60;
    void* volatile memory = ::operator new(bytes);
    ::operator delete(memory);
  });
  CHECK(got.status == exit_status::out_of_memory);
  CHECK(got.said.find("1152921504606846976 bytes were asked for, the limit is 67108864 bytes") !=
        std::string::npos);
}
#endif
